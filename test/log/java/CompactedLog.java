import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.AbortedTxn;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.epoch.LeaderEpochFileCache;
import org.apache.kafka.storage.internals.log.LoadedLogOffsets;
import org.apache.kafka.storage.internals.log.LocalLog;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogLoader;
import org.apache.kafka.storage.internals.log.LogOffsetsListener;
import org.apache.kafka.storage.internals.log.LogSegments;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** Kafka's log, repaired in one place. Asked which aborted transactions reach into [start, end), Kafka's
 * also names those of start's segment that ended before start. Where a cleaning begins within a segment
 * its cleaner does not read their markers, so takes what the same producer commits afterwards for
 * aborted: it leaves the older values of these keys, and calls that clean. When such a later record is
 * a tombstone, its key comes back once the tombstone is gone. */
final class CompactedLog extends UnifiedLog {
    static long leftOut;

    private CompactedLog(LoadedLogOffsets offsets, LocalLog local, LeaderEpochFileCache epochs,
                         ProducerStateManager producers) throws IOException {
        super(offsets.logStartOffset(), local, new BrokerTopicStats(false), 600000, epochs, producers,
            Optional.of(new Uuid(77, 1234)), false, LogOffsetsListener.NO_OP_OFFSETS_LISTENER);
    }

    static CompactedLog open(File dir, LogConfig config, KafkaScheduler scheduler) throws IOException {
        TopicPartition partition = parseTopicPartitionName(dir);
        LogDirFailureChannel failures = new LogDirFailureChannel(5);
        LogSegments segments = new LogSegments(partition);
        LeaderEpochFileCache epochs =
            createLeaderEpochCache(dir, partition, failures, Optional.empty(), scheduler);
        ProducerStateManager producers = new ProducerStateManager(partition, dir, 900000,
            new ProducerStateManagerConfig(Integer.MAX_VALUE, false), Time.SYSTEM);
        LoadedLogOffsets offsets = new LogLoader(dir, partition, config, scheduler, Time.SYSTEM,
            failures, true, segments, 0, 0, epochs, producers, new ConcurrentHashMap<>(), false).load();
        LocalLog local = new LocalLog(dir, config, segments, offsets.recoveryPoint(),
            offsets.nextOffsetMetadata(), scheduler, Time.SYSTEM, partition, failures);
        return new CompactedLog(offsets, local, epochs, producers);
    }

    @Override
    public List<AbortedTxn> collectAbortedTransactions(long start, long end) {
        List<AbortedTxn> reaching = new ArrayList<>(super.collectAbortedTransactions(start, end));
        int all = reaching.size();
        reaching.removeIf(transaction -> transaction.lastOffset() < start);
        leftOut += all - reaching.size();
        return reaching;
    }
}
