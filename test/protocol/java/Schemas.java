import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.apache.kafka.common.protocol.Message;

/** The messages that the jars contain: generated classes, and beside them the schemas they were made from. */
final class Schemas {
    /** A range of versions, both ends included. */
    record Versions(int first, int last) {
        static Versions parse(JsonNode node) {
            if (node == null || node.isNull() || node.asText().equals("none"))
                return new Versions(1, 0);
            String text = node.asText();
            if (text.endsWith("+"))
                return new Versions(Integer.parseInt(text.substring(0, text.length() - 1)), Short.MAX_VALUE);
            String[] ends = text.split("-");
            return new Versions(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]));
        }

        boolean contain(int version) {
            return version >= first && version <= last;
        }
    }

    static final class Field {
        final String name;
        final String base; // type without "[]"
        final boolean array;
        final Versions versions;
        final Versions nullable;
        final Versions tagged;
        final String defaultText; // "" if there is none
        List<Field> struct; // null for primitive types

        Field(JsonNode node) {
            name = node.get("name").asText();
            String type = node.get("type").asText();
            array = type.startsWith("[]");
            base = array ? type.substring(2) : type;
            tagged = Versions.parse(node.get("taggedVersions"));
            versions = node.has("versions") ? Versions.parse(node.get("versions")) : tagged;
            nullable = Versions.parse(node.get("nullableVersions"));
            JsonNode value = node.get("default");
            defaultText = value == null || value.isNull() ? "" : value.asText();
        }

        boolean nullDefault() {
            return defaultText.equals("null") || base.equals("records");
        }

        String javaName() {
            return name.substring(0, 1).toLowerCase() + name.substring(1);
        }
    }

    static final class Schema {
        final String name;
        final Versions flexible;
        final List<Field> fields;
        Class<? extends Message> type;
        Constructor<? extends Message> constructor;
        int first;
        int last;

        Schema(JsonNode node) {
            name = node.get("name").asText();
            flexible = Versions.parse(node.get("flexibleVersions"));
            Map<String, List<Field>> structs = new HashMap<>();
            fields = readFields(node.get("fields"), structs);
            if (node.has("commonStructs"))
                for (JsonNode struct : node.get("commonStructs"))
                    structs.put(struct.get("name").asText(), readFields(struct.get("fields"), structs));
            connect(fields, structs);
            structs.values().forEach(struct -> connect(struct, structs));
        }

        private static List<Field> readFields(JsonNode nodes, Map<String, List<Field>> structs) {
            List<Field> fields = new ArrayList<>();
            for (JsonNode node : nodes) {
                Field field = new Field(node);
                fields.add(field);
                if (node.has("fields"))
                    structs.put(field.base, readFields(node.get("fields"), structs));
            }
            return fields;
        }

        private static void connect(List<Field> fields, Map<String, List<Field>> structs) {
            for (Field field : fields)
                field.struct = structs.get(field.base);
        }

        Message create() throws ReflectiveOperationException {
            return constructor.newInstance();
        }
    }

    /** By name. Fails if a schema with versions has no class or a class no schema. */
    static Map<String, Schema> read(Path folder) throws Exception {
        Map<String, Schema> schemas = new TreeMap<>();
        Map<String, Class<? extends Message>> classes = new TreeMap<>();
        List<Path> jars;
        try (Stream<Path> list = Files.list(folder)) {
            jars = list.filter(p -> p.getFileName().toString().matches("kafka.*\\.jar")).sorted().toList();
        }
        for (Path jar : jars)
            readJar(jar, schemas, classes);
        for (Schema schema : schemas.values()) {
            Class<? extends Message> type = classes.remove(schema.name);
            if (type == null)
                throw new IllegalStateException("no class for the schema " + schema.name);
            schema.type = type;
            schema.constructor = type.getConstructor();
            Message message = schema.create();
            schema.first = message.lowestSupportedVersion();
            schema.last = message.highestSupportedVersion();
        }
        if (!classes.isEmpty())
            throw new IllegalStateException("no schema for the classes " + classes.values());
        return schemas;
    }

    private static void readJar(Path jar, Map<String, Schema> schemas,
                                Map<String, Class<? extends Message>> classes) throws Exception {
        ObjectMapper mapper = new ObjectMapper().enable(JsonParser.Feature.ALLOW_COMMENTS);
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            for (ZipEntry entry : zip.stream().map(e -> (ZipEntry) e).toList()) {
                String name = entry.getName();
                if (name.matches("(common/)?(message|metadata)/\\w+\\.json")) {
                    JsonNode node = mapper.readTree(zip.getInputStream(entry));
                    if (!node.get("validVersions").asText().equals("none"))
                        schemas.put(node.get("name").asText(), new Schema(node));
                } else if (name.matches("org/apache/kafka/.*/(message|metadata|generated)/\\w+\\.class")) {
                    Class<? extends Message> type = messageClass(name);
                    if (type != null)
                        classes.put(type.getSimpleName().replaceFirst("(Request|Response|Header)Data$", "$1"), type);
                }
            }
        }
    }

    private static Class<? extends Message> messageClass(String entry) throws IOException {
        String name = entry.substring(0, entry.length() - ".class".length()).replace('/', '.');
        try {
            Class<?> type = Class.forName(name, false, Schemas.class.getClassLoader());
            boolean concrete = !type.isInterface() && !type.isEnum();
            return concrete && Message.class.isAssignableFrom(type) ? type.asSubclass(Message.class) : null;
        } catch (ClassNotFoundException | NoClassDefFoundError e) {
            throw new IOException(name, e);
        }
    }
}
