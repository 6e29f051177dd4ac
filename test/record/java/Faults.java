import java.util.Arrays;
import java.util.Random;

/** Ways for a batch to be wrong. Each is named, so that a run can tell which it tried. */
enum Faults {
    NONE {
        void apply(RawBatch batch, Random random) {
        }
    },
    BASE_OFFSET {
        void apply(RawBatch batch, Random random) {
            batch.baseOffset = odd(random, 0);
        }
    },
    LENGTH {
        void apply(RawBatch batch, Random random) {
            batch.lengthError = random.nextBoolean() ? -random.nextInt(70) : random.nextInt();
        }
    },
    MAGIC {
        void apply(RawBatch batch, Random random) {
            batch.magic = (byte) (random.nextBoolean() ? random.nextInt(4) : random.nextInt());
        }
    },
    CHECKSUM {
        void apply(RawBatch batch, Random random) {
            batch.badChecksum = true;
        }
    },
    ATTRIBUTES {
        void apply(RawBatch batch, Random random) {
            batch.attributes ^= (short) (1 << (3 + random.nextInt(13)));
        }
    },
    APPEND_TIME {
        void apply(RawBatch batch, Random random) {
            batch.attributes |= 8;
            batch.maxTimestamp = odd(random, Rules.NOW);
        }
    },
    CONTROL {
        void apply(RawBatch batch, Random random) {
            batch.attributes |= 0x20;
        }
    },
    CODEC {
        void apply(RawBatch batch, Random random) {
            batch.codec = random.nextInt(8);
            int stays = batch.codec;
            batch.tamperPacked = bytes -> bytes;
            if (random.nextBoolean()) // another codec than the bytes are of
                batch.attributes ^= (short) (stays == 0 ? 0 : random.nextInt(8));
        }
    },
    LAST_OFFSET_DELTA {
        void apply(RawBatch batch, Random random) {
            batch.lastOffsetDelta = (int) odd(random, batch.lastOffsetDelta);
        }
    },
    COUNT {
        void apply(RawBatch batch, Random random) {
            batch.count = (int) odd(random, batch.count);
            if (random.nextBoolean())
                batch.lastOffsetDelta = batch.count - 1;
        }
    },
    BASE_TIMESTAMP {
        void apply(RawBatch batch, Random random) {
            batch.baseTimestamp = odd(random, batch.baseTimestamp);
        }
    },
    PRODUCER {
        void apply(RawBatch batch, Random random) {
            batch.producerId = odd(random, batch.producerId);
            batch.baseSequence = (int) odd(random, batch.baseSequence);
        }
    },
    TRANSACTION_WITHOUT_PRODUCER {
        void apply(RawBatch batch, Random random) {
            batch.producerId = -1;
            batch.attributes |= 0x10;
        }
    },
    RECORD_LENGTH {
        void apply(RawBatch batch, Random random) {
            any(batch, random).lengthError = (int) odd(random, 0);
        }
    },
    RECORD_ATTRIBUTES {
        void apply(RawBatch batch, Random random) {
            any(batch, random).attributes = (byte) random.nextInt();
        }
    },
    TIMESTAMP {
        void apply(RawBatch batch, Random random) {
            any(batch, random).timestampDelta = odd(random, 0);
        }
    },
    OFFSET {
        void apply(RawBatch batch, Random random) {
            RawBatch.Raw raw = any(batch, random);
            raw.offsetDelta = (int) odd(random, raw.offsetDelta);
        }
    },
    KEY_SIZE {
        void apply(RawBatch batch, Random random) {
            RawBatch.Raw raw = any(batch, random);
            raw.keySize = (int) odd(random, raw.keySize);
        }
    },
    NEGATIVE_SIZES {
        void apply(RawBatch batch, Random random) {
            RawBatch.Raw raw = any(batch, random);
            raw.key = null;
            raw.keySize = -1 - random.nextInt(1000);
            raw.value = null;
            raw.valueSize = -1 - random.nextInt(1000);
        }
    },
    VALUE_SIZE {
        void apply(RawBatch batch, Random random) {
            RawBatch.Raw raw = any(batch, random);
            raw.valueSize = (int) odd(random, raw.valueSize);
        }
    },
    HEADER_COUNT {
        void apply(RawBatch batch, Random random) {
            RawBatch.Raw raw = any(batch, random);
            raw.headerCount = (int) odd(random, raw.headerCount);
        }
    },
    HEADER_KEY {
        void apply(RawBatch batch, Random random) {
            any(batch, random).headerKeyError = random.nextInt(10);
        }
    },
    NOT_UTF8 {
        void apply(RawBatch batch, Random random) {
            RawBatch.Raw raw = any(batch, random);
            raw.headers.add(new byte[] {(byte) 0xff, (byte) 0xc0});
            raw.headers.add(null);
            raw.headerCount++;
        }
    },
    PLAIN_BYTE {
        void apply(RawBatch batch, Random random) {
            batch.tamperPlain = bytes -> flip(bytes, random);
        }
    },
    PLAIN_CUT {
        void apply(RawBatch batch, Random random) {
            batch.tamperPlain = bytes -> Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
        }
    },
    PLAIN_MORE {
        void apply(RawBatch batch, Random random) {
            batch.tamperPlain =
                bytes -> Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(20));
        }
    },
    PACKED_BYTE {
        void apply(RawBatch batch, Random random) {
            batch.tamperPacked = bytes -> {
                flip(bytes, random);
                // Flags that RFC 1952 reserves: it demands an error, which Java does not give.
                if (batch.codec == 1 && bytes.length > 3)
                    bytes[3] &= 0x1f;
                return bytes;
            };
        }
    },
    PACKED_CUT {
        void apply(RawBatch batch, Random random) {
            batch.tamperPacked = bytes -> Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
        }
    },
    PACKED_MORE {
        void apply(RawBatch batch, Random random) {
            batch.tamperPacked =
                bytes -> Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(40));
        }
    };

    abstract void apply(RawBatch batch, Random random);

    private static RawBatch.Raw any(RawBatch batch, Random random) {
        return batch.records.get(random.nextInt(batch.records.size()));
    }

    /** A neighbour, an extreme, or anything. */
    private static long odd(Random random, long right) {
        return switch (random.nextInt(6)) {
            case 0 -> right + 1;
            case 1 -> right - 1;
            case 2 -> random.nextBoolean() ? 0 : -1;
            case 3 -> random.nextBoolean() ? Integer.MAX_VALUE : Integer.MIN_VALUE;
            case 4 -> random.nextBoolean() ? Long.MAX_VALUE : Long.MIN_VALUE;
            default -> right + random.nextInt(200) - 100;
        };
    }

    private static byte[] flip(byte[] bytes, Random random) {
        if (bytes.length > 0)
            bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
        return bytes;
    }
}
