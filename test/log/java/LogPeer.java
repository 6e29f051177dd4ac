import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.util.ArrayList;
import java.util.List;

/** Our log, behind a pipe. */
final class LogPeer implements AutoCloseable {
    private final Process process;
    private final BufferedWriter in;
    private final BufferedReader out;

    LogPeer(String binary) throws IOException {
        process = new ProcessBuilder(binary).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        in = new BufferedWriter(new OutputStreamWriter(process.getOutputStream()));
        out = new BufferedReader(new InputStreamReader(process.getInputStream()));
    }

    List<String> ask(String command) throws IOException {
        in.write(command);
        in.newLine();
        in.flush();
        List<String> lines = new ArrayList<>();
        for (String line = out.readLine(); !".".equals(line); line = out.readLine()) {
            if (line == null)
                throw new IOException("the peer died at: " + command.substring(0,
                    Math.min(command.length(), 300)));
            lines.add(line);
        }
        return lines;
    }

    /** The number after "result" in the last line. */
    int result(String command) throws IOException {
        List<String> lines = ask(command);
        return Integer.parseInt(lines.get(lines.size() - 1).substring("result ".length()));
    }

    @Override
    public void close() throws IOException {
        in.close();
        try {
            if (process.waitFor() != 0)
                throw new IOException("the peer ended with " + process.exitValue());
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }
}
