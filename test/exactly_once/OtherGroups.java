import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * Groups of the types that not every broker has: OtherGroups streams|share BOOTSTRAP GROUP TOPIC FOLDER. A Streams application of the
 * protocol of KIP-1071, or a consumer of a share group. One line is said: `works`, or the exception that it ends with.
 */
public final class OtherGroups {
    private static final int WAIT_S = 60;

    private OtherGroups() {
    }

    private static String streams(String bootstrap, String group, String topic, String folder) throws Exception {
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        config.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        config.put(StreamsConfig.GROUP_PROTOCOL_CONFIG, "streams");
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(topic).foreach((key, value) -> {
        });
        BlockingQueue<String> said = new LinkedBlockingQueue<>();
        try (KafkaStreams streams = new KafkaStreams(builder.build(), config)) {
            streams.setUncaughtExceptionHandler(thrown -> {
                Throwable cause = thrown;
                while (cause.getCause() != null)
                    cause = cause.getCause();
                said.add(cause.toString());
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.setStateListener((now, before) -> {
                if (now == KafkaStreams.State.RUNNING)
                    said.add("works");
            });
            streams.start();
            String first = said.poll(WAIT_S, TimeUnit.SECONDS);
            return first == null ? "nothing in " + WAIT_S + " s" : first;
        }
    }

    private static String share(String bootstrap, String group, String topic) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", group);
        try (KafkaShareConsumer<String, String> consumer =
                 new KafkaShareConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
            // A share group begins at the end of a topic: who is a member, and hears of no fault, is served.
            while (System.nanoTime() < deadline && consumer.poll(Duration.ofMillis(200)).isEmpty())
                continue;
            return System.nanoTime() < deadline ? "works" : "nothing in " + WAIT_S + " s";
        } catch (Exception thrown) {
            return thrown.toString();
        }
    }

    public static void main(String[] arguments) throws Exception {
        boolean streams = arguments[0].equals("streams");
        String said = streams ? streams(arguments[1], arguments[2], arguments[3], arguments[4])
                              : share(arguments[1], arguments[2], arguments[3]);
        System.out.println(said.replace('\n', ' '));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
