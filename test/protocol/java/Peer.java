import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** The codec under test, behind a pipe. The commands are described in test/protocol/codec_peer.c. */
final class Peer implements AutoCloseable {
    record Answer(int result, byte[] bytes) {
        boolean ok() {
            return result == 0;
        }
    }

    record Versions(int index, int first, int last) {
    }

    private final Process process;
    private final DataOutputStream out;
    private final DataInputStream in;
    final Map<String, Versions> messages = new LinkedHashMap<>();

    Peer(String binary) throws IOException {
        process = new ProcessBuilder(binary).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        out = new DataOutputStream(new BufferedOutputStream(process.getOutputStream(), 1 << 16));
        in = new DataInputStream(process.getInputStream());
        String list = new String(call(ByteBuffer.allocate(1).put((byte) 'L')).bytes, StandardCharsets.UTF_8);
        for (String line : list.split("\n")) {
            String[] words = line.split(" ");
            messages.put(words[0], new Versions(messages.size(), Integer.parseInt(words[1]),
                Integer.parseInt(words[2])));
        }
    }

    private Answer call(ByteBuffer command) throws IOException {
        out.writeInt(command.position());
        out.write(command.array(), 0, command.position());
        out.flush();
        int size = in.readInt();
        int result = in.readInt();
        return new Answer(result, in.readNBytes(size - 4));
    }

    private ByteBuffer command(char operation, String message, int version, int operands) {
        return ByteBuffer.allocate(5 + operands).put((byte) operation)
            .putShort((short) messages.get(message).index).putShort((short) version);
    }

    Answer recode(String message, int version, byte[] bytes) throws IOException {
        return call(command('D', message, version, bytes.length).put(bytes));
    }

    Answer recodeAt(String message, int version, int toVersion, byte[] bytes) throws IOException {
        return call(command('V', message, version, 2 + bytes.length).putShort((short) toVersion).put(bytes));
    }

    Answer print(String message, int version, byte[] bytes) throws IOException {
        return call(command('P', message, version, bytes.length).put(bytes));
    }

    Answer random(String message, int version, Filler.Mode mode, long seed) throws IOException {
        return call(command('R', message, version, 9).put((byte) mode.ordinal()).putLong(seed));
    }

    @Override
    public void close() throws IOException, InterruptedException {
        out.close();
        if (process.waitFor() != 0)
            throw new IOException("the peer ended with " + process.exitValue());
    }
}
