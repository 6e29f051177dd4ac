import java.io.File;
import java.lang.management.ManagementFactory;
import java.util.Map;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;

/** How fast Kafka's Cleaner is with what micro-clean made: of each DIRECTORY, the partition's own, MB/s
 * and the processor's time for a GB, with the sizes that a broker gives its one cleaner thread by
 * default. The first ones warm the compiler up. A measurement, not a test. */
final class CleanSpeed {
    private static final KafkaScheduler SCHEDULER = new KafkaScheduler(1, true, "log-");

    private static long processorNs() {
        return ((com.sun.management.OperatingSystemMXBean)
            ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    public static void main(String[] args) throws Exception {
        SCHEDULER.startup();
        LogConfig config = new LogConfig(Map.of(LogConfig.INTERNAL_SEGMENT_BYTES_CONFIG, 100 << 20,
            "retention.ms", -1L, "cleanup.policy", "compact", "file.delete.delay.ms", 0L));
        for (String dir : args)
            clean(CompactedLog.open(new File(dir), config, SCHEDULER));
        System.exit(0);
    }

    private static void clean(UnifiedLog log) throws Exception {
        log.updateHighWatermark(log.logEndOffset());
        long bytes = log.size(), end = log.activeSegment().baseOffset();
        Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(128 << 20), 1 << 18, 1048588, 0.9,
            new Throttler(Double.MAX_VALUE, Long.MAX_VALUE, "t", "entries", Time.SYSTEM),
            Time.SYSTEM, partition -> { });
        long began = System.nanoTime(), beganCpu = processorNs();
        cleaner.doClean(new LogToClean(log, 0, end, false), System.currentTimeMillis());
        double took = (System.nanoTime() - began) / 1e9, cpu = (processorNs() - beganCpu) / 1e9;
        System.out.printf("%.0f MB/s, %.2f CPU-s/GB; %d MB, %d MB kept, end %d%n",
            bytes / 1e6 / took, cpu / (bytes / 1e9), bytes / 1000000, log.size() / 1000000, end);
        log.close();
    }
}
