import java.io.File;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.internals.BufferSupplier;
import org.apache.kafka.common.utils.internals.PrimitiveRef;
import org.apache.kafka.server.record.BrokerCompressionType;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogAppendInfo;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogValidator;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.RecordValidationException;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** What Apache Kafka's broker makes of a partition's records, up to the write. */
final class Broker {
    /** code 0: `bytes` are what it would write; else why not. */
    static final class Outcome {
        int code;
        String message;
        List<ProduceResponse.RecordError> recordErrors = List.of();
        boolean singleRecords; // the fault is of single records: texts are shown to clients
        byte[] bytes;
        boolean rebuilt;
        long maxTimestamp;
        long logAppendTime;
        Throwable thrown;
    }

    private static final TopicPartition PARTITION = new TopicPartition("topic", 0);

    private final UnifiedLog log;
    private final Method analyze;
    private final Method trim;
    private final Time time = (Time) Proxy.newProxyInstance(Broker.class.getClassLoader(),
        new Class<?>[] {Time.class}, (proxy, method, arguments) -> switch (method.getName()) {
            case "milliseconds" -> Rules.NOW;
            case "nanoseconds", "hiResClockMs" -> 0L;
            default -> throw new UnsupportedOperationException(method.getName());
        });
    private final LogValidator.MetricsRecorder metrics = new LogValidator.MetricsRecorder() {
        public void recordInvalidMagic() {
        }

        public void recordInvalidOffset() {
        }

        public void recordInvalidSequence() {
        }

        public void recordInvalidChecksums() {
        }

        public void recordNoKeyCompactedTopic() {
        }
    };

    Broker() throws Exception {
        File dir = Files.createTempDirectory("record-differential").resolve("topic-0").toFile();
        log = UnifiedLog.create(dir, new LogConfig(Map.of()), 0L, 0L, new KafkaScheduler(1),
            new BrokerTopicStats(false), Time.SYSTEM, 1, new ProducerStateManagerConfig(1, false), 1,
            new LogDirFailureChannel(1), true, Optional.empty());
        analyze = UnifiedLog.class.getDeclaredMethod("analyzeAndValidateRecords",
            MemoryRecords.class, AppendOrigin.class, boolean.class, boolean.class, int.class);
        analyze.setAccessible(true);
        trim = UnifiedLog.class.getDeclaredMethod("trimInvalidBytes", MemoryRecords.class,
            LogAppendInfo.class);
        trim.setAccessible(true);
        deleteOnExit(dir);
    }

    private static void deleteOnExit(File dir) {
        dir.getParentFile().deleteOnExit();
        dir.deleteOnExit();
        for (File file : dir.listFiles())
            file.deleteOnExit();
    }

    Outcome append(Rules rules, byte[] bytes) {
        Outcome outcome = new Outcome();
        try {
            appendOrThrow(rules, MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)), outcome);
        } catch (InvocationTargetException e) {
            failed(outcome, e.getCause());
        } catch (Throwable e) {
            failed(outcome, e);
        }
        return outcome;
    }

    private static void failed(Outcome outcome, Throwable e) {
        outcome.thrown = e;
        if (e instanceof RecordValidationException invalid) {
            outcome.singleRecords = true;
            outcome.recordErrors = new ArrayList<>(invalid.recordErrors());
            e = invalid.invalidException();
        }
        outcome.code = Errors.forException(e).code();
        outcome.message = e.getMessage();
    }

    /** The steps of KafkaApis, ReplicaManager and UnifiedLog.append. */
    private void appendOrThrow(Rules rules, MemoryRecords records, Outcome outcome)
        throws Exception {
        AppendOrigin origin = rules.internal ? AppendOrigin.COORDINATOR : AppendOrigin.CLIENT;
        log.updateConfig(new LogConfig(Map.of("max.message.bytes", rules.maxMessageBytes)));
        ProduceRequest.validateRecords(rules.version, records);
        LogAppendInfo info =
            (LogAppendInfo) analyze.invoke(log, records, origin, false, false, rules.leaderEpoch);
        MemoryRecords valid = (MemoryRecords) trim.invoke(log, records, info);
        LogValidator validator = new LogValidator(valid, PARTITION, time, info.sourceCompression(),
            BrokerCompressionType.targetCompression(Optional.ofNullable(rules.target),
                info.sourceCompression()),
            rules.compacted, RecordBatch.CURRENT_MAGIC_VALUE,
            rules.logAppendTime ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
            rules.beforeMaxMs, rules.afterMaxMs, rules.leaderEpoch, origin,
            rules.maxDecompressedBytes);
        LogValidator.ValidationResult result = validator.validateMessagesAndAssignOffsets(
            PrimitiveRef.ofLong(rules.baseOffset), metrics, BufferSupplier.NO_CACHING);
        MemoryRecords written = result.validatedRecords();
        if (result.messageSizeMaybeChanged())
            for (RecordBatch batch : written.batches())
                if (batch.sizeInBytes() > rules.maxMessageBytes)
                    throw new RecordTooLargeException("rebuilt batch");
        outcome.rebuilt = result.messageSizeMaybeChanged();
        outcome.maxTimestamp = result.maxTimestampMs();
        outcome.logAppendTime = rules.logAppendTime ? result.logAppendTimeMs() : -1;
        outcome.bytes = new byte[written.sizeInBytes()];
        written.buffer().duplicate().get(outcome.bytes);
    }
}
