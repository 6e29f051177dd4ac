import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.CRC32;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.utils.internals.BufferSupplier;

/** Records as text, one line each, from Java's reader and from the peer's answer. */
final class Dump {
    private Dump() {
    }

    private static String text(byte[] bytes) {
        if (bytes == null)
            return "null";
        if (bytes.length <= 40)
            return HexFormat.of().formatHex(bytes);
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return bytes.length + "/" + Long.toHexString(crc.getValue());
    }

    private static byte[] bytes(ByteBuffer buffer) {
        if (buffer == null)
            return null;
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    /** Every record of every batch; throws what Java throws at records it cannot read. */
    static List<String> ofJava(MemoryRecords records) {
        List<String> lines = new ArrayList<>();
        for (MutableRecordBatch batch : records.batches()) {
            batch.ensureValid();
            try (var iterator = batch.streamingIterator(BufferSupplier.NO_CACHING)) {
                while (iterator.hasNext())
                    lines.add(ofRecord(iterator.next()));
            }
        }
        return lines;
    }

    private static String ofRecord(Record record) {
        StringBuilder line = new StringBuilder();
        line.append(record.offset()).append(' ').append(record.timestamp()).append(' ');
        line.append(record.sequence()).append(' ').append(text(bytes(record.key()))).append(' ');
        line.append(text(bytes(record.value())));
        for (Header header : record.headers())
            line.append(' ').append(header.key()).append('=').append(text(header.value()));
        return line.toString();
    }

    static List<String> ofPeer(ByteBuffer in) {
        List<String> lines = new ArrayList<>();
        while (in.hasRemaining()) {
            StringBuilder line = new StringBuilder();
            line.append(in.getLong()).append(' ').append(in.getLong()).append(' ');
            line.append(in.getInt()).append(' ').append(text(Peer.blob(in))).append(' ');
            line.append(text(Peer.blob(in)));
            int headers = in.getInt();
            for (int i = 0; i < headers; i++) {
                String key = new String(Peer.blob(in), StandardCharsets.UTF_8);
                line.append(' ').append(key).append('=').append(text(Peer.blob(in)));
            }
            lines.add(line.toString());
        }
        return lines;
    }
}
