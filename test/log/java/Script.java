import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;

/** Draws what to append: mostly right, sometimes wrong in the ways that producers are. */
final class Script {
    static final class Append {
        String origin = "client";
        int version;
        byte[] bytes;
        long producer = -1;

        MemoryRecords records() {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes.clone()));
        }
    }

    private static final class Producer {
        short epoch;
        int sequence;
        int coordinatorEpoch;
        final List<byte[]> sent = new ArrayList<>();
    }

    private final Random random;
    private final Map<Long, Producer> producers = new HashMap<>();
    private long time = System.currentTimeMillis() - 3600000;
    final List<Long> times = new ArrayList<>();
    int leaderEpoch;
    boolean singleBatches; // Kafka fails when an index fills up within one append

    Script(Random random) {
        this.random = random;
    }

    /** After a restart only the newest batch of each producer is known for certain. */
    void restarted() {
        producers.values().forEach(producer -> {
            while (producer.sent.size() > 1)
                producer.sent.remove(0);
        });
    }

    /** After a cut nothing is. */
    void cut() {
        producers.values().forEach(producer -> producer.sent.clear());
    }

    Append next(long endOffset) {
        if (random.nextInt(60) == 0)
            leaderEpoch = Math.min(7, leaderEpoch + 1);
        int kind = random.nextInt(100);
        if (kind < 15)
            return plain();
        if (kind < 50)
            return idempotent(1 + random.nextInt(4), false);
        if (kind < 75)
            return idempotent(11 + random.nextInt(3), true);
        if (kind < 90)
            return marker(11 + random.nextInt(3));
        return replicated(endOffset);
    }

    private Compression compression() {
        return switch (random.nextInt(6)) {
            case 0 -> Compression.gzip().build();
            case 1 -> Compression.lz4().build();
            case 2 -> Compression.zstd().build();
            case 3 -> Compression.snappy().build();
            default -> Compression.NONE;
        };
    }

    private SimpleRecord[] records() {
        SimpleRecord[] records = new SimpleRecord[1 + random.nextInt(random.nextInt(4) == 0 ? 20 : 3)];
        for (int i = 0; i < records.length; i++) {
            byte[] value = new byte[random.nextInt(random.nextInt(10) == 0 ? 4000 : 400)];
            random.nextBytes(value);
            time += random.nextInt(20) == 0 ? random.nextInt(20000) : random.nextInt(30) - 5;
            records[i] = new SimpleRecord(time, random.nextBoolean() ? null : new byte[] {1, 2},
                value);
        }
        if (random.nextInt(10) == 0)
            times.add(time);
        return records;
    }

    private static byte[] bytes(MemoryRecords records) {
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().duplicate().get(bytes);
        return bytes;
    }

    Append plain() {
        Append append = new Append();
        append.bytes = bytes(MemoryRecords.withRecords(compression(), records()));
        return append;
    }

    /** A segment's worth of an old format, wrapped sets among plain ones. */
    static byte[] legacy(Random random, byte magic) {
        ByteBuffer all = ByteBuffer.allocate(1 << 20);
        long offset = 0, time = System.currentTimeMillis() - 3600000;
        for (int set = 0; set < 40; set++) {
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), magic,
                random.nextBoolean() ? Compression.NONE : Compression.gzip().build(),
                TimestampType.CREATE_TIME, offset);
            for (int i = 1 + random.nextInt(5); i > 0; i--) {
                byte[] value = new byte[random.nextInt(600)];
                random.nextBytes(value);
                time += random.nextInt(50);
                builder.append(magic == 0 ? RecordBatch.NO_TIMESTAMP : time,
                    null, value);
                offset++;
            }
            all.put(builder.build().buffer().duplicate());
        }
        byte[] bytes = new byte[all.position()];
        all.flip();
        all.get(bytes);
        return bytes;
    }

    private Append idempotent(long id, boolean transactional) {
        Producer producer = producers.computeIfAbsent(id, key -> new Producer());
        Append append = new Append();
        append.producer = id;
        int fault = random.nextInt(30);
        if (fault < 3 && !producer.sent.isEmpty()) {
            append.bytes = producer.sent.get(random.nextInt(producer.sent.size()));
            return append;
        }
        short epoch = producer.epoch;
        int sequence = producer.sequence;
        if (fault == 3)
            sequence = sequence > Integer.MAX_VALUE - 9 ? 7 : sequence + 1 + random.nextInt(3);
        else if (fault == 4)
            sequence = Math.max(0, sequence - random.nextInt(20));
        else if (fault == 5 && epoch > 0)
            epoch--;
        else if (fault == 6) {
            epoch = ++producer.epoch;
            sequence = random.nextInt(4) == 0 ? 5 : 0;
            producer.sequence = 0;
            producer.sent.clear();
        } else if (fault == 7)
            transactional = !transactional;
        if (fault == 8 && producer.sent.isEmpty())
            sequence = producer.sequence = Integer.MAX_VALUE - random.nextInt(3);
        if (fault == 9 && transactional)
            append.origin = "coordinator";
        SimpleRecord[] records = records();
        append.bytes = bytes(transactional
            ? MemoryRecords.withTransactionalRecords(compression(), id, epoch, sequence, records)
            : MemoryRecords.withIdempotentRecords(compression(), id, epoch, sequence, records));
        return append;
    }

    private Append marker(long id) {
        Producer producer = producers.computeIfAbsent(id, key -> new Producer());
        Append append = new Append();
        append.origin = "coordinator";
        append.producer = id;
        short epoch = producer.epoch;
        if (random.nextInt(6) == 0) {
            append.version = 2;
            if (random.nextInt(4) != 0)
                epoch = ++producer.epoch;
        } else if (random.nextInt(10) == 0 && epoch > 0) {
            epoch--;
        }
        if (random.nextInt(10) == 0)
            producer.coordinatorEpoch++;
        int coordinatorEpoch = producer.coordinatorEpoch - (random.nextInt(20) == 0 ? 1 : 0);
        EndTransactionMarker marker = new EndTransactionMarker(
            random.nextBoolean() ? ControlRecordType.COMMIT : ControlRecordType.ABORT,
            Math.max(0, coordinatorEpoch));
        time += 1;
        append.bytes = bytes(MemoryRecords.withEndTransactionMarker(time, id, epoch, marker));
        if (append.version == 2 && epoch == producer.epoch) {
            producer.sequence = 0;
            producer.sent.clear();
        }
        return append;
    }

    private Append replicated(long endOffset) {
        Append append = new Append();
        append.origin = "replication";
        ByteBuffer all = ByteBuffer.allocate(1 << 18);
        for (int i = singleBatches ? 1 : 1 + random.nextInt(3); i > 0; i--) {
            SimpleRecord[] records = records();
            long id = 21 + random.nextInt(2);
            MemoryRecords batch = random.nextBoolean()
                ? MemoryRecords.withRecords(endOffset, compression(), leaderEpoch, records)
                : MemoryRecords.withIdempotentRecords(endOffset, compression(), id,
                    (short) random.nextInt(3), random.nextInt(100), leaderEpoch, records);
            all.put(batch.buffer().duplicate());
            endOffset += records.length;
        }
        append.bytes = new byte[all.position()];
        all.flip();
        all.get(append.bytes);
        return append;
    }

    /** Both took it. */
    void appended(Append append, boolean duplicate) {
        if (append.producer < 0 || duplicate)
            return;
        RecordBatch batch = append.records().batches().iterator().next();
        Producer producer = producers.get(append.producer);
        if (batch.isControlBatch())
            return;
        if (batch.producerEpoch() != producer.epoch)
            producer.sent.clear();
        producer.epoch = batch.producerEpoch();
        int last = batch.lastSequence();
        producer.sequence = last == Integer.MAX_VALUE ? 0 : last + 1;
        producer.sent.add(append.bytes);
        if (producer.sent.size() > 7)
            producer.sent.remove(0);
    }
}
