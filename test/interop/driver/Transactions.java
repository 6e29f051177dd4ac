import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java producer's transactions, a call at a time; producers are named by `handle`. */
final class Transactions {
    private static final Map<Integer, KafkaProducer<byte[], byte[]>> PRODUCERS = new HashMap<>();
    private static int handles;

    private Transactions() {
    }

    private static int open(JsonNode request) {
        KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(Records.config(request), new ByteArraySerializer(), new ByteArraySerializer());
        try {
            producer.initTransactions();
        } catch (RuntimeException thrown) {
            producer.close(java.time.Duration.ZERO);
            throw thrown;
        }
        synchronized (PRODUCERS) {
            PRODUCERS.put(++handles, producer);
            return handles;
        }
    }

    private static KafkaProducer<byte[], byte[]> of(JsonNode request) {
        synchronized (PRODUCERS) {
            return PRODUCERS.get(request.get("handle").asInt());
        }
    }

    static JsonNode run(JsonNode request) throws Exception {
        long answer = 0;
        switch (request.get("call").asText()) {
            case "open":
                answer = open(request);
                break;
            case "begin":
                of(request).beginTransaction();
                break;
            case "send":
                answer = of(request).send(new ProducerRecord<>(request.get("topic").asText(),
                        request.get("partition").asInt(), null, request.get("value").binaryValue())).get().offset();
                break;
            case "offsets":
                of(request).sendOffsetsToTransaction(
                        Map.of(new TopicPartition(request.get("topic").asText(), request.get("partition").asInt()),
                                new OffsetAndMetadata(request.get("offset").asLong())),
                        new ConsumerGroupMetadata(request.get("group").asText()));
                break;
            case "commit":
                of(request).commitTransaction();
                break;
            case "abort":
                of(request).abortTransaction();
                break;
            case "close":
                of(request).close(java.time.Duration.ZERO);
                break;
            default:
                throw new IllegalArgumentException("unknown call");
        }
        return Driver.JSON.getNodeFactory().numberNode(answer);
    }
}
