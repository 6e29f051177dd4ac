import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

/** Fills Kafka's own message objects with values that a version can carry. */
final class Filler {
    /** As enum fill_mode of the peer; SINGLE is ours: one field is set and what it stands in, the rest is default. */
    enum Mode { FULL, DEFAULT, RANDOM, SINGLE }

    private static final long[] EDGES = {0, 1, -1, 127, 128, Byte.MIN_VALUE, Short.MAX_VALUE, Short.MIN_VALUE,
        Integer.MAX_VALUE, Integer.MIN_VALUE, Long.MAX_VALUE, Long.MIN_VALUE, 0xffffL, 0xffffffffL};
    private static final int[] POINTS = {'a', 'Z', '"', 0x01, 0xe9, 0x20ac, 0x1f426};

    private final Map<Class<?>, Map<String, java.lang.reflect.Field>> members = new HashMap<>();
    /** "message version path" of each field that has had a value other than its default. */
    final Set<String> covered = new HashSet<>();
    private final Random random;
    private String where;
    private Mode mode;
    private String target;
    private boolean targetNull;
    private int version;
    private int depth;

    Filler(Random random) {
        this.random = random;
    }

    void fill(Schemas.Schema schema, Message message, int atVersion, Mode inMode) throws Exception {
        start(schema, inMode, atVersion);
        fillStruct(schema.fields, message, "");
    }

    /**
     * Set the field of this path ("Topics.Partitions.Index") to another value than its default, or to null if the
     * version has it nullable, and no other.
     */
    void fillSingle(Schemas.Schema schema, Message message, int atVersion, String path, boolean toNull)
        throws Exception {
        start(schema, Mode.SINGLE, atVersion);
        target = path;
        targetNull = toNull;
        fillStruct(schema.fields, message, "");
    }

    private void start(Schemas.Schema schema, Mode inMode, int atVersion) {
        where = schema.name + " " + atVersion + " ";
        mode = inMode;
        version = atVersion;
        depth = 0;
    }

    /** Every field that fill must have covered, in the form of `covered`. */
    static void expected(Schemas.Schema schema, int version, Set<String> names) {
        expected(schema.fields, version, schema.name + " " + version + " ", names);
    }

    private static void expected(List<Schemas.Field> fields, int version, String path, Set<String> names) {
        for (Schemas.Field field : fields) {
            if (!field.versions.contain(version))
                continue;
            names.add(path + field.name);
            if (field.struct != null)
                expected(field.struct, version, path + field.name + ".", names);
        }
    }

    private void fillStruct(List<Schemas.Field> fields, Object struct, String path) throws Exception {
        depth++;
        for (Schemas.Field field : fields) {
            if (!field.versions.contain(version))
                continue;
            java.lang.reflect.Field member = member(struct.getClass(), field.javaName());
            boolean nullable = field.nullable.contain(version);
            boolean defaultFits = !field.nullDefault() || nullable;
            boolean wanted = mode == Mode.SINGLE && (target + ".").startsWith(path + field.name + ".");
            if (defaultFits && (mode == Mode.DEFAULT || mode == Mode.SINGLE && !wanted) || mode == Mode.RANDOM && defaultFits && random.nextInt(4) == 0)
                continue;
            boolean singleNull = mode == Mode.SINGLE && targetNull && target.equals(path + field.name);
            if (nullable && (singleNull || mode == Mode.RANDOM && random.nextInt(4) == 0)) {
                member.set(struct, null);
                continue;
            }
            fillField(field, member, struct, path + field.name);
        }
        depth--;
    }

    private void fillField(Schemas.Field field, java.lang.reflect.Field member, Object struct, String path)
        throws Exception {
        Object before = member.get(struct);
        Object value;
        do
            value = field.array ? array(field, member, path) : value(field, member.getType(), path);
        while (same(before, value) && mustDiffer(field, path));
        member.set(struct, value);
        if (!same(before, value))
            covered.add(where + path);
    }

    private boolean mustDiffer(Schemas.Field field, String path) {
        return mode == Mode.FULL || mode == Mode.SINGLE && target.equals(path) && field.struct == null;
    }

    private static boolean same(Object a, Object b) {
        if (a instanceof byte[] x && b instanceof byte[] y)
            return Arrays.equals(x, y);
        return a == null ? b == null : a.equals(b);
    }

    private java.lang.reflect.Field member(Class<?> type, String name) {
        return members.computeIfAbsent(type, t -> {
            Map<String, java.lang.reflect.Field> found = new HashMap<>();
            for (java.lang.reflect.Field field : t.getDeclaredFields()) {
                field.setAccessible(true);
                found.put(field.getName(), field);
            }
            return found;
        }).get(name);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Object array(Schemas.Field field, java.lang.reflect.Field member, String path) throws Exception {
        int count = random.nextInt(depth > 1 ? 3 : 5);
        if (field.struct == null && random.nextInt(32) == 0)
            count = 126 + random.nextInt(4);
        if (count == 0 && (mode == Mode.FULL || mode == Mode.SINGLE))
            count = 1;
        boolean list = member.getType() == List.class;
        Collection items = list ? new ArrayList() : (Collection) member.getType().getConstructor().newInstance();
        for (int i = 0; i < count; i++)
            items.add(value(field, list ? itemType(member) : itemClass(member.getType()), path));
        return items;
    }

    private static Class<?> itemType(java.lang.reflect.Field member) {
        return (Class<?>) ((ParameterizedType) member.getGenericType()).getActualTypeArguments()[0];
    }

    /** FooCollection extends ImplicitLinkedHashMultiCollection<Foo>. */
    private static Class<?> itemClass(Class<?> collection) {
        return (Class<?>) ((ParameterizedType) collection.getGenericSuperclass()).getActualTypeArguments()[0];
    }

    private Object value(Schemas.Field field, Class<?> type, String path) throws Exception {
        if (field.struct != null) {
            Object struct = type.getConstructor().newInstance();
            fillStruct(field.struct, struct, path + ".");
            return struct;
        }
        long number = number();
        return switch (field.base) {
            case "bool" -> (number & 1) == 1;
            case "int8" -> (byte) number;
            case "int16" -> (short) number;
            case "uint16" -> (int) (number & 0xffff);
            case "int32" -> (int) number;
            case "uint32" -> number & 0xffffffffL;
            case "int64" -> number;
            case "float64" -> number / 8.0;
            case "uuid" -> new Uuid(random.nextLong(), random.nextLong());
            case "string" -> string();
            case "bytes" -> type == ByteBuffer.class ? ByteBuffer.wrap(bytes()) : bytes();
            case "records" -> records(type);
            default -> throw new IllegalStateException("type " + field.base);
        };
    }

    private Object records(Class<?> type) {
        if (!type.isAssignableFrom(MemoryRecords.class) || !BaseRecords.class.isAssignableFrom(type))
            throw new IllegalStateException("records as " + type);
        return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
    }

    private long number() {
        return random.nextBoolean() ? EDGES[random.nextInt(EDGES.length)] : random.nextLong() >>> random.nextInt(64);
    }

    private int length() {
        int length = random.nextInt(12);
        int kind = random.nextInt(64);
        if (kind == 0)
            length = 120 + random.nextInt(16);
        else if (kind == 1 && depth < 3)
            length = 16370 + random.nextInt(30);
        return length == 0 && mode == Mode.FULL ? 1 : length;
    }

    private String string() {
        StringBuilder text = new StringBuilder();
        int bytes = 0;
        for (int length = length(); bytes < length; ) {
            int point = POINTS[random.nextInt(POINTS.length)];
            text.appendCodePoint(point);
            bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        }
        return text.toString();
    }

    private byte[] bytes() {
        byte[] data = new byte[length()];
        random.nextBytes(data);
        return data;
    }

    /** Put a tagged field that no schema knows behind the message and every struct that is written with it. */
    void addUnknownTags(Schemas.Schema schema, Message message, int atVersion) throws Exception {
        addUnknownTags(schema.fields, message, atVersion);
    }

    private void addUnknownTags(List<Schemas.Field> fields, Message message, int atVersion) throws Exception {
        for (Schemas.Field field : fields) {
            if (field.struct == null || !field.versions.contain(atVersion))
                continue;
            Object value = member(message.getClass(), field.javaName()).get(message);
            // An unknown tag would turn a default that is not written into a value that is.
            if (field.tagged.contain(atVersion) && value instanceof Message inner
                && inner.equals(inner.getClass().getConstructor().newInstance()))
                continue;
            for (Object item : value instanceof Collection<?> items ? items : Arrays.asList(value))
                if (item != null)
                    addUnknownTags(field.struct, (Message) item, atVersion);
        }
        message.unknownTaggedFields().add(new RawTaggedField(10_000 + random.nextInt(1000), bytes()));
    }
}
