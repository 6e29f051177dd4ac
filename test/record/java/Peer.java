import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Our side, as a child process: see test/record/record_peer.c for its commands. */
final class Peer implements AutoCloseable {
    private final Process process;
    private final DataOutputStream out;
    private final DataInputStream in;

    Peer(String binary) throws IOException {
        process = new ProcessBuilder(binary).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        out = new DataOutputStream(new BufferedOutputStream(process.getOutputStream(), 1 << 16));
        in = new DataInputStream(new BufferedInputStream(process.getInputStream(), 1 << 16));
    }

    /** The answer: result, then bytes. */
    record Answer(int result, ByteBuffer bytes) {
    }

    Answer ask(byte[]... parts) throws IOException {
        int size = 0;
        for (byte[] part : parts)
            size += part.length;
        out.writeInt(size);
        for (byte[] part : parts)
            out.write(part);
        out.flush();
        byte[] answer = new byte[in.readInt()];
        in.readFully(answer);
        ByteBuffer buffer = ByteBuffer.wrap(answer);
        return new Answer(buffer.getInt(), buffer.slice());
    }

    static byte[] blob(ByteBuffer in) {
        int size = in.getInt();
        if (size < 0)
            return null;
        byte[] bytes = new byte[size];
        in.get(bytes);
        return bytes;
    }

    @Override
    public void close() throws Exception {
        out.close();
        int code = process.waitFor();
        if (code != 0)
            throw new IllegalStateException("the peer ended with " + code);
    }
}
