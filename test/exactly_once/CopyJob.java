import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Copies records, their values changed, partition to same partition, with the positions of its group in the same
 * transaction: CopyJob BOOTSTRAP GROUP FROM TO TRANSACTIONAL-ID. It says `running` when it has partitions and `fenced` when another
 * has its place; it is there until its standard input ends.
 */
public final class CopyJob implements ConsumerRebalanceListener {
    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;
    private final String to;

    private CopyJob(String[] arguments) {
        Map<String, Object> reading = new HashMap<>();
        reading.put("bootstrap.servers", arguments[0]);
        reading.put("group.id", arguments[1]);
        reading.put("group.protocol", "classic");
        reading.put("enable.auto.commit", false);
        reading.put("auto.offset.reset", "earliest");
        reading.put("isolation.level", "read_committed");
        reading.put("max.poll.records", 50);
        reading.put("session.timeout.ms", 3000);
        reading.put("heartbeat.interval.ms", 300);
        consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer());
        Map<String, Object> writing = new HashMap<>();
        writing.put("bootstrap.servers", arguments[0]);
        writing.put("transactional.id", arguments[4]);
        writing.put("transaction.timeout.ms", 10000);
        producer = new KafkaProducer<>(writing, new StringSerializer(), new StringSerializer());
        to = arguments[3];
        producer.initTransactions();
        consumer.subscribe(List.of(arguments[2]), this);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        if (!partitions.isEmpty())
            System.out.println("running");
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
    }

    private void copy(ConsumerRecords<String, String> records) {
        Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(to, record.partition(), record.key(), "copy of " + record.value()));
            positions.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
        producer.commitTransaction();
    }

    /** What was read and not copied is read again. */
    private void rewind() {
        producer.abortTransaction();
        Set<TopicPartition> mine = consumer.assignment();
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(mine);
        for (TopicPartition one : mine) {
            if (committed.get(one) == null)
                consumer.seekToBeginning(Set.of(one));
            else
                consumer.seek(one, committed.get(one).offset());
        }
    }

    private void run() throws Exception {
        while (System.in.available() == 0) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
            if (records.isEmpty())
                continue;
            try {
                copy(records);
            } catch (ProducerFencedException thrown) {
                System.out.println("fenced");
                Runtime.getRuntime().halt(3);
            } catch (KafkaException thrown) {
                System.err.println("aborted: " + thrown);
                rewind();
            }
        }
        producer.close();
        consumer.close();
        Runtime.getRuntime().halt(0);
    }

    public static void main(String[] arguments) throws Exception {
        new CopyJob(arguments).run();
    }
}
