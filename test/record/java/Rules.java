import java.nio.ByteBuffer;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.internal.CompressionType;

/** A topic's settings and the circumstances of one append. */
final class Rules {
    static final long NOW = 1_700_000_000_000L;
    static final int LEVEL_DEFAULT = Integer.MIN_VALUE;

    short version = 12;
    int maxMessageBytes = 1048588;
    boolean compacted;
    boolean logAppendTime;
    boolean internal; // appended by a coordinator, not a client
    Compression target; // null: the producer's
    int targetLevel = LEVEL_DEFAULT;
    long beforeMaxMs = Long.MAX_VALUE;
    long afterMaxMs = 3_600_000;
    int maxDecompressedBytes = 1 << 20;
    long baseOffset;
    int leaderEpoch = 4;

    static Rules random(Random random) {
        Rules rules = new Rules();
        rules.version = (short) (3 + random.nextInt(11));
        rules.compacted = random.nextInt(4) == 0;
        rules.logAppendTime = random.nextInt(4) == 0;
        rules.internal = random.nextInt(10) == 0;
        if (random.nextInt(3) == 0)
            rules.chooseTarget(random);
        if (random.nextInt(3) == 0)
            rules.beforeMaxMs = random.nextInt(10_000);
        if (random.nextInt(3) == 0)
            rules.afterMaxMs = random.nextBoolean() ? Long.MAX_VALUE : random.nextInt(10_000);
        if (random.nextInt(20) == 0)
            rules.maxMessageBytes = random.nextInt(2000);
        if (random.nextInt(10) == 0)
            rules.maxDecompressedBytes = 1 + random.nextInt(300);
        rules.baseOffset = random.nextLong() >>> (1 + random.nextInt(60));
        return rules;
    }

    private void chooseTarget(Random random) {
        boolean level = random.nextBoolean();
        CompressionType type = CompressionType.values()[random.nextInt(5)];
        target = Compression.of(type).build();
        if (!level || type == CompressionType.NONE || type == CompressionType.SNAPPY)
            return;
        switch (type) {
            case GZIP -> {
                targetLevel = 1 + random.nextInt(9);
                target = Compression.gzip().level(targetLevel).build();
            }
            case LZ4 -> {
                targetLevel = 1 + random.nextInt(17);
                target = Compression.lz4().level(targetLevel).build();
            }
            default -> {
                targetLevel = -5 + random.nextInt(12);
                target = Compression.zstd().level(targetLevel).build();
            }
        }
    }

    byte[] encode() {
        ByteBuffer out = ByteBuffer.allocate(128);
        out.put((byte) 'V').putShort(version).putInt(maxMessageBytes);
        out.put((byte) ((compacted ? 1 : 0) | (logAppendTime ? 2 : 0) | (target != null ? 4 : 0)
                | (internal ? 8 : 0)));
        out.putLong(NOW).putLong(beforeMaxMs).putLong(afterMaxMs);
        out.put((byte) (target == null ? 0 : target.type().id)).putInt(targetLevel);
        out.putInt(maxDecompressedBytes).putLong(baseOffset).putInt(leaderEpoch);
        byte[] bytes = new byte[out.position()];
        out.flip().get(bytes);
        return bytes;
    }

    @Override
    public String toString() {
        return "version=" + version + " max=" + maxMessageBytes + " compacted=" + compacted
            + " logAppendTime=" + logAppendTime + " internal=" + internal + " target="
            + (target == null ? "producer" : target.type()) + " level=" + targetLevel + " before="
            + beforeMaxMs + " after=" + afterMaxMs + " decompressed=" + maxDecompressedBytes
            + " base=" + baseOffset;
    }
}
