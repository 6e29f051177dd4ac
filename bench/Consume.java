import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads so many records of a topic from its start, without a group: BOOTSTRAP TOPIC PARTITIONS RECORDS. */
public class Consume {
    private static final Duration IDLE_LIMIT = Duration.ofSeconds(20);

    public static void main(String[] args) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("enable.auto.commit", "false");
        List<TopicPartition> partitions = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(args[2]); i++) {
            partitions.add(new TopicPartition(args[1], i));
        }
        long wanted = Long.parseLong(args[3]), records = 0, bytes = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long start = System.nanoTime(), active = start;
            while (records < wanted && System.nanoTime() - active < IDLE_LIMIT.toNanos()) {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    records++;
                    bytes += record.value() == null ? 0 : record.value().length;
                    active = System.nanoTime();
                }
            }
            double seconds = (active - start) / 1e9;
            System.out.printf("{\"records\":%d,\"bytes\":%d,\"wall_s\":%.4f,\"MB_s\":%.2f}%n", records, bytes, seconds,
                    bytes / seconds / 1e6);
        }
        System.exit(records < wanted ? 1 : 0);
    }
}
