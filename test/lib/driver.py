"""The Java side of the tests: one JVM with Kafka's clients and tools, spoken to by lines of JSON.
test/interop/driver/Driver.java says what it answers."""
import base64
import hashlib
import itertools
import json
import pathlib
import queue
import re
import shutil
import subprocess
import tempfile
import threading

from lib import paths

SOURCES = paths.ROOT / "test/interop/driver"


class DriverError(Exception):
    """An operation that failed; `name` as in Kafka's table of errors."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


def b64(data):
    return None if data is None else base64.b64encode(data).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


def jars(kind):
    return subprocess.run([paths.KAFKA, "jars", kind], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def java():
    return subprocess.run([paths.KAFKA, "java"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def compiled(kept, source):
    """The folder with the compiled Java sources of a folder, compiled anew when they or the jars changed."""
    sources = sorted(source.glob("*.java"))
    digest = hashlib.sha256(kept.encode() + b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = paths.CACHE / f"{source.name}-{digest}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=paths.CACHE) as work:
            out = pathlib.Path(work, "classes")
            javac = pathlib.Path(java()).with_name("javac")
            subprocess.run([javac if javac.exists() else shutil.which("javac"), "-d", out, "-cp", f"{kept}/*", *sources], check=True)
            (out / "log4j2.properties").write_text(
                "status = error\nappender.err.type = Console\nappender.err.name = err\nappender.err.target = SYSTEM_ERR\n"
                "appender.err.follow = true\nappender.err.layout.type = PatternLayout\n"
                "appender.err.layout.pattern = %p %m (%c{1})%n%ex\nrootLogger.level = warn\nrootLogger.appenderRef.err.ref = err\n")
            try:
                out.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    return folder


class Call:
    """A request under way."""

    def __init__(self):
        self.answers = queue.Queue()

    def wait_event(self, event, timeout_s):
        answer = self.answers.get(timeout=timeout_s * paths.PATIENCE)
        if answer.get("event") != event:
            self.answers.put(answer)
            self.result(timeout_s)
            raise DriverError("UNEXPECTED", f"ended before {event}")

    def result(self, timeout_s):
        while True:
            try:
                answer = self.answers.get(timeout=timeout_s * paths.PATIENCE)
            except queue.Empty:
                raise DriverError("TIMEOUT", f"no answer from the driver in {timeout_s} s") from None
            if "event" in answer:
                continue
            if "error" in answer:
                raise DriverError(answer["error"], answer["message"])
            return answer["result"]


class Driver:
    def __init__(self, log_path):
        kept, tools = jars("broker"), jars("tools")
        folder = compiled(kept, SOURCES)
        self.log = open(log_path, "ab")
        self.process = subprocess.Popen(
            [java(), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", f"-Dtools.jars={tools}",
             "--add-opens=java.base/java.lang=ALL-UNNAMED",  # Tools.java: hooks of the process
             f"-Dlog4j2.configurationFile={folder}/log4j2.properties", "-cp", f"{folder}:{kept}/*", "Driver"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
        self.ids, self.calls = itertools.count(1), {}
        self.lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            self.calls[answer["id"]].answers.put(answer)
        for call in list(self.calls.values()):
            call.answers.put({"error": "DRIVER_ENDED", "message": "the driver's JVM ended"})

    def start(self, op, **fields):
        call = Call()
        with self.lock:
            number = next(self.ids)
            self.calls[number] = call
            self.process.stdin.write(json.dumps({"id": number, "op": op, **fields}) + "\n")
            self.process.stdin.flush()
        return call

    def call(self, op, timeout_s=60, **fields):
        return self.start(op, **fields).result(timeout_s)

    def tool(self, name, *args, stdin=None, timeout_s=60):
        """Runs a tool's main; returns (exit status, output, complaints) as bytes."""
        name = name if "." in name else f"org.apache.kafka.tools.{name}"
        fields = {"stdin": b64(stdin)} if stdin is not None else {}
        result = self.call("tool", timeout_s, **{"class": name, "args": [str(word) for word in args]}, **fields)
        return result["status"], unb64(result["out"]), unb64(result["err"])

    def dump_log(self, files, *options, cleaned=False, timeout_s=60):
        """DumpLogSegments; its output, having said nothing against the files. In cleaned logs offsets are missing."""
        status, out, err = self.tool("DumpLogSegments", "--files", ",".join(map(str, files)), *options, timeout_s=timeout_s)
        said = out.decode(errors="replace") + err.decode(errors="replace")
        # It also complains where a file does not begin at offset 0.
        said = re.sub(r"Non-consecutive offsets in .*\n  %s is followed by \d+\n" % (r"-?\d+" if cleaned else "-1"), "", said)
        if cleaned:
            # A batch whose records are gone, kept for its producer, has a timestamp that the tool does not see.
            said = re.sub(r"Found timestamp mismatch in .*\n(  Index timestamp: \d+, log timestamp: -1\n)+(?!  Index)", "", said)
        bad = re.search(r"isvalid: false|Mismatches in|Non-consecutive|Found timestamp mismatch|corrupt|Exception.*", said)
        if status or bad:
            raise DriverError("FAILED", f"status {status}: {said[bad.start():][:300] if bad else said[-300:]}")
        return said

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
