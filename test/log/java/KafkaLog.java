import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.AbortedTxn;
import org.apache.kafka.common.message.DescribeProducersResponseData;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.ListOffsetsRequest;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.common.OffsetAndEpoch;
import org.apache.kafka.server.common.RequestLocal;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogAppendInfo;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.LogStartOffsetIncrementReason;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.log.VerificationGuard;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** Apache Kafka's log, told in the words of the peer. */
final class KafkaLog {
    static final Uuid TOPIC_ID = new Uuid(77, 1234);
    private static final KafkaScheduler SCHEDULER = new KafkaScheduler(1, true, "log-");

    static {
        SCHEDULER.startup();
    }

    final UnifiedLog log;

    KafkaLog(File dir, Settings settings, boolean clean, long recovery, long start)
        throws IOException {
        log = UnifiedLog.create(dir, settings.config(), start, recovery, SCHEDULER,
            new BrokerTopicStats(false), Time.SYSTEM, 900000,
            new ProducerStateManagerConfig(86400000, false), 600000,
            new LogDirFailureChannel(5), clean, Optional.of(TOPIC_ID));
    }

    static final class Settings {
        int segmentBytes, interval, indexBytes;
        long segmentMs, retentionBytes = -1;

        LogConfig config() {
            return new LogConfig(Map.of(LogConfig.INTERNAL_SEGMENT_BYTES_CONFIG, segmentBytes,
                "segment.ms", segmentMs, "index.interval.bytes", interval, "segment.index.bytes",
                indexBytes, "retention.bytes", retentionBytes, "retention.ms", -1L,
                "file.delete.delay.ms", 0L, "message.timestamp.after.max.ms", Long.MAX_VALUE));
        }

        String words() {
            return segmentBytes + " " + segmentMs + " " + interval + " " + indexBytes + " "
                + retentionBytes;
        }
    }

    /** "appended BASE LAST DUPLICATE" and "result 0", or "result CODE". */
    List<String> append(String origin, int epoch, int version, MemoryRecords records) {
        long end = log.logEndOffset();
        try {
            LogAppendInfo info = switch (origin) {
                case "client" -> log.appendAsLeader(records, epoch, AppendOrigin.CLIENT,
                    RequestLocal.noCaching(), VerificationGuard.SENTINEL, (short) version);
                case "coordinator" -> log.appendAsLeader(records, epoch, AppendOrigin.COORDINATOR,
                    RequestLocal.noCaching(), VerificationGuard.SENTINEL, (short) version);
                default -> log.appendAsFollower(records, epoch);
            };
            boolean duplicate = log.logEndOffset() == end;
            return List.of("appended " + info.firstOffset() + " " + info.lastOffset() + " "
                + (duplicate ? 1 : 0), "result 0");
        } catch (Exception e) {
            return List.of("result " + Errors.forException(e).code());
        }
    }

    /** As a broker stops cleanly. */
    void close() throws IOException {
        log.prepareActiveSegmentForClose();
        log.flush(true);
        log.close();
    }

    void raise(long offset) {
        log.maybeIncrementLogStartOffset(offset,
            LogStartOffsetIncrementReason.ClientRecordDeletion);
    }

    List<String> summary(List<Long> times) throws IOException {
        List<String> lines = new ArrayList<>();
        lines.add("start " + log.logStartOffset());
        lines.add("end " + log.logEndOffset());
        lines.add(batches());
        List<DescribeProducersResponseData.ProducerState> producers =
            new ArrayList<>(log.activeProducers());
        producers.sort(Comparator.comparingLong(
            DescribeProducersResponseData.ProducerState::producerId));
        for (DescribeProducersResponseData.ProducerState producer : producers)
            lines.add("producer " + producer.producerId() + " " + producer.producerEpoch() + " "
                + producer.lastSequence() + " " + producer.lastTimestamp() + " "
                + producer.coordinatorEpoch() + " " + producer.currentTxnStartOffset());
        for (AbortedTxn aborted : log.collectAbortedTransactions(log.logStartOffset(),
            log.logEndOffset()))
            lines.add("aborted " + aborted.producerId() + " " + aborted.firstOffset());
        log.leaderEpochCache().epochEntries().forEach(entry ->
            lines.add("epoch " + entry.epoch() + " " + entry.startOffset()));
        for (LogSegment segment : log.logSegments())
            lines.add("segment " + segment.baseOffset() + " " + segment.size());
        // Within a batch Kafka tells the batch's base.
        lines.add("unstable " + log.firstUnstableOffset()
            .map(offset -> Math.max(offset, log.logStartOffset())).orElse(-1L));
        for (long time : times)
            lines.add("time " + time + " " + found(time));
        lines.add("max " + found(ListOffsetsRequest.MAX_TIMESTAMP));
        for (int epoch = 0; epoch < 8; epoch++) {
            Optional<OffsetAndEpoch> end = log.endOffsetForEpoch(epoch);
            lines.add("epochend " + epoch + " " + end.map(OffsetAndEpoch::epoch).orElse(-1) + " "
                + end.map(OffsetAndEpoch::offset).orElse(-1L));
        }
        return lines;
    }

    private String found(long time) {
        return log.fetchOffsetByTimestamp(time, Optional.empty()).timestampAndOffsetOpt()
            .map(at -> at.offset + " " + at.timestamp + " " + at.leaderEpoch.orElse(-1))
            .orElse("-1 -1 -1");
    }

    /** The bytes of every batch that holds an offset of the log. */
    private String batches() throws IOException {
        long bytes = 0;
        CRC32C crc = new CRC32C();
        for (LogSegment segment : log.logSegments()) {
            for (RecordBatch batch : segment.log().batches()) {
                if (batch.lastOffset() < log.logStartOffset())
                    continue;
                ByteBuffer buffer = ByteBuffer.allocate(batch.sizeInBytes());
                batch.writeTo(buffer);
                crc.update(buffer.array());
                bytes += batch.sizeInBytes();
            }
        }
        return "batches " + bytes + " " + crc.getValue();
    }
}
