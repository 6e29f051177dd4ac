import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Kafka's command-line tools in process, in a class loader of their own, since their version differs
 * from the clients'. One at a time: they use the process's standard streams.
 */
final class Tools {
    private static final List<Runnable> HOOKS = new ArrayList<>();
    private static URLClassLoader loader;
    private static Integer status;

    private Tools() {
    }

    /** Thrown where a tool would end the process; an Error, so that tools do not catch it. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;

        Ended() {
            super("ended", null, false, false);
        }
    }

    private static synchronized ClassLoader loader() throws Exception {
        if (loader != null)
            return loader;
        List<URL> jars = new ArrayList<>();
        try (Stream<Path> files = Files.list(Path.of(System.getProperty("tools.jars")))) {
            for (Path file : files.sorted().collect(Collectors.toList()))
                jars.add(file.toUri().toURL());
        }
        loader = new URLClassLoader(jars.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
        // Kafka's tools end through one class, which lets a test say what ending means, and what to do
        // with work that is left for the process's end (the console producer's last batch is).
        Class<?> exit = loader.loadClass("org.apache.kafka.common.utils.Exit");
        Class<?> procedure = loader.loadClass("org.apache.kafka.common.utils.Exit$Procedure");
        Object ours = Proxy.newProxyInstance(loader, new Class<?>[] {procedure}, (proxy, method, values) -> {
            if (status == null)
                status = (Integer) values[0];
            throw new Ended();
        });
        exit.getMethod("setExitProcedure", procedure).invoke(null, ours);
        exit.getMethod("setHaltProcedure", procedure).invoke(null, ours);
        Class<?> adder = loader.loadClass("org.apache.kafka.common.utils.Exit$ShutdownHookAdder");
        Object collect = Proxy.newProxyInstance(loader, new Class<?>[] {adder}, (proxy, method, values) -> {
            HOOKS.add((Runnable) values[1]);
            return null;
        });
        exit.getMethod("setShutdownHookAdder", adder).invoke(null, collect);
        return loader;
    }

    /** What the process would run at its end: some tools put their last words there, past Exit. */
    @SuppressWarnings("unchecked")
    private static Set<Thread> processHooks() throws ReflectiveOperationException {
        Field hooks = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        hooks.setAccessible(true);
        return new HashSet<>(((Map<Thread, Thread>) hooks.get(null)).keySet());
    }

    private static void runHooks(Set<Thread> others) throws ReflectiveOperationException {
        HOOKS.forEach(Runnable::run);
        HOOKS.clear();
        for (Thread hook : processHooks())
            if (!others.contains(hook) && Runtime.getRuntime().removeShutdownHook(hook))
                hook.run();
    }

    static synchronized JsonNode run(JsonNode request) throws Exception {
        List<String> words = new ArrayList<>();
        request.get("args").forEach(word -> words.add(word.asText()));
        Method main = loader().loadClass(request.get("class").asText()).getMethod("main", String[].class);
        InputStream input = System.in;
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        ByteArrayOutputStream complained = new ByteArrayOutputStream();
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        Set<Thread> others = processHooks();
        status = null;
        System.setIn(new ByteArrayInputStream(request.has("stdin") ? request.get("stdin").binaryValue() : new byte[0]));
        System.setOut(new PrintStream(said, true));
        System.setErr(new PrintStream(complained, true));
        thread.setContextClassLoader(loader());
        int ended = 0;
        try {
            main.invoke(null, (Object) words.toArray(new String[0]));
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Ended)) {
                thrown.getCause().printStackTrace();
                ended = 1;
            }
        } finally {
            runHooks(others);
            System.out.flush();
            System.err.flush();
            thread.setContextClassLoader(before);
            System.setIn(input);
            System.setOut(out);
            System.setErr(err);
        }
        return Driver.JSON.createObjectNode()
                .put("status", status == null ? ended : status)
                .put("out", said.toByteArray())
                .put("err", complained.toByteArray());
    }
}
