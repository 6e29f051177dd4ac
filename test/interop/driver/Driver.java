import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.common.protocol.Errors;

/**
 * One JVM for all that the tests ask of Java: Kafka's clients, and Kafka's command-line tools run in
 * process. It reads one JSON request a line from standard input and writes one JSON answer a line to
 * standard output, each request on a thread of its own:
 *
 * <pre>{"id": 1, "op": "produce", …}  →  {"id": 1, "result": …}
 *                                  or  {"id": 1, "error": "TOPIC_ALREADY_EXISTS", "message": "…"}
 *                                  or, before these, {"id": 1, "event": "polling"}</pre>
 *
 * An error is named as in Kafka's table of errors. Bytes travel as base64, null stays null. It ends
 * when standard input does.
 */
public final class Driver {
    static final ObjectMapper JSON = new ObjectMapper();
    private static PrintStream answers;

    private Driver() {
    }

    static synchronized void answer(ObjectNode node) {
        answers.println(node.toString());
        answers.flush();
    }

    static void event(JsonNode request, String event) {
        answer(JSON.createObjectNode().put("id", request.get("id").asInt()).put("event", event));
    }

    /** What an operation says of itself when the broker refused it. */
    static void refuse(ObjectNode answer, Throwable thrown) {
        Throwable cause = thrown;
        while (cause instanceof ExecutionException && cause.getCause() != null)
            cause = cause.getCause();
        Errors error = Errors.forException(cause);
        boolean known = error != Errors.UNKNOWN_SERVER_ERROR;
        answer.put("error", known ? error.name() : cause.getClass().getSimpleName());
        answer.put("message", String.valueOf(cause.getMessage()));
    }

    private static JsonNode run(JsonNode request) throws Exception {
        switch (request.get("op").asText()) {
            case "produce":
                return Records.produce(request);
            case "consume":
                return Records.consume(request);
            case "consume_group":
                return Records.consumeGroup(request);
            case "admin":
                return Administration.run(request);
            case "member":
                return Members.run(request);
            case "transaction":
                return Transactions.run(request);
            case "tool":
                return Tools.run(request);
            default:
                throw new IllegalArgumentException("unknown op");
        }
    }

    private static void handle(JsonNode request) {
        ObjectNode answer = JSON.createObjectNode().put("id", request.get("id").asInt());
        try {
            answer.set("result", run(request));
        } catch (Throwable thrown) {
            refuse(answer, thrown);
        }
        answer(answer);
    }

    public static void main(String[] arguments) throws Exception {
        answers = System.out;
        // Nothing else may write among the answers.
        System.setOut(System.err);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JsonNode request = JSON.readTree(line);
            Thread worker = new Thread(() -> handle(request), "request-" + request.get("id"));
            worker.setDaemon(true);
            worker.start();
        }
        Runtime.getRuntime().halt(0);
    }
}
