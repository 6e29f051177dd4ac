import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.utils.internals.Crc32C;
import org.apache.kafka.common.utils.internals.ByteBufferOutputStream;
import org.apache.kafka.common.utils.internals.ByteUtils;

/** A batch of magic 2 whose every field can lie. */
final class RawBatch {
    /** One record's frame; sizes are written as they stand here, whatever the bytes are. */
    static final class Raw {
        int lengthError;
        byte attributes;
        long timestampDelta;
        int offsetDelta;
        byte[] key;
        int keySize;
        byte[] value;
        int valueSize;
        int headerCount;
        List<byte[]> headers = new ArrayList<>(); // key, value, key, value; value null: null
        int headerKeyError;

        void encode(DataOutputStream out) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream body = new DataOutputStream(bytes);
            body.writeByte(attributes);
            ByteUtils.writeVarlong(timestampDelta, body);
            ByteUtils.writeVarint(offsetDelta, body);
            writeSized(body, keySize, key);
            writeSized(body, valueSize, value);
            ByteUtils.writeVarint(headerCount, body);
            for (int i = 0; i < headers.size(); i++) {
                byte[] part = headers.get(i);
                writeSized(body, part == null ? -1 : part.length - (i == 0 ? headerKeyError : 0), part);
            }
            ByteUtils.writeVarint(bytes.size() + lengthError, out);
            bytes.writeTo(out);
        }

        private static void writeSized(DataOutputStream out, int size, byte[] bytes)
            throws IOException {
            ByteUtils.writeVarint(size, out);
            if (bytes != null)
                out.write(bytes);
        }
    }

    long baseOffset;
    int lengthError;
    int leaderEpoch = -1;
    byte magic = 2;
    boolean badChecksum;
    short attributes; // without codec
    int codec;
    int lastOffsetDelta;
    long baseTimestamp = Rules.NOW;
    long maxTimestamp;
    long producerId = -1;
    short producerEpoch = -1;
    int baseSequence = -1;
    int count;
    List<Raw> records = new ArrayList<>();
    Tamper tamperPlain = bytes -> bytes;
    Tamper tamperPacked = bytes -> bytes;

    interface Tamper {
        byte[] apply(byte[] bytes);
    }

    static RawBatch random(Random random) {
        RawBatch batch = new RawBatch();
        batch.codec = random.nextInt(3) == 0 ? 0 : random.nextInt(5);
        batch.leaderEpoch = random.nextInt(10) - 1;
        int count = random.nextInt(50) == 0 ? 1 + random.nextInt(3000) : 1 + random.nextInt(12);
        batch.count = count;
        batch.lastOffsetDelta = count - 1;
        boolean keyless = random.nextInt(3) == 0;
        int spread = random.nextInt(10) == 0 ? 20_000 : 2_000;
        for (int i = 0; i < count; i++) {
            Raw raw = randomRecord(random, spread, keyless, count > 100);
            raw.offsetDelta = i;
            batch.records.add(raw);
        }
        if (random.nextInt(3) == 0) {
            batch.producerId = random.nextInt(1000);
            batch.producerEpoch = (short) random.nextInt(5);
            batch.baseSequence = random.nextInt(4) == 0 ? Integer.MAX_VALUE - random.nextInt(20)
                : random.nextInt(1000);
            if (random.nextBoolean())
                batch.attributes |= 0x10;
        }
        long max = -1;
        for (Raw raw : batch.records)
            max = Math.max(max, batch.baseTimestamp + raw.timestampDelta);
        batch.maxTimestamp = random.nextInt(8) == 0 ? max + random.nextInt(100) - 50 : max;
        return batch;
    }

    private static Raw randomRecord(Random random, int spread, boolean keyless, boolean small) {
        Raw raw = new Raw();
        raw.timestampDelta = random.nextInt(spread) - spread / 2;
        if (random.nextInt(200) == 0)
            raw.timestampDelta = -Rules.NOW - 1; // no timestamp
        if (random.nextInt(500) == 0)
            raw.timestampDelta = random.nextLong();
        raw.key = keyless && random.nextBoolean() ? null : randomBytes(random, 20);
        raw.keySize = raw.key == null ? -1 : raw.key.length;
        raw.value = random.nextInt(8) == 0 ? null
            : randomBytes(random, !small && random.nextInt(40) == 0 ? 200_000 : 100);
        raw.valueSize = raw.value == null ? -1 : raw.value.length;
        raw.headerCount = random.nextInt(3) == 0 ? random.nextInt(4) : 0;
        for (int i = 0; i < raw.headerCount; i++) {
            raw.headers.add(("h" + random.nextInt(100)).getBytes());
            raw.headers.add(random.nextInt(4) == 0 ? null : randomBytes(random, 30));
        }
        return raw;
    }

    static byte[] randomBytes(Random random, int bound) {
        byte[] bytes = new byte[random.nextInt(bound)];
        int letters = 1 + random.nextInt(60);
        for (int i = 0; i < bytes.length; i++)
            bytes[i] = (byte) ('A' + random.nextInt(letters));
        return bytes;
    }

    byte[] encode() throws IOException {
        ByteArrayOutputStream plain = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(plain);
        for (Raw raw : records)
            raw.encode(out);
        byte[] body = tamperPlain.apply(plain.toByteArray());
        if (codec > 0 && codec < 5)
            body = compress(CompressionType.forId(codec), body);
        body = tamperPacked.apply(body);
        ByteBuffer buffer = ByteBuffer.allocate(61 + body.length);
        buffer.putLong(baseOffset).putInt(49 + body.length + lengthError).putInt(leaderEpoch);
        buffer.put(magic).putInt(0).putShort((short) (attributes | codec));
        buffer.putInt(lastOffsetDelta).putLong(baseTimestamp).putLong(maxTimestamp);
        buffer.putLong(producerId).putShort(producerEpoch).putInt(baseSequence).putInt(count);
        buffer.put(body);
        int end = Math.max(21, Math.min(buffer.capacity(), buffer.capacity() + lengthError));
        long crc = Crc32C.compute(buffer.array(), 21, end - 21);
        buffer.putInt(17, (int) crc + (badChecksum ? 1 : 0));
        return buffer.array();
    }

    static byte[] compress(CompressionType type, byte[] plain) throws IOException {
        ByteBufferOutputStream packed = new ByteBufferOutputStream(plain.length / 2 + 100);
        Compression compression = Compression.of(type).build();
        try (OutputStream out = compression.wrapForOutput(packed, (byte) 2)) {
            out.write(plain);
        }
        ByteBuffer buffer = packed.buffer().duplicate();
        buffer.flip();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
