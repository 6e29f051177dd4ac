import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * The Java consumer as a member of a group, a call at a time; members are named by `handle`. A member
 * is used by one request after the other, never by two at once.
 */
final class Members implements ConsumerRebalanceListener {
    private static final Map<Integer, Members> MEMBERS = new HashMap<>();
    private static int handles;

    private final KafkaConsumer<byte[], byte[]> consumer;
    private int revoked;

    private Members(JsonNode request) {
        consumer = new KafkaConsumer<>(Records.config(request), new ByteArrayDeserializer(), new ByteArrayDeserializer());
        subscribe(request);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        revoked += partitions.size();
    }

    private static Members of(JsonNode request) {
        synchronized (MEMBERS) {
            return MEMBERS.get(request.get("handle").asInt());
        }
    }

    private void subscribe(JsonNode request) {
        if (request.hasNonNull("server_pattern")) {
            consumer.subscribe(new SubscriptionPattern(request.get("server_pattern").asText()), this);
        } else if (request.hasNonNull("client_pattern")) {
            consumer.subscribe(Pattern.compile(request.get("client_pattern").asText()), this);
        } else {
            List<String> topics = new ArrayList<>();
            request.get("topics").forEach(topic -> topics.add(topic.asText()));
            consumer.subscribe(topics, this);
        }
    }

    private static JsonNode open(JsonNode request) {
        Members member = new Members(request);
        synchronized (MEMBERS) {
            MEMBERS.put(++handles, member);
            return Driver.JSON.getNodeFactory().numberNode(handles);
        }
    }

    /** What came, what is owned after that, and how many partitions have been taken from it. */
    private JsonNode poll(JsonNode request) {
        ObjectNode answer = Driver.JSON.createObjectNode();
        ArrayNode records = answer.putArray("records");
        consumer.poll(Duration.ofMillis(request.get("timeout_ms").asInt())).forEach(record -> records.addObject()
                .put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset())
                .put("value", record.value()));
        ArrayNode owned = answer.putArray("owned");
        for (TopicPartition partition : consumer.assignment())
            owned.addArray().add(partition.topic()).add(partition.partition());
        answer.put("revoked", revoked);
        return answer;
    }

    static JsonNode run(JsonNode request) {
        switch (request.get("call").asText()) {
            case "open":
                return open(request);
            case "poll":
                return of(request).poll(request);
            case "commit":
                of(request).consumer.commitSync();
                break;
            case "epoch":
                return Driver.JSON.getNodeFactory().numberNode(of(request).consumer.groupMetadata().generationId());
            case "subscribe":
                of(request).subscribe(request);
                break;
            case "close":
                of(request).consumer.close(CloseOptions.timeout(Duration.ofMillis(request.get("timeout_ms").asInt()))
                        .withGroupMembershipOperation(GroupMembershipOperation.valueOf(request.get("operation").asText())));
                break;
            default:
                throw new IllegalArgumentException("unknown call");
        }
        return Driver.JSON.getNodeFactory().nullNode();
    }
}
