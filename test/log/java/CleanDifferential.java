import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.FileLogInputStream.FileChannelRecordBatch;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;

/** Kafka's Cleaner over copies of logs that ours has cleaned: the same segments, batches, records and
 * aborted transactions are left, uncompressed batches to the byte. */
final class CleanDifferential {
    private static final KafkaScheduler SCHEDULER = new KafkaScheduler(1, true, "log-");
    static long cases, rounds, batches, bytesEqual, records, dropped, regrouped;

    public static void main(String[] args) throws Exception {
        SCHEDULER.startup();
        Path root = Path.of(args[0]);
        long seed = Long.parseLong(args[1]);
        int count = Integer.parseInt(args[2]);
        int mismatches = 0;
        for (int i = 0; i < count && mismatches == 0; i++) {
            try {
                run(root.resolve(Integer.toString(i)));
            } catch (RuntimeException e) {
                System.out.println("seed " + (seed + i) + ": " + e);
                mismatches++;
            }
        }
        System.out.println("cleaned logs=" + cases + " rounds=" + rounds + " batches=" + batches
            + " equal_to_the_byte=" + bytesEqual + " records=" + records + " segments_gone="
            + dropped + " regrouped=" + regrouped + " aborted_before_start=" + CompactedLog.leftOut + " mismatches=" + mismatches);
        System.exit(mismatches == 0 ? 0 : 1);
    }

    private static void run(Path dir) throws Exception {
        List<String> plan = Files.readAllLines(dir.resolve("plan"));
        List<String> ends = Files.readAllLines(dir.resolve("ends"));
        String[] head = plan.get(0).split(" ");
        LogConfig config = new LogConfig(Map.of(LogConfig.INTERNAL_SEGMENT_BYTES_CONFIG, head[0],
            "index.interval.bytes", head[1], "delete.retention.ms", head[2], "retention.ms", -1L,
            "cleanup.policy", "compact", "file.delete.delay.ms", 0L));
        boolean plain = head[3].equals("1");
        File kafkas = dir.resolve("kafkas/t-0").toFile();
        UnifiedLog log = CompactedLog.open(kafkas, config, SCHEDULER);
        log.updateHighWatermark(log.logEndOffset());
        long before = log.logSegments().size();
        long end = 0;
        for (int round = 1; round < plan.size(); round++) {
            String[] words = plan.get(round).split(" ");
            long to = Long.parseLong(words[0]);
            if (to > end)
                end = clean(log, end, to, words);
            check("end of round " + round, end, Long.parseLong(ends.get(round - 1)));
            rounds++;
        }
        dropped += before - log.logSegments().size();
        compare(dir, log, plain);
        log.close();
        cases++;
    }

    private static long clean(UnifiedLog log, long from, long to, String[] words) throws Exception {
        Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(Integer.parseInt(words[2])), 1 << 16,
            1 << 16, Double.parseDouble(words[3]),
            new Throttler(Double.MAX_VALUE, Long.MAX_VALUE, "t", "entries", Time.SYSTEM),
            Time.SYSTEM, partition -> { });
        return cleaner.doClean(new LogToClean(log, from, to, false), Long.parseLong(words[1]))
            .getKey();
    }

    private static void check(String what, Object kafkas, Object ours) {
        if (!kafkas.equals(ours))
            throw new RuntimeException(what + ": Kafka's is " + kafkas + ", ours " + ours);
    }

    private static byte[] bytes(Path dir, String name) throws IOException {
        Path path = dir.resolve(name);
        return Files.exists(path) ? Files.readAllBytes(path) : new byte[0];
    }

    private static void compare(Path dir, UnifiedLog log, boolean plain) throws IOException {
        Path ours = dir.resolve("ours/t-0"), kafkas = dir.resolve("kafkas/t-0");
        TreeSet<String> names = new TreeSet<>(), ourNames = new TreeSet<>();
        for (LogSegment segment : log.logSegments())
            names.add(segment.log().file().getName());
        for (File file : ours.toFile().listFiles())
            if (file.getName().endsWith(".log"))
                ourNames.add(file.getName());
        if (!plain && !names.equals(ourNames)) {
            regrouped++;
            compareWhole(kafkas, names, ours, ourNames);
            return;
        }
        check("segments", names, ourNames);
        for (String name : names) {
            String base = name.substring(0, 20);
            compareFile(kafkas.resolve(name), ours.resolve(name), name);
            if (!Arrays.equals(bytes(kafkas, base + ".txnindex"), bytes(ours, base + ".txnindex")))
                throw new RuntimeException(base + ".txnindex differs");
            boolean cleaned = !name.equals(names.last());
            for (String index : List.of(".index", ".timeindex"))
                if (plain && cleaned && !Arrays.equals(bytes(kafkas, base + index),
                    bytes(ours, base + index)))
                    throw new RuntimeException(base + index + " differs");
        }
    }

    /** What the two compress to differs by a few bytes, and by as little two segments may be too large
     * to become one: then the batches are compared one after the other, wherever they are. */
    private static void compareWhole(Path kafkas, TreeSet<String> names, Path ours,
                                     TreeSet<String> ourNames) throws IOException {
        try (Whole theirs = new Whole(kafkas, names); Whole own = new Whole(ours, ourNames)) {
            Iterator<FileChannelRecordBatch> one = theirs.batches.iterator();
            Iterator<FileChannelRecordBatch> other = own.batches.iterator();
            while (one.hasNext() && other.hasNext())
                compareBatch("the log's", one.next(), other.next());
            check("the log has more batches", one.hasNext(), other.hasNext());
        }
    }

    /** The batches of all segments. */
    private static final class Whole implements AutoCloseable {
        final List<FileChannelRecordBatch> batches = new ArrayList<>();
        private final List<FileRecords> files = new ArrayList<>();

        Whole(Path dir, TreeSet<String> names) throws IOException {
            for (String name : names) {
                FileRecords file = FileRecords.open(dir.resolve(name).toFile());
                files.add(file);
                file.batches().forEach(batches::add);
            }
        }

        @Override
        public void close() throws IOException {
            for (FileRecords file : files)
                file.close();
        }
    }

    private static void compareFile(Path kafkas, Path ours, String name) throws IOException {
        try (FileRecords theirs = FileRecords.open(kafkas.toFile());
             FileRecords own = FileRecords.open(ours.toFile())) {
            Iterator<FileChannelRecordBatch> one = theirs.batches().iterator();
            Iterator<FileChannelRecordBatch> other = own.batches().iterator();
            while (one.hasNext() && other.hasNext())
                compareBatch(name, one.next(), other.next());
            check(name + " has more batches", one.hasNext(), other.hasNext());
        }
    }

    private static byte[] raw(FileChannelRecordBatch batch) {
        ByteBuffer buffer = ByteBuffer.allocate(batch.sizeInBytes());
        batch.writeTo(buffer);
        return buffer.array();
    }

    private static String header(FileChannelRecordBatch batch) {
        return batch.baseOffset() + ".." + batch.lastOffset() + " magic " + batch.magic() + " "
            + batch.compressionType() + " " + batch.timestampType() + " producer "
            + batch.producerId() + "/" + batch.producerEpoch() + " sequence "
            + batch.baseSequence() + ".." + batch.lastSequence() + " epoch "
            + batch.partitionLeaderEpoch() + " transactional " + batch.isTransactional()
            + " control " + batch.isControlBatch() + " count " + batch.countOrNull() + " max "
            + batch.maxTimestamp() + " horizon " + batch.deleteHorizonMs();
    }

    private static String text(ByteBuffer buffer) {
        if (buffer == null)
            return "null";
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return Arrays.toString(bytes);
    }

    private static List<String> content(FileChannelRecordBatch batch) {
        List<String> lines = new ArrayList<>();
        for (Record record : batch) {
            record.ensureValid();
            lines.add(record.offset() + " " + record.timestamp() + " " + record.sequence() + " "
                + text(record.key()) + " " + text(record.value()) + " "
                + Arrays.toString(record.headers()));
        }
        records += lines.size();
        return lines;
    }

    private static void compareBatch(String name, FileChannelRecordBatch kafkas,
                                     FileChannelRecordBatch ours) {
        ours.ensureValid();
        check(name + " batch", header(kafkas), header(ours));
        check(name + " records", content(kafkas), content(ours));
        batches++;
        boolean equal = Arrays.equals(raw(kafkas), raw(ours));
        if (equal)
            bytesEqual++;
        else if (kafkas.compressionType() == CompressionType.NONE)
            throw new RuntimeException(name + " batch " + header(kafkas) + ": bytes differ");
    }
}
