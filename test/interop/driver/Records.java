import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeoutException;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java producer and consumer. */
final class Records {
    private Records() {
    }

    static Map<String, Object> config(JsonNode request) {
        Map<String, Object> config = new HashMap<>();
        request.get("config").properties().forEach(entry -> config.put(entry.getKey(), entry.getValue().asText()));
        return config;
    }

    private static byte[] bytes(JsonNode node) throws IOException {
        return node == null || node.isNull() ? null : node.binaryValue();
    }

    /** Sends every record, flushes, and answers for each its partition and offset or its error. */
    static JsonNode produce(JsonNode request) throws Exception {
        ArrayNode results = Driver.JSON.createArrayNode();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config(request), new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode one : request.get("records")) {
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(one.get("topic").asText(),
                        one.hasNonNull("partition") ? one.get("partition").asInt() : null,
                        one.hasNonNull("timestamp") ? one.get("timestamp").asLong() : null,
                        bytes(one.get("key")), bytes(one.get("value")));
                if (one.has("headers"))
                    for (JsonNode header : one.get("headers"))
                        record.headers().add(header.get(0).asText(), bytes(header.get(1)));
                sent.add(producer.send(record));
            }
            producer.flush();
            for (Future<RecordMetadata> future : sent) {
                ObjectNode result = results.addObject();
                try {
                    RecordMetadata metadata = future.get();
                    result.put("partition", metadata.partition()).put("offset", metadata.offset())
                            .put("timestamp", metadata.timestamp());
                } catch (ExecutionException thrown) {
                    Driver.refuse(result, thrown);
                }
            }
        }
        return results;
    }

    private static void seek(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, JsonNode start) {
        if (start.isNumber()) {
            consumer.seek(partition, start.asLong());
        } else if (start.asText().equals("earliest")) {
            consumer.seekToBeginning(List.of(partition));
        } else if (start.asText().equals("latest")) {
            consumer.seekToEnd(List.of(partition));
        } else {
            long time = start.get("time").asLong();
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, time)).get(partition);
            if (found == null)
                consumer.seekToEnd(List.of(partition));
            else
                consumer.seek(partition, found.offset());
        }
    }

    private static ObjectNode json(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = Driver.JSON.createObjectNode();
        node.put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset());
        node.put("timestamp", record.timestamp()).put("timestamp_type", record.timestampType().name);
        node.put("key", record.key()).put("value", record.value());
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers())
            headers.addArray().add(header.key()).add(header.value());
        return node;
    }

    private static String line(ConsumerRecord<byte[], byte[]> record) {
        CRC32 sum = new CRC32();
        if (record.value() != null)
            sum.update(record.value());
        return record.topic() + " " + record.partition() + " " + record.offset() + " " + sum.getValue() + " "
                + (record.key() == null ? "-" : new String(record.key()));
    }

    /**
     * Reads `count` records, or without it to the end as it is at the start. With `to_file` each record
     * becomes a line "topic partition offset crc32(value) key" there and the answer is their number.
     */
    static JsonNode consume(JsonNode request) throws Exception {
        Map<TopicPartition, JsonNode> from = new LinkedHashMap<>();
        for (JsonNode one : request.get("from"))
            from.put(new TopicPartition(one.get(0).asText(), one.get(1).asInt()), one.get(2));
        long timeout = request.get("timeout_ms").asLong();
        long deadline = System.nanoTime() + timeout * 1_000_000;
        PrintStream file = request.has("to_file") ? new PrintStream(request.get("to_file").asText()) : null;
        ArrayNode records = Driver.JSON.createArrayNode();
        long seen = 0;
        KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(config(request), new ByteArrayDeserializer(), new ByteArrayDeserializer());
        try {
            consumer.assign(from.keySet());
            for (Map.Entry<TopicPartition, JsonNode> one : from.entrySet())
                seek(consumer, one.getKey(), one.getValue());
            from.keySet().forEach(consumer::position);
            Map<TopicPartition, Long> ends = request.has("count") ? null : consumer.endOffsets(from.keySet());
            boolean told = false;
            while (ends == null ? seen < request.get("count").asLong() : behind(consumer, ends)) {
                if (System.nanoTime() > deadline)
                    throw new TimeoutException("read " + seen + " records in " + timeout + " ms");
                long before = seen;
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(told ? 1000 : 200))) {
                    if (file != null)
                        file.println(line(record));
                    else
                        records.add(json(record));
                    seen++;
                }
                if (!told && seen == before) {
                    told = true;
                    Driver.event(request, "polling");
                }
            }
        } finally {
            // A fetch that is parked at the broker would hold it up.
            consumer.close(CloseOptions.timeout(Duration.ofMillis(100)));
            if (file != null)
                file.close();
        }
        return file == null ? records : Driver.JSON.getNodeFactory().numberNode(seen);
    }

    /** Read so many records as a member of a group, commit and leave. */
    static JsonNode consumeGroup(JsonNode request) throws Exception {
        long deadline = System.nanoTime() + request.get("timeout_ms").asLong() * 1_000_000;
        int count = request.get("count").asInt();
        ArrayNode records = Driver.JSON.createArrayNode();
        try (KafkaConsumer<byte[], byte[]> consumer =
                     new KafkaConsumer<>(config(request), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(request.get("topic").asText()));
            while (records.size() < count) {
                if (System.nanoTime() > deadline)
                    throw new TimeoutException("read " + records.size() + " records");
                consumer.poll(Duration.ofMillis(200)).forEach(record -> records.add(json(record)));
            }
            consumer.commitSync();
        }
        return records;
    }

    private static boolean behind(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
        for (Map.Entry<TopicPartition, Long> end : ends.entrySet())
            if (consumer.position(end.getKey()) < end.getValue())
                return true;
        return false;
    }
}
