import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

/**
 * Compares our codec with Apache Kafka's classes over every message and version that the jars have.
 *
 * For each pair: Kafka fills a message and encodes it, ours decodes and encodes it again, and the bytes must be
 * the same; ours fills a message and Kafka does so with it. Beside that, messages are encoded at other versions
 * (both must refuse, or write the same), unknown tagged fields are added (ours drops them), and the JSON of both is
 * compared.
 *
 * Usage: Differential JARS PEER SECONDS SEED. Exit code 1 on any difference, or if a pair or a field had no run.
 */
public final class Differential {
    private static final int SHOWN_FAILURES = 20;

    private final Map<String, Schemas.Schema> schemas;
    private final Peer peer;
    private final Random random;
    private final Filler filler;
    private final ObjectMapper mapper = new ObjectMapper();
    private final Set<String> fromKafka = new HashSet<>();
    private final Set<String> toKafka = new HashSet<>();
    private long values;
    private long printed;
    private long failures;

    private Differential(Map<String, Schemas.Schema> schemas, Peer peer, long seed) {
        this.schemas = schemas;
        this.peer = peer;
        this.random = new Random(seed);
        this.filler = new Filler(random);
    }

    public static void main(String[] args) throws Exception {
        long seed = Long.parseLong(args[3]);
        try (Peer peer = new Peer(args[1])) {
            Differential test = new Differential(Schemas.read(Path.of(args[0])), peer, seed);
            test.compareLists();
            long end = System.nanoTime() + Long.parseLong(args[2]) * 1_000_000_000L;
            test.round(Filler.Mode.FULL);
            test.round(Filler.Mode.DEFAULT);
            test.singleFields();
            do
                test.round(Filler.Mode.RANDOM);
            while (System.nanoTime() < end && test.failures == 0);
            boolean good = test.report(seed);
            if (!good)
                System.exit(1);
        }
    }

    /** Both sides must have the same messages in the same versions. */
    private void compareLists() {
        Set<String> names = new TreeSet<>(schemas.keySet());
        names.addAll(peer.messages.keySet());
        for (String name : names) {
            Schemas.Schema schema = schemas.get(name);
            Peer.Versions ours = peer.messages.get(name);
            if (schema == null || ours == null)
                fail(name + " is only in " + (schema == null ? "ours" : "Kafka's"), null, null);
            else if (schema.first != ours.first() || schema.last != ours.last())
                fail(name + " has other versions: " + schema.first + "-" + schema.last, null, null);
        }
        if (failures > 0)
            System.exit(1);
    }

    private void round(Filler.Mode mode) throws Exception {
        for (Schemas.Schema schema : schemas.values())
            for (int version = schema.first; version <= schema.last; version++) {
                fromKafka(schema, version, mode);
                toKafka(schema, version, mode);
            }
    }

    private void fromKafka(Schemas.Schema schema, int version, Filler.Mode mode) throws Exception {
        Message message = schema.create();
        filler.fill(schema, message, version, mode);
        byte[] bytes = encode(message, version);
        String what = schema.name + " " + version + " " + mode;
        check(what + " from Kafka", bytes, peer.recode(schema.name, version, bytes));
        fromKafka.add(schema.name + " " + version);
        values++;
        compareJson(schema, version, message, bytes, what);
        int other = schema.first + random.nextInt(schema.last - schema.first + 1);
        compareAtVersion(schema, version, other, bytes, what);
        if (schema.flexible.contain(version)) {
            filler.addUnknownTags(schema, message, version);
            check(what + " with unknown tags", bytes, peer.recode(schema.name, version, encode(message, version)));
        }
    }

    private void toKafka(Schemas.Schema schema, int version, Filler.Mode mode) throws Exception {
        String what = schema.name + " " + version + " " + mode + " to Kafka";
        Peer.Answer answer = peer.random(schema.name, version, mode, random.nextLong());
        if (!answer.ok()) {
            fail(what + ": ours does not encode: " + answer.result(), null, null);
            return;
        }
        try {
            byte[] again = encode(decode(schema, version, answer.bytes()), version);
            if (!Arrays.equals(answer.bytes(), again))
                fail(what, again, answer.bytes());
        } catch (RuntimeException e) {
            fail(what + ": " + e, null, answer.bytes());
        }
        toKafka.add(schema.name + " " + version);
        values++;
    }

    /**
     * Each field alone, written at a version that has it, then encoded at every version: shows what is refused
     * where a version lacks the field, and with which defaults a version's missing fields are read.
     */
    private void singleFields() throws Exception {
        for (Schemas.Schema schema : schemas.values()) {
            Set<String> done = new HashSet<>();
            for (int version = schema.last; version >= schema.first; version--) {
                Set<String> paths = new TreeSet<>();
                Filler.expected(schema, version, paths);
                for (String name : paths) {
                    String path = name.substring(name.lastIndexOf(' ') + 1);
                    // Once at the newest version that has the field, and once at the oldest version of all.
                    if (!done.add(path) && version > schema.first)
                        continue;
                    singleField(schema, version, path, false);
                    singleField(schema, version, path, true);
                }
            }
        }
    }

    private void singleField(Schemas.Schema schema, int version, String path, boolean toNull) throws Exception {
        Message message = schema.create();
        filler.fillSingle(schema, message, version, path, toNull);
        byte[] bytes = encode(message, version);
        String what = schema.name + " " + version + " only " + path + (toNull ? " (null)" : "");
        check(what, bytes, peer.recode(schema.name, version, bytes));
        for (int other = schema.first; other <= schema.last; other++)
            compareAtVersion(schema, version, other, bytes, what);
        values++;
    }

    /** The same message at another version: refused by both, or the same bytes. */
    private void compareAtVersion(Schemas.Schema schema, int version, int other, byte[] bytes, String what)
        throws Exception {
        Peer.Answer answer = peer.recodeAt(schema.name, version, other, bytes);
        byte[] expected;
        try {
            expected = encode(decode(schema, version, bytes), other);
        } catch (UnsupportedVersionException | NullPointerException e) {
            expected = null;
        }
        if (expected == null && answer.ok())
            fail(what + " at " + other + ": Kafka refuses, ours does not", null, answer.bytes());
        else if (expected != null)
            check(what + " at " + other, expected, answer);
    }

    private void compareJson(Schemas.Schema schema, int version, Message message, byte[] bytes, String what)
        throws Exception {
        Class<?> converter = Class.forName(schema.type.getName() + "JsonConverter");
        JsonNode expected;
        try {
            Method write = converter.getMethod("write", schema.type, short.class, boolean.class);
            expected = (JsonNode) write.invoke(null, message, (short) version, false);
        } catch (NoSuchMethodException e) {
            Method write = converter.getMethod("write", schema.type, short.class);
            expected = (JsonNode) write.invoke(null, message, (short) version);
        }
        Peer.Answer answer = peer.print(schema.name, version, bytes);
        JsonNode ours = answer.ok() ? mapper.readTree(answer.bytes()) : null;
        // Reading the text again leaves the number types aside.
        JsonNode theirs = mapper.readTree(mapper.writeValueAsBytes(expected));
        if (ours == null || !ours.equals(DIFFERENT_NUMBERS, theirs))
            fail(what + " as JSON\n  theirs " + theirs + "\n  ours   " + ours, null, null);
        printed++;
    }

    /** 0 if equal. Numbers are compared by value: 1 is 1.0. */
    private static final java.util.Comparator<JsonNode> DIFFERENT_NUMBERS = (a, b) ->
        a.equals(b) || a.isNumber() && b.isNumber() && a.decimalValue().compareTo(b.decimalValue()) == 0 ? 0 : 1;

    private static byte[] encode(Message message, int version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, (short) version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private static Message decode(Schemas.Schema schema, int version, byte[] bytes)
        throws ReflectiveOperationException {
        Message message = schema.create();
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        message.read(new ByteBufferAccessor(buffer), (short) version);
        if (buffer.hasRemaining())
            throw new IllegalStateException("Kafka leaves " + buffer.remaining() + " bytes");
        return message;
    }

    private void check(String what, byte[] expected, Peer.Answer answer) {
        if (!answer.ok())
            fail(what + ": ours refuses: " + answer.result(), expected, null);
        else if (!Arrays.equals(expected, answer.bytes()))
            fail(what, expected, answer.bytes());
    }

    private void fail(String what, byte[] theirs, byte[] ours) {
        if (failures++ >= SHOWN_FAILURES)
            return;
        System.out.println("DIFFERENT " + what);
        for (byte[] bytes : new byte[][] {theirs, ours})
            if (bytes != null)
                System.out.println((bytes == theirs ? "  theirs " : "  ours   ")
                    + HexFormat.of().formatHex(bytes, 0, Math.min(bytes.length, 2000)));
    }

    private boolean report(long seed) throws IOException {
        Set<String> pairs = new TreeSet<>();
        Set<String> fields = new TreeSet<>();
        for (Schemas.Schema schema : schemas.values())
            for (int version = schema.first; version <= schema.last; version++) {
                pairs.add(schema.name + " " + version);
                Filler.expected(schema, version, fields);
            }
        List<String> missing = new ArrayList<>();
        for (String pair : pairs)
            if (!fromKafka.contains(pair) || !toKafka.contains(pair))
                missing.add(pair);
        int fieldCount = fields.size();
        fields.removeAll(filler.covered);
        missing.addAll(fields);
        missing.stream().limit(SHOWN_FAILURES).forEach(name -> System.out.println("NO RUN " + name));
        System.out.printf("messages=%d versions=%d values=%d fields=%d json=%d seed=%d%n", schemas.size(),
            pairs.size(), values, fieldCount, printed, seed);
        System.out.println(failures == 0 && missing.isEmpty() ? "all the same"
            : failures + " differences, " + missing.size() + " without a run");
        return failures == 0 && missing.isEmpty();
    }
}
