import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;

/** The same appends, cuts, retention and restarts to our log and to Kafka's: the same answers, the
 * same files to the byte, and each opens what the other wrote. */
final class LogDifferential {
    private final LogPeer peer;
    private final Path root;
    private final Random random;
    private final Script script;
    private final KafkaLog.Settings settings = new KafkaLog.Settings();
    private final Path ours;
    private Path kafkas;
    private final boolean quiet; // no restarts and cuts: index entries can be compared
    private KafkaLog kafka;
    private boolean sameHistory = true; // of index entries: restarts and cuts count them anew
    private boolean timeless;
    private long highWatermark;
    static long appends, refusals, restarts, cuts, retentions, filesCompared, crossOpens;

    LogDifferential(LogPeer peer, Path root, long seed, boolean fresh) throws IOException {
        this.peer = peer;
        this.root = root;
        random = new Random(seed);
        script = new Script(random);
        quiet = random.nextInt(3) == 0 && fresh;
        settings.segmentBytes = 20000 + random.nextInt(100000);
        settings.interval = random.nextInt(3) == 0 ? 4096 : 200 + random.nextInt(2000);
        // A restart that counts entries anew may fit more into an index than Kafka recovers.
        settings.indexBytes = quiet && random.nextBoolean() ? 240 + random.nextInt(400) : 10 << 20;
        script.singleBatches = settings.indexBytes < 10 << 20;
        settings.segmentMs = random.nextInt(3) == 0 ? 60000 : 7L * 24 * 3600 * 1000;
        settings.retentionBytes = random.nextBoolean() ? -1 : 3L * settings.segmentBytes;
        ours = root.resolve("ours/t-0");
        kafkas = root.resolve("kafkas/t-0");
        Files.createDirectories(ours.getParent());
        Files.createDirectories(kafkas.getParent());
        open(fresh);
        sameHistory = fresh;
    }

    static final class Mismatch extends RuntimeException {
        Mismatch(String text) {
            super(text);
        }
    }

    /** Kafka looks for a timestamp in one segment only, and finds nothing when the record it has in
     * mind lies below a start that was raised into the segment; ours looks on. */
    private List<String> withoutTimes(List<String> lines) {
        long start = lines.isEmpty() || !lines.get(0).startsWith("start ") ? 0
            : Long.parseLong(lines.get(0).substring(6));
        String first = lines.stream().filter(line -> line.startsWith("segment ")).findFirst()
            .orElse("");
        if (start == 0 || first.startsWith("segment " + start + " "))
            return lines;
        return lines.stream().filter(line -> !line.startsWith("time ") && !line.startsWith("max "))
            .toList();
    }

    private void same(String what, List<String> kafkasAll, List<String> oursAll) {
        List<String> kafkasLines = withoutTimes(kafkasAll), oursLines = withoutTimes(oursAll);
        if (kafkasLines.equals(oursLines))
            return;
        StringBuilder text = new StringBuilder(what + " differ\n");
        for (int i = 0; i < Math.max(kafkasLines.size(), oursLines.size()); i++) {
            String a = i < kafkasLines.size() ? kafkasLines.get(i) : "(none)";
            String b = i < oursLines.size() ? oursLines.get(i) : "(none)";
            if (!a.equals(b))
                text.append("  kafka: ").append(a).append("\n  ours:  ").append(b).append('\n');
        }
        throw new Mismatch(text.toString());
    }

    private String openWords(Path dir, boolean clean, long start) {
        return "open " + dir + " " + (clean ? 1 : 0) + " 0 " + start + " " + settings.words();
    }

    private void open(boolean clean) throws IOException {
        int result = peer.result(openWords(ours, clean, 0));
        if (result != 0)
            throw new Mismatch("our log refused to open: " + result);
        kafka = new KafkaLog(kafkas.toFile(), settings, clean, 0, 0);
        setHighWatermark(kafka.log.logEndOffset());
    }

    private void setHighWatermark(long value) throws IOException {
        highWatermark = kafka.log.updateHighWatermark(value);
        peer.ask("hw " + highWatermark);
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder(bytes.length * 2);
        for (byte b : bytes)
            text.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        return text.toString();
    }

    /** As a broker does when it becomes leader. */
    private void assignEpoch() throws IOException {
        kafka.log.assignEpochStartOffset(script.leaderEpoch, kafka.log.logEndOffset());
        if (peer.result("epoch " + script.leaderEpoch) != 0)
            throw new Mismatch("our log took no epoch");
    }

    private void append() throws IOException {
        int before = script.leaderEpoch;
        Script.Append append = script.next(kafka.log.logEndOffset());
        if (script.leaderEpoch != before)
            assignEpoch();
        append(append);
    }

    private void append(Script.Append append) throws IOException {
        int segments = kafka.log.numberOfSegments();
        List<String> theirs =
            kafka.append(append.origin, script.leaderEpoch, append.version, append.records());
        List<String> mine = peer.ask("append " + append.origin + " " + script.leaderEpoch + " "
            + append.version + " " + hex(append.bytes));
        // Read again after a restart, our log may remember more of a producer's batches.
        boolean remembers = !sameHistory && theirs.equals(List.of("result 45"))
            && mine.size() == 2 && mine.get(0).endsWith(" 1");
        if (!remembers)
            same("answers to " + append.origin + " " + append.records().batches().iterator().next(),
            theirs, mine);
        if (theirs.size() == 2)
            script.appended(append, theirs.get(0).endsWith(" 1"));
        else
            refusals++;
        // Kafka rolls before it looks at sequences, so also for what it then refuses; we do not.
        boolean written = theirs.size() == 2 && theirs.get(0).endsWith(" 0");
        if (!written && kafka.log.numberOfSegments() > segments && peer.result("roll") != 0)
            throw new Mismatch("our log did not roll");
        appends++;
    }

    private List<Long> someTimes() {
        List<Long> times = new ArrayList<>();
        for (int i = 0; i < 4 && !timeless && !script.times.isEmpty(); i++)
            times.add(script.times.get(random.nextInt(script.times.size())) + random.nextInt(3) - 1);
        return times;
    }

    private void compare(String when) throws IOException {
        List<Long> times = someTimes();
        StringBuilder words = new StringBuilder("summary");
        times.forEach(time -> words.append(' ').append(time));
        same("logs " + when, kafka.summary(times), peer.ask(words.toString()));
    }

    private void restart() throws IOException {
        // After a crash Kafka forgets producers that wrote only below the log start; we do not.
        boolean clean = random.nextBoolean() || kafka.log.logStartOffset() > 0;
        setHighWatermark(kafka.log.logEndOffset());
        long start = kafka.log.logStartOffset();
        if (clean) {
            kafka.close();
            if (peer.result("close") != 0)
                throw new Mismatch("our log did not close");
        } else {
            // Kafka's log cannot be dropped: it goes on with a copy of its folder.
            kafkas = copy(kafkas, "kafkas-" + restarts);
            peer.ask("drop");
        }
        if (peer.result(openWords(ours, clean, start)) != 0)
            throw new Mismatch("our log refused to open again, clean=" + clean);
        kafka = new KafkaLog(kafkas.toFile(), settings, clean, 0, start);
        setHighWatermark(kafka.log.logEndOffset());
        script.restarted();
        sameHistory = false;
        restarts++;
        compare("after a restart, clean=" + clean);
        assignEpoch();
    }

    private void truncate() throws IOException {
        List<Long> ends = new ArrayList<>();
        if (kafka.log.logStartOffset() > 0)
            return; // as after a crash, see restart
        kafka.log.logSegments().forEach(segment -> segment.log().batches().forEach(batch -> {
            if (batch.nextOffset() > kafka.log.logStartOffset())
                ends.add(batch.nextOffset());
        }));
        if (ends.isEmpty())
            return;
        long to = ends.get(random.nextInt(ends.size()));
        kafka.log.truncateTo(to);
        if (peer.result("truncate " + to) != 0)
            throw new Mismatch("our log was not cut to " + to);
        setHighWatermark(Math.min(highWatermark, to));
        script.cut();
        sameHistory = false;
        cuts++;
        compare("after a cut to " + to);
        assignEpoch();
    }

    private void retention() throws IOException {
        setHighWatermark(kafka.log.logEndOffset());
        int theirs = kafka.log.deleteOldSegments();
        int mine = peer.result("retention " + highWatermark);
        if (theirs != mine)
            throw new Mismatch("retention gave up " + theirs + " in kafka, here " + mine);
        peer.ask("remove");
        retentions += mine;
        compare("after retention");
    }

    private void raise() throws IOException {
        long start = kafka.log.logStartOffset(), end = highWatermark;
        if (end <= start)
            return;
        long to = start + random.nextInt((int) Math.min(100, end - start));
        kafka.raise(to);
        if (peer.result("raise " + to + " " + highWatermark) != 0)
            throw new Mismatch("the start was not raised to " + to);
        compare("after raising the start");
    }

    /** A copy of a folder as a crash would leave it. */
    private Path copy(Path dir, String name) throws IOException {
        Path target = root.resolve(name).resolve("t-0");
        Files.createDirectories(target);
        for (File file : dir.toFile().listFiles())
            if (!file.getName().endsWith(".deleted") && !file.getName().endsWith(".tmp"))
                Files.copy(file.toPath(), target.resolve(file.getName()));
        return target;
    }

    /** Each opens the other's folder; both see what `expected` says. */
    private void crossOpen(Path theirDir, Path ourDir, boolean clean, long start,
        List<String> expected, String words) throws IOException {
        if (peer.result(openWords(theirDir, clean, start)) != 0)
            throw new Mismatch("our log refused kafka's folder, clean=" + clean);
        long end = Long.parseLong(expected.get(1).substring(4));
        peer.ask("hw " + end);
        same("kafka's folder, clean=" + clean + ", and what we read there", expected,
            peer.ask(words));
        if (peer.result("close") != 0)
            throw new Mismatch("our log did not close kafka's folder");

        KafkaLog other = new KafkaLog(ourDir.toFile(), settings, clean, 0, start);
        other.log.updateHighWatermark(end);
        List<Long> times = Arrays.stream(words.split(" ")).skip(1).map(Long::valueOf).toList();
        same("our folder, clean=" + clean + ", and what kafka reads there", other.summary(times),
            expected);
        other.close();
        crossOpens += 2;
    }

    /** Kafka writes epochs in the background. */
    private void awaitEpochs() throws IOException {
        String name = "leader-epoch-checkpoint";
        long deadline = System.nanoTime() + 5_000_000_000L;
        while (!Arrays.equals(Files.readAllBytes(kafkas.resolve(name)),
            Files.readAllBytes(ours.resolve(name))) && System.nanoTime() < deadline)
            Thread.onSpinWait();
    }

    private void compareFiles() throws IOException {
        awaitEpochs();
        TreeSet<String> names = new TreeSet<>();
        for (File file : kafkas.toFile().listFiles())
            names.add(file.getName());
        for (File file : ours.toFile().listFiles())
            names.add(file.getName());
        for (String name : names) {
            Path a = kafkas.resolve(name), b = ours.resolve(name);
            if (name.endsWith(".snapshot") || name.endsWith(".deleted")
                || name.endsWith(".tmp"))
                continue; // their entries come in any order; they are read by the other side
            if (!Files.exists(a) || !Files.exists(b))
                throw new Mismatch("only " + (Files.exists(a) ? "kafka" : "ours") + " has " + name);
            if (!Arrays.equals(Files.readAllBytes(a), Files.readAllBytes(b)))
                throw new Mismatch(name + " differs: " + Files.size(a) + " and " + Files.size(b)
                    + " bytes");
            filesCompared++;
        }
    }

    void run() throws IOException {
        int steps = 60 + random.nextInt(300);
        for (int i = 0; i < steps; i++) {
            append();
            if (random.nextInt(10) == 0)
                setHighWatermark(kafka.log.logEndOffset());
            if (random.nextInt(25) == 0)
                compare("while appending");
            int kind = random.nextInt(200);
            if (kind < 2 && !quiet)
                restart();
            else if (kind < 4 && !quiet)
                truncate();
            else if (kind < 7)
                retention();
            else if (kind == 7)
                raise();
        }
        finish();
    }

    private void finish() throws IOException {
        append(script.plain()); // an epoch without records is forgotten by a restart
        setHighWatermark(kafka.log.logEndOffset());
        compare("at the end");
        List<Long> times = someTimes();
        StringBuilder words = new StringBuilder("summary");
        times.forEach(time -> words.append(' ').append(time));
        List<String> expected = kafka.summary(times);
        long start = kafka.log.logStartOffset();
        Path theirCrash = copy(kafkas, "kafkas-crash"), ourCrash = copy(ours, "ours-crash");
        kafka.close();
        if (peer.result("close") != 0)
            throw new Mismatch("our log did not close");
        if (start == 0)
            crossOpen(theirCrash, ourCrash, false, start, expected, words.toString());
        if (sameHistory)
            compareFiles();
        Path ourClean = copy(ours, "ours-clean");
        crossOpen(copy(kafkas, "kafkas-clean"), ourClean, true, start, expected, words.toString());
    }

    /** Segments of old formats, as a cluster that was upgraded for years may hold them. */
    static void legacy(LogPeer peer, Path root, Random random) throws IOException {
        for (byte magic = 0; magic < 2; magic++) {
            Path a = root.resolve("ours/t-0"), b = root.resolve("kafkas/t-0");
            delete(root);
            Files.createDirectories(a);
            Files.createDirectories(b);
            byte[] bytes = Script.legacy(random, magic);
            Files.write(a.resolve("00000000000000000000.log"), bytes);
            Files.write(b.resolve("00000000000000000000.log"), bytes);
            LogDifferential round = new LogDifferential(peer, root, random.nextLong(), false);
            round.compare("of magic " + magic);
            for (int i = 0; i < 20; i++)
                round.append(round.script.plain());
            round.timeless = magic == 0; // Kafka takes the file's time for that of such records
            round.compare("of magic " + magic + " and new batches");
            round.finish();
        }
    }

    static void delete(Path path) throws IOException {
        File[] children = path.toFile().listFiles();
        if (children != null)
            for (File child : children)
                delete(child.toPath());
        Files.deleteIfExists(path);
    }

    public static void main(String[] args) throws Exception {
        long deadline = System.nanoTime() + Long.parseLong(args[1]) * 1_000_000_000L;
        long seed = Long.parseLong(args[2]);
        Path keep = Path.of(args[3]); // the last folders stay here for other tools
        int rounds = 0;
        try (LogPeer peer = new LogPeer(args[0])) {
            legacy(peer, keep, new Random(seed));
            for (; rounds == 0 || System.nanoTime() < deadline; rounds++, seed++) {
                delete(keep);
                Files.createDirectories(keep);
                try {
                    new LogDifferential(peer, keep, seed, true).run();
                } catch (Mismatch e) {
                    System.out.println("seed=" + seed + " " + e.getMessage());
                    System.exit(1);
                }
            }
        }
        System.out.println("appends=" + appends + " refused=" + refusals + " restarts=" + restarts
            + " cuts=" + cuts + " segments_given_up=" + retentions);
        System.out.println("rounds=" + rounds + " cross_opens=" + crossOpens + " files_equal="
            + filesCompared + " mismatches=0");
        System.exit(0);
    }
}
