import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.utils.internals.ByteBufferOutputStream;

/**
 * Ours against Java's, on random and broken batches: validation (outcome and bytes), message sets
 * of every magic written by Java and read by us, batches written by us and read by Java.
 *
 * <p>Differential PEER SECONDS SEED [CASE]: each case has a random generator of its own, so CASE
 * alone runs one again.
 */
final class Differential {
    private final Peer peer;
    private final Broker broker;
    private final Map<String, Integer> counts = new TreeMap<>();
    private final Map<Faults, int[]> faults = new EnumMap<>(Faults.class);

    private Differential(Peer peer, Broker broker) {
        this.peer = peer;
        this.broker = broker;
    }

    private static final class Mismatch extends RuntimeException {
        Mismatch(String message) {
            super(message);
        }
    }

    private static void same(String what, Object java, Object ours) {
        if (!java.equals(ours))
            throw new Mismatch(what + "\n  java: " + java + "\n  ours: " + ours);
    }

    private void count(String what) {
        counts.merge(what, 1, Integer::sum);
    }

    private void run(long seed, long number) throws Exception {
        Random random = new Random(seed * 1_000_003 + number);
        switch (random.nextInt(10)) {
            case 0 -> {
                readOurs(random);
                endTransaction(random);
            }
            case 1, 2 -> readJavas(random);
            default -> validate(random);
        }
    }

    private void validate(Random random) throws Exception {
        Rules rules = Rules.random(random);
        RawBatch raw = RawBatch.random(random);
        Faults fault = random.nextInt(3) == 0 ? Faults.NONE
            : Faults.values()[random.nextInt(Faults.values().length)];
        fault.apply(raw, random);
        // The broker's own batches are not checked by Kafka for what it would never write.
        if (fault == Faults.BASE_OFFSET || fault == Faults.LAST_OFFSET_DELTA || fault == Faults.COUNT)
            rules.internal = false;
        if (rules.internal && (raw.attributes & 0x20) != 0)
            raw.codec = 0;
        byte[] bytes = raw.encode();
        if (random.nextInt(20) == 0)
            bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length + 30));
        if (random.nextInt(20) == 0)
            bytes = append(bytes, RawBatch.random(random).encode());
        Peer.Answer ours = peer.ask(rules.encode(), bytes);
        if (fault == Faults.PACKED_BYTE && raw.codec == CompressionType.ZSTD.id) {
            // Without a checksum of its own it may mean another thing to each release of libzstd.
            count("corrupt zstd streams: read without harm");
            return;
        }
        Broker.Outcome java = broker.append(rules, bytes.clone());
        try {
            compare(bytes, java, ours, fault);
        } catch (Mismatch e) {
            if (java.thrown != null)
                java.thrown.printStackTrace();
            throw new Mismatch(e.getMessage() + "\n  fault: " + fault + "\n  rules: " + rules
                + "\n  batch: " + hex(bytes));
        }
    }

    private static byte[] append(byte[] one, byte[] other) {
        byte[] both = Arrays.copyOf(one, one.length + other.length);
        System.arraycopy(other, 0, both, one.length, other.length);
        return both;
    }

    private static String hex(byte[] bytes) {
        return bytes.length > 4000 ? bytes.length + " bytes" : HexFormat.of().formatHex(bytes);
    }

    private static String name(int code) {
        return Errors.forCode((short) code).name();
    }

    private void compare(byte[] sent, Broker.Outcome java, Peer.Answer ours, Faults fault) {
        int[] tally = faults.computeIfAbsent(fault, key -> new int[2]);
        tally[java.code == 0 ? 0 : 1]++;
        if (java.code == Errors.UNKNOWN_SERVER_ERROR.code()
            && ours.result() == Errors.INVALID_RECORD.code()) {
            count("refused by Kafka with an accident, by us with INVALID_RECORD");
            return;
        }
        if (ours.result() == Errors.INVALID_RECORD.code() && (java.code == 0 || java.singleRecords)
            && !readable(sent)) {
            count("sound to Kafka though no consumer can read it, refused by us");
            return;
        }
        if (java.code != ours.result())
            throw new Mismatch("outcome\n  java: " + name(java.code) + " " + java.message
                + "\n  ours: " + (ours.result() < 0 ? ours.result() : name(ours.result())
                    + (ours.result() > 0 ? " " + new String(Peer.blob(ours.bytes())) : "")));
        if (java.code == 0)
            compareAccepted(java, ours.bytes());
        else
            compareRefused(java, ours.bytes());
    }

    private static boolean readable(byte[] bytes) {
        try {
            Dump.ofJava(MemoryRecords.readableRecords(ByteBuffer.wrap(bytes.clone())));
            return true;
        } catch (Throwable e) {
            return false;
        }
    }

    private void compareAccepted(Broker.Outcome java, ByteBuffer in) {
        same("max timestamp", java.maxTimestamp, in.getLong());
        same("log append time", java.logAppendTime, in.getLong());
        same("rebuilt", java.rebuilt, in.get() == 1);
        byte[] bytes = new byte[in.remaining()];
        in.get(bytes);
        if (!java.rebuilt) {
            same("bytes in place", hex(java.bytes), hex(bytes));
            if (!Arrays.equals(java.bytes, bytes))
                throw new Mismatch("bytes in place");
            count("accepted in place");
            return;
        }
        MemoryRecords want = MemoryRecords.readableRecords(ByteBuffer.wrap(java.bytes));
        MemoryRecords got = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
        same("header", header(want), header(got));
        same("records", Dump.ofJava(want), Dump.ofJava(got));
        count("accepted and rebuilt");
    }

    private static String header(MemoryRecords records) {
        StringBuilder text = new StringBuilder();
        for (MutableRecordBatch batch : records.batches())
            text.append(batch.baseOffset()).append(' ').append(batch.lastOffset()).append(' ')
                .append(batch.maxTimestamp()).append(' ').append(batch.timestampType()).append(' ')
                .append(batch.producerId()).append(' ').append(batch.producerEpoch()).append(' ')
                .append(batch.baseSequence()).append(' ').append(batch.isTransactional()).append(' ')
                .append(batch.isControlBatch()).append(' ').append(batch.compressionType())
                .append(' ').append(batch.partitionLeaderEpoch()).append(' ')
                .append(batch.deleteHorizonMs()).append(' ').append(batch.countOrNull())
                .append(' ').append(batch.isValid());
        return text.toString();
    }

    private void compareRefused(Broker.Outcome java, ByteBuffer in) {
        String text = new String(Peer.blob(in));
        int errors = in.getInt();
        if (java.singleRecords)
            same("text", java.message, text);
        else if (!text.equals(java.message))
            count("(other text than Kafka's for " + name(java.code) + ")");
        same("record errors", Math.min(java.recordErrors.size(), 1000), errors);
        for (int i = 0; i < errors; i++) {
            ProduceResponse.RecordError error = java.recordErrors.get(i);
            same("index of a record error", error.batchIndex, in.getInt());
            // Kafka prints the class it happened to read the record with, and its view of null.
            String message = error.message.replace("PartialDefaultRecord", "DefaultRecord")
                .replaceAll("=-\\d+ bytes", "=0 bytes");
            same("text of a record error", message, new String(Peer.blob(in)));
        }
        count("refused with " + name(java.code));
    }

    /** Message sets of magic 0 and 1, and batches of magic 2, one after the other as in a file. */
    private void readJavas(Random random) throws Exception {
        ByteBufferOutputStream out = new ByteBufferOutputStream(1000);
        long offset = random.nextLong() >>> (8 + random.nextInt(50));
        int sets = 1 + random.nextInt(4);
        for (int i = 0; i < sets; i++)
            offset = writeSet(random, out, offset);
        ByteBuffer buffer = out.buffer().duplicate();
        buffer.flip();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        boolean broken = random.nextInt(3) == 0;
        if (broken)
            bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
        byte[] command = ByteBuffer.allocate(5).put((byte) 'R').putInt(1 << 20).array();
        Peer.Answer ours = peer.ask(command, bytes);
        if (broken) {
            count("sets written by Java, then broken: read without harm");
            return;
        }
        if (ours.result() != 0)
            throw new Mismatch("a set of Java's: " + ours.result() + "\n  " + hex(bytes));
        List<String> want = Dump.ofJava(MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)));
        same("records of " + hex(bytes), String.join("\n", want),
            String.join("\n", Dump.ofPeer(ours.bytes())));
        count("sets written by Java, read by us");
    }

    private long writeSet(Random random, ByteBufferOutputStream out, long offset) {
        byte magic = (byte) random.nextInt(3);
        CompressionType type = CompressionType.values()[random.nextInt(magic < 2 ? 4 : 5)];
        TimestampType time = magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE
            : random.nextBoolean() ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME;
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(out, magic,
            Compression.of(type).build(), time, offset, Rules.NOW, -1L, (short) -1, -1, false, false,
            7, 1 << 20);
        int count = 1 + random.nextInt(20);
        count("set of magic " + magic + " with " + type);
        for (int i = 0; i < count; i++) {
            byte[] key = random.nextInt(3) == 0 ? null : RawBatch.randomBytes(random, 30);
            byte[] value = random.nextInt(8) == 0 ? null
                : RawBatch.randomBytes(random, random.nextInt(30) == 0 ? 100_000 : 200);
            long timestamp = magic == 0 ? -1 : Rules.NOW + random.nextInt(1000);
            builder.appendWithOffset(offset, timestamp, key, value);
            offset += 1 + (random.nextInt(6) == 0 ? random.nextInt(50) : 0); // as after compaction
        }
        builder.close();
        return offset;
    }

    private void readOurs(Random random) throws Exception {
        int codec = random.nextInt(5);
        int level = random.nextBoolean() ? Rules.LEVEL_DEFAULT : switch (codec) {
            case 1 -> 1 + random.nextInt(9);
            case 3 -> 1 + random.nextInt(17);
            case 4 -> random.nextInt(20) - 7;
            default -> Rules.LEVEL_DEFAULT;
        };
        byte[] command = ByteBuffer.allocate(14).put((byte) 'W').putLong(random.nextLong())
            .put((byte) codec).putInt(level).array();
        Peer.Answer ours = peer.ask(command);
        if (ours.result() != 0)
            throw new Mismatch("our own batch: " + ours.result());
        byte[] bytes = Peer.blob(ours.bytes());
        List<String> want =
            Dump.ofJava(MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)));
        same("records of our batch", String.join("\n", want),
            String.join("\n", Dump.ofPeer(ours.bytes())));
        count("batches written by us with " + CompressionType.forId(codec) + ", read by Java");
    }

    private void endTransaction(Random random) throws Exception {
        boolean commit = random.nextBoolean();
        int coordinatorEpoch = random.nextInt();
        long offset = random.nextLong() >>> 1;
        long timestamp = Rules.NOW + random.nextInt(1000);
        int leaderEpoch = random.nextInt(100);
        long producerId = random.nextLong() >>> 1;
        short producerEpoch = (short) random.nextInt(1000);
        MemoryRecords want = MemoryRecords.withEndTransactionMarker(offset, timestamp, leaderEpoch,
            producerId, producerEpoch, new EndTransactionMarker(
                commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT, coordinatorEpoch));
        byte[] wantBytes = new byte[want.sizeInBytes()];
        want.buffer().duplicate().get(wantBytes);
        Peer.Answer ours = peer.ask(ByteBuffer.allocate(36).put((byte) 'E')
            .put((byte) (commit ? 1 : 0)).putInt(coordinatorEpoch).putLong(offset)
            .putLong(timestamp).putInt(leaderEpoch).putLong(producerId).putShort(producerEpoch)
            .array());
        byte[] bytes = new byte[ours.bytes().remaining()];
        ours.bytes().get(bytes);
        same("end of a transaction", hex(wantBytes), hex(bytes));
        count("ends of transactions");
    }

    public static void main(String[] arguments) throws Exception {
        long seed = Long.parseLong(arguments[2]);
        long end = System.nanoTime() + Long.parseLong(arguments[1]) * 1_000_000_000L;
        long only = arguments.length > 3 ? Long.parseLong(arguments[3]) : -1;
        try (Peer peer = new Peer(arguments[0])) {
            Differential differential = new Differential(peer, new Broker());
            long number = only >= 0 ? only : 0;
            do {
                try {
                    differential.run(seed, number);
                } catch (Throwable e) {
                    System.err.println("seed " + seed + " case " + number + ": " + e.getMessage());
                    if (!(e instanceof Mismatch))
                        e.printStackTrace();
                    System.exit(1);
                }
                number++;
            } while (only < 0 && System.nanoTime() < end);
            differential.report(number);
        }
        System.exit(0);
    }

    private void report(long cases) {
        counts.forEach((what, times) -> System.out.printf("%8d  %s%n", times, what));
        for (Faults fault : Faults.values()) {
            int[] tally = faults.getOrDefault(fault, new int[2]);
            System.out.printf("%8d  fault %s (%d accepted by Kafka)%n", tally[0] + tally[1], fault,
                tally[0]);
        }
        System.out.println("cases=" + cases + " mismatches=0");
    }
}
