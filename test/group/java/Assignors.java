import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.ConsumerGroupPartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.GroupAssignment;
import org.apache.kafka.coordinator.group.api.assignor.MemberAssignment;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.GroupSpecImpl;
import org.apache.kafka.coordinator.group.modern.MemberSubscriptionAndAssignmentImpl;

/** Random groups for Kafka's assignors and ours (test/group/assignor_peer.c). */
public class Assignors {
    static final class Member {
        final String id;
        final String instance;
        final TreeSet<Integer> topics = new TreeSet<>();

        Member(String id, String instance) {
            this.id = id;
            this.instance = instance;
        }
    }

    /** A group: topics, members, and who had what; -1 is nobody. */
    static final class Group {
        Uuid[] ids;
        int[] partitions;
        final List<Member> members = new ArrayList<>();
        int[][] owners;
    }

    final Random random;
    final Process process;
    final PrintStream out;
    final BufferedReader in;

    Assignors(String peer, long seed) throws Exception {
        random = new Random(seed);
        process = new ProcessBuilder(peer).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        out = new PrintStream(process.getOutputStream(), false, "UTF-8");
        in = new BufferedReader(new InputStreamReader(process.getInputStream()));
    }

    static final String[] LETTERS = {"a", "b", "z", "-", "0", "\u00e9", "\uff5e", "\ud83d\ude00"};

    String name(Set<String> used) {
        for (;;) {
            StringBuilder text = new StringBuilder();
            for (int i = 1 + random.nextInt(4); i > 0; i--)
                text.append(LETTERS[random.nextInt(LETTERS.length)]);
            if (used.add(text.toString()))
                return text.toString();
        }
    }

    void subscribe(Group group, Member member, boolean alike) {
        member.topics.clear();
        for (int t = 0; t < group.ids.length; t++)
            if (alike || random.nextInt(100) < 60)
                member.topics.add(t);
    }

    Group group() {
        Group group = new Group();
        boolean alike = random.nextBoolean();
        int topics = 1 + random.nextInt(random.nextInt(10) == 0 ? 40 : 6);
        group.ids = new Uuid[topics];
        group.partitions = new int[topics];
        group.owners = new int[topics][];
        for (int t = 0; t < topics; t++) {
            group.ids[t] = new Uuid(random.nextLong(), random.nextLong());
            group.partitions[t] = 1 + random.nextInt(random.nextInt(10) == 0 ? 100 : 12);
            group.owners[t] = new int[group.partitions[t]];
            Arrays.fill(group.owners[t], -1);
        }
        Set<String> used = new HashSet<>();
        Set<String> instances = new HashSet<>();
        int members = 1 + random.nextInt(random.nextInt(10) == 0 ? 60 : 10);
        for (int m = 0; m < members; m++) {
            Member member =
                new Member(name(used), random.nextInt(4) == 0 ? name(instances) : null);
            subscribe(group, member, alike);
            group.members.add(member);
        }
        return group;
    }

    /** What the members had: nothing, anything, or what an assignor gave to the group before. */
    void history(Group group) {
        int kind = random.nextInt(4);
        if (kind == 0)
            return;
        if (kind == 1) {
            for (int[] owners : group.owners)
                for (int p = 0; p < owners.length; p++)
                    owners[p] = random.nextInt(group.members.size() + 1) - 1;
            return;
        }
        List<TreeSet<Integer>> wanted = new ArrayList<>();
        for (Member member : group.members) {
            wanted.add(new TreeSet<>(member.topics));
            if (random.nextInt(3) == 0)
                member.topics.clear(); // it was not there
            else if (random.nextInt(4) == 0)
                subscribe(group, member, false);
        }
        group.owners = owners(group, kafka(group, new UniformAssignor()));
        for (int m = 0; m < group.members.size(); m++) {
            group.members.get(m).topics.clear();
            group.members.get(m).topics.addAll(wanted.get(m));
        }
    }

    static boolean alike(Group group) {
        Set<Integer> all = new HashSet<>();
        for (Member member : group.members)
            all.addAll(member.topics);
        for (Member member : group.members)
            if (member.topics.size() != all.size())
                return false;
        return true;
    }

    static Map<String, MemberAssignment> kafka(Group group, ConsumerGroupPartitionAssignor assignor) {
        Map<String, MemberSubscriptionAndAssignmentImpl> members = new LinkedHashMap<>();
        Map<Uuid, Map<Integer, String>> inverted = new HashMap<>();
        for (int m = 0; m < group.members.size(); m++) {
            Member member = group.members.get(m);
            Set<Uuid> topics = new HashSet<>();
            Map<Uuid, Set<Integer>> had = new HashMap<>();
            for (int t : member.topics)
                topics.add(group.ids[t]);
            for (int t = 0; t < group.ids.length; t++)
                for (int p = 0; p < group.partitions[t]; p++)
                    if (group.owners[t][p] == m) {
                        had.computeIfAbsent(group.ids[t], x -> new HashSet<>()).add(p);
                        inverted.computeIfAbsent(group.ids[t], x -> new HashMap<>()).put(p, member.id);
                    }
            members.put(member.id, new MemberSubscriptionAndAssignmentImpl(Optional.empty(),
                Optional.ofNullable(member.instance), topics,
                new Assignment(Collections.unmodifiableMap(had))));
        }
        Map<Uuid, Integer> counts = new HashMap<>();
        for (int t = 0; t < group.ids.length; t++)
            counts.put(group.ids[t], group.partitions[t]);
        SubscribedTopicDescriber describer = new Describer(counts);
        GroupAssignment result = assignor.assign(new GroupSpecImpl(members,
            alike(group) ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS, inverted,
            Optional.empty()), describer);
        return result.members();
    }

    static int[][] owners(Group group, Map<String, MemberAssignment> assignment) {
        int[][] owners = new int[group.ids.length][];
        for (int t = 0; t < owners.length; t++) {
            owners[t] = new int[group.partitions[t]];
            Arrays.fill(owners[t], -1);
            for (int m = 0; m < group.members.size(); m++) {
                MemberAssignment member = assignment.get(group.members.get(m).id);
                if (member != null)
                    for (int p : member.partitions().getOrDefault(group.ids[t], Set.of()))
                        owners[t][p] = m;
            }
        }
        return owners;
    }

    static String hex(String text) {
        if (text == null)
            return "-";
        StringBuilder hex = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8))
            hex.append(String.format("%02x", b));
        return hex.toString();
    }

    int[][] ours(Group group, String assignor) throws Exception {
        out.printf("%s %d %d%n", assignor, group.ids.length, group.members.size());
        for (int t = 0; t < group.ids.length; t++)
            out.printf("%x %x %d%n", group.ids[t].getMostSignificantBits(),
                group.ids[t].getLeastSignificantBits(), group.partitions[t]);
        for (int m = 0; m < group.members.size(); m++) {
            Member member = group.members.get(m);
            StringBuilder line = new StringBuilder(hex(member.id) + " " + hex(member.instance));
            line.append(" ").append(member.topics.size());
            for (int t : member.topics)
                line.append(" ").append(t);
            StringBuilder had = new StringBuilder();
            int count = 0;
            for (int t = 0; t < group.ids.length; t++)
                for (int p = 0; p < group.partitions[t]; p++)
                    if (group.owners[t][p] == m) {
                        had.append(" ").append(t).append(":").append(p);
                        count++;
                    }
            out.println(line + " " + count + had);
        }
        out.flush();
        String answer = in.readLine();
        if (answer == null)
            throw new IllegalStateException("the peer is gone");
        String[] places = answer.trim().split(" ");
        int[][] owners = new int[group.ids.length][];
        int place = 0;
        for (int t = 0; t < owners.length; t++) {
            owners[t] = new int[group.partitions[t]];
            for (int p = 0; p < owners[t].length; p++)
                owners[t][p] = Integer.parseInt(places[place++]);
        }
        return owners;
    }

    static int moves(Group group, int[][] owners) {
        int moves = 0;
        for (int t = 0; t < owners.length; t++)
            for (int p = 0; p < owners[t].length; p++)
                if (group.owners[t][p] != -1 && group.owners[t][p] != owners[t][p])
                    moves++;
        return moves;
    }

    /** The sum of the squares of the loads: the less, the more even. */
    static long unevenness(Group group, int[][] owners) {
        long[] loads = new long[group.members.size()];
        for (int[] topic : owners)
            for (int owner : topic)
                if (owner >= 0)
                    loads[owner]++;
        long sum = 0;
        for (long load : loads)
            sum += load * load;
        return sum;
    }

    static boolean complete(Group group, int[][] owners) {
        for (int t = 0; t < owners.length; t++) {
            boolean wanted = false;
            for (Member member : group.members)
                wanted |= member.topics.contains(t);
            for (int owner : owners[t])
                if (wanted ? owner < 0 || !group.members.get(owner).topics.contains(t) : owner != -1)
                    return false;
        }
        return true;
    }

    /** Topics without a subscriber are not described to an assignor. */
    static void dropUnwanted(Group group) {
        TreeSet<Integer> all = new TreeSet<>();
        for (Member member : group.members)
            all.addAll(member.topics);
        List<Integer> kept = new ArrayList<>(all);
        Uuid[] ids = new Uuid[kept.size()];
        int[] partitions = new int[kept.size()];
        int[][] owners = new int[kept.size()][];
        for (int i = 0; i < kept.size(); i++) {
            ids[i] = group.ids[kept.get(i)];
            partitions[i] = group.partitions[kept.get(i)];
            owners[i] = group.owners[kept.get(i)];
        }
        for (Member member : group.members) {
            TreeSet<Integer> topics = new TreeSet<>();
            for (int t : member.topics)
                topics.add(kept.indexOf(t));
            member.topics.clear();
            member.topics.addAll(topics);
        }
        group.ids = ids;
        group.partitions = partitions;
        group.owners = owners;
    }

    static final class Describer implements SubscribedTopicDescriber {
        final Map<Uuid, Integer> counts;

        Describer(Map<Uuid, Integer> counts) {
            this.counts = counts;
        }

        @Override
        public int numPartitions(Uuid topic) {
            return counts.getOrDefault(topic, -1);
        }

        @Override
        public Set<String> racksForPartition(Uuid topic, int partition) {
            return Set.of();
        }
    }

    public static void main(String[] args) throws Exception {
        long seed = Long.parseLong(args[3]);
        Assignors test = new Assignors(args[0], seed);
        int groups = Integer.parseInt(args[1]);
        long end = System.nanoTime() + Long.parseLong(args[2]) * 1_000_000_000L;
        int done = 0, uneven = 0, moved = 0, better = 0, fewer = 0, ranges = 0, incomplete = 0;
        for (; done < groups || System.nanoTime() < end; done++) {
            Group group = test.group();
            test.history(group);
            dropUnwanted(group);
            if (group.ids.length == 0)
                continue;
            int[][] range = test.ours(group, "range");
            int[][] kafkas = owners(group, kafka(group, new RangeAssignor()));
            if (!Arrays.deepEquals(range, kafkas)) {
                ranges++;
                System.out.printf("group %d: range differs%n", done);
            }
            int[][] uniform = test.ours(group, "uniform");
            kafkas = owners(group, kafka(group, new UniformAssignor()));
            if (!complete(group, uniform))
                incomplete++;
            long a = unevenness(group, uniform), b = unevenness(group, kafkas);
            int x = moves(group, uniform), y = moves(group, kafkas);
            better += a < b ? 1 : 0;
            fewer += x < y ? 1 : 0;
            if (a > b || x > y) {
                uneven += a > b ? 1 : 0;
                moved += x > y ? 1 : 0;
                if (uneven + moved <= 5)
                    System.out.printf("group %d (%s, %d members, %d topics): uneven %d, Kafka %d; "
                        + "moves %d, Kafka %d%n", done, alike(group) ? "alike" : "different",
                        group.members.size(), group.ids.length, a, b, x, y);
            }
        }
        test.out.close();
        int mismatches = ranges + uneven + moved + incomplete;
        System.out.printf("range: %d groups, %d differ. uniform: more even %d, less even %d; fewer "
            + "moves %d, more moves %d; incomplete %d%n", done, ranges, better, uneven, fewer,
            moved, incomplete);
        System.out.printf("cases=%d mismatches=%d%n", done, mismatches);
        System.exit(mismatches == 0 && test.process.waitFor() == 0 ? 0 : 1);
    }
}
