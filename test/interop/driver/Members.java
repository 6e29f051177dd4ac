import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * The Java consumer as a member of a group, a call at a time; members are named by `handle`. A member
 * is used by one request after the other, never by two at once.
 */
final class Members {
    private static final Map<Integer, KafkaConsumer<byte[], byte[]>> MEMBERS = new HashMap<>();
    private static int handles;

    private Members() {
    }

    private static KafkaConsumer<byte[], byte[]> of(JsonNode request) {
        synchronized (MEMBERS) {
            return MEMBERS.get(request.get("handle").asInt());
        }
    }

    private static JsonNode open(JsonNode request) {
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(Records.config(request), new ByteArrayDeserializer(),
                new ByteArrayDeserializer());
        if (request.hasNonNull("server_pattern")) {
            consumer.subscribe(new SubscriptionPattern(request.get("server_pattern").asText()));
        } else if (request.hasNonNull("client_pattern")) {
            consumer.subscribe(Pattern.compile(request.get("client_pattern").asText()));
        } else {
            List<String> topics = new ArrayList<>();
            request.get("topics").forEach(topic -> topics.add(topic.asText()));
            consumer.subscribe(topics);
        }
        synchronized (MEMBERS) {
            MEMBERS.put(++handles, consumer);
            return Driver.JSON.getNodeFactory().numberNode(handles);
        }
    }

    /** What came, and what is owned after that. */
    private static JsonNode poll(JsonNode request) {
        KafkaConsumer<byte[], byte[]> consumer = of(request);
        ObjectNode answer = Driver.JSON.createObjectNode();
        ArrayNode records = answer.putArray("records");
        consumer.poll(Duration.ofMillis(request.get("timeout_ms").asInt())).forEach(record -> records.addObject()
                .put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset())
                .put("value", record.value()));
        ArrayNode owned = answer.putArray("owned");
        for (TopicPartition partition : consumer.assignment())
            owned.addArray().add(partition.topic()).add(partition.partition());
        return answer;
    }

    static JsonNode run(JsonNode request) {
        switch (request.get("call").asText()) {
            case "open":
                return open(request);
            case "poll":
                return poll(request);
            case "commit":
                of(request).commitSync();
                break;
            case "epoch":
                return Driver.JSON.getNodeFactory().numberNode(of(request).groupMetadata().generationId());
            case "close":
                of(request).close(CloseOptions.timeout(Duration.ofMillis(request.get("timeout_ms").asInt())));
                break;
            default:
                throw new IllegalArgumentException("unknown call");
        }
        return Driver.JSON.getNodeFactory().nullNode();
    }
}
