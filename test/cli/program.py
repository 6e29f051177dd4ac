"""The program `jackdaw` as a process, without any client: what its arguments and configuration come to, and how it bears
signals, limits, and standard streams that are closed or full.

    test/cli/program.py [NAME…]
"""
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from lib import paths  # noqa: E402

PATIENCE_S = 30
ANY_PORT = "listeners=PLAINTEXT://127.0.0.1:0"
TESTS = []
program = str(paths.JACKDAW.resolve())


def test(function):
    TESTS.append(function)
    return function


def expect(holds, what):
    if not holds:
        raise AssertionError(what)


def run(folder, *arguments, **options):
    """A command that ends by itself: (exit status, standard output, standard error)."""
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S,
                          stdin=options.pop("stdin", subprocess.DEVNULL), **options)
    return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def serving(folder, *arguments, **options):
    """A node that has said `ready`; killed at the end if it still runs. Its log is `log` in the folder."""
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen([program, "server", *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=options.pop("stderr", log), text=True, **options)
    try:
        line = process.stdout.readline()
        expect(line.startswith("ready "), f"it said {line!r}: {(folder / 'log').read_text()}")
        process.address = line.split()[1]
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def stop(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)


@test
def signals_that_come_together_stop_in_order(folder):
    with serving(folder, ANY_PORT) as process:
        # As `timeout` does: the process, and at once its whole group.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        expect(process.wait(PATIENCE_S) == 0, f"it ended with {process.returncode}")
    expect("result=clean" in (folder / "log").read_text(), "the end was not clean")


@test
def closed_standard_streams_are_not_taken_for_files_of_the_node(folder):
    def close_all():
        for descriptor in range(3):
            os.close(descriptor)

    process = subprocess.Popen([program, "server", ANY_PORT], cwd=folder, preexec_fn=close_all)
    try:
        marker = folder / "data/__cluster_metadata-0/quorum-state"
        while not marker.exists():
            expect(process.poll() is None, "it ended")
        links = {os.readlink(f"/proc/{process.pid}/fd/{descriptor}") for descriptor in range(3)}
        expect(links == {"/dev/null"}, f"descriptors 0 to 2 are {links}")
        expect(stop(process) == 0, "it did not end well")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@test
def a_log_that_nobody_reads_ends_nothing(folder):
    read_end, write_end = os.pipe()
    with serving(folder, "--status", ANY_PORT, stderr=write_end) as process:
        os.close(write_end)
        os.close(read_end)
        process.stdout.close()
        expect(stop(process) == 0, f"it ended with {process.returncode}")


@test
def a_full_standard_output_ends_nothing(folder):
    with open("/dev/full", "w") as full, open(folder / "log", "w") as log:
        process = subprocess.Popen([program, "server", "listeners=L://unix:./sock",
                                    "listener.security.protocol.map=L:PLAINTEXT"], cwd=folder, stdout=full, stderr=log)
    try:
        while not (folder / "sock").exists():
            expect(process.poll() is None, "it ended")
        expect(stop(process) == 0, f"it ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@test
def a_file_size_limit_is_a_full_disk_and_no_signal(folder):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    with subprocess.Popen([program, "server", ANY_PORT], cwd=folder, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, preexec_fn=limit) as process:
        try:
            lines = iter(process.stderr.readline, "")
            expect(any("File too large" in line for line in lines), "it ended")
            expect(stop(process) == 0, f"it ended with {process.returncode}")
        finally:
            process.kill()


@test
def configuration_may_come_from_a_pipe(folder):
    read_end, write_end = os.pipe()
    os.write(write_end, f"node.id=3\nprocess.roles=broker,controller\nlog.dirs={folder}/piped\n".encode())
    os.close(write_end)
    status, out, errors = run(folder, "storage", "format", "--config", "/dev/stdin", stdin=read_end)
    os.close(read_end)
    expect(status == 0 and f"Formatted {folder}/piped" in out, f"{status} {out} {errors}")


@test
def what_is_wrong_in_a_file_is_told_with_its_line(folder):
    (folder / "a.properties").write_text("node.id=1\nprocess.roles=broker,controller\n\nnum.partitions=many\n")
    for command in (["server"], ["storage", "format"]):
        status, _, errors = run(folder, *command, "--config", "a.properties")
        expect(status == 2, f"{command}: {status}")
        wanted = f"jackdaw {command[0]}: a.properties:4: Invalid value many for configuration num.partitions"
        expect(wanted in errors, errors)
    status, _, errors = run(folder, "server", "--config", "b.properties")
    expect(status == 2 and "cannot read b.properties: No such file" in errors, errors)


@test
def arguments_that_make_no_sense_are_explained(folder):
    for arguments, wanted in ((["a.properties"], "a.properties: not of the form KEY=VALUE; a file is given by --config"),
                              (["--config"], "--config: which file?"), (["--confg", "x"], "--confg: no such option")):
        status, _, errors = run(folder, "server", *arguments)
        expect(status == 2 and wanted in errors, f"{arguments}: {status} {errors}")
    expect(not list(folder.iterdir()), "it left files")


@test
def features_that_cannot_be_had_are_named(folder):
    for arguments, wanted in ((["-f", "no.such=1"], "no.such=1: no such feature"),
                              (["-f", "share.version=9"], "share.version=9: this version does not serve it"),
                              (["-r", "2.8"], "'2.8': there are 3.3-IV3 to 4.4-IV2")):
        status, _, errors = run(folder, "storage", "format", *arguments)
        expect(status == 2 and wanted in errors, f"{arguments}: {status} {errors}")


@test
def a_log_file_that_cannot_be_opened_is_named(folder):
    status, _, errors = run(folder, "server", "jackdaw.log.file=no/such/folder", ANY_PORT)
    expect(status == 1 and "jackdaw.log.file=no/such/folder: No such file" in errors, f"{status} {errors}")


@test
def an_address_that_cannot_be_had_is_named(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, errors = run(folder, "server", f"listeners=PLAINTEXT://127.0.0.1:{port}")
    expect(status == 1 and f'port={port} error="Address already in use"' in errors, f"{status} {errors}")
    status, _, errors = run(folder, "server", "listeners=PLAINTEXT://no-such-host.invalid:0")
    expect(status == 1 and 'host=no-such-host.invalid' in errors, f"{status} {errors}")


@test
def one_directory_has_one_process(folder):
    with serving(folder, ANY_PORT) as process:
        status, _, errors = run(folder, "server", ANY_PORT)
        expect(status == 1 and "another process uses it" in errors, f"{status} {errors}")
        expect(stop(process) == 0, "the first one did not end well")


def make_topic(process, name):
    """By a Metadata request of version 4, which makes what is not there."""
    body = struct.pack(">hhihih", 3, 4, 1, -1, 1, len(name)) + name.encode() + b"\1"
    host, port = process.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE_S) as peer:
        peer.sendall(struct.pack(">i", len(body)) + body)
        expect(len(peer.recv(4)) == 4, "no answer")


def logs_on_disk(folder, count):
    """A node that was stopped, with a topic of so many partitions, each with a file."""
    with serving(folder, ANY_PORT, f"num.partitions={count}") as process:
        make_topic(process, "topic")
        expect(stop(process) == 0, "it did not end well")
    for partition in range(count):
        (folder / f"data/topic-{partition}").mkdir(exist_ok=True)
        (folder / f"data/topic-{partition}/00000000000000000000.log").touch()


def file_limit(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@test
def a_low_limit_of_open_files_leaves_some_for_connections(folder):
    logs_on_disk(folder, 300)
    with serving(folder, ANY_PORT, preexec_fn=file_limit(100)) as process:
        descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
        expect(descriptors < 75, f"{descriptors} files are open")
        make_topic(process, "other")
        expect(stop(process) == 0, "it did not end well")
    expect("kept=50" in (folder / "log").read_text(), "it was not said")


@test
def open_files_that_run_out_at_the_start_are_told_once(folder):
    logs_on_disk(folder, 300)
    status, _, errors = run(folder, "server", ANY_PORT, preexec_fn=file_limit(16))
    told = errors.count("Too many open files")
    # Two threads open logs, and each may find out by itself.
    expect(status == 1 and 1 <= told <= 4, f"{status}, told {told} times: {errors[-1000:]}")


@test
def the_metadata_may_have_a_directory_of_its_own(folder):
    dirs = ["log.dirs=one,two", "metadata.log.dir=meta"]
    for _ in range(2):  # formatted by the first start, found by the second
        with serving(folder, ANY_PORT, *dirs) as process:
            status, _, errors = run(folder, "server", ANY_PORT, "log.dirs=three", "metadata.log.dir=meta")
            expect(status == 1, "two nodes share a metadata directory")
            expect(stop(process) == 0, "it did not end well")
    names = {path.name for path in (folder / "meta").iterdir()}
    expect({"meta.properties", "__cluster_metadata-0"} <= names, f"in the metadata directory: {names}")
    expect(not (folder / "one/__cluster_metadata-0").exists(), "there is metadata among the logs")
    status, out, _ = run(folder, "storage", "info", *dirs)
    expect(status == 0 and "meta (metadata)\n" in out and "quorum: epoch 2" in out, out)
    other = ["log.dirs=four", "metadata.log.dir=five"]
    status, out, _ = run(folder, "storage", "format", *other)
    expect(status == 0 and "Formatted five" in out, out)
    with serving(folder, ANY_PORT, *other) as process:
        expect(stop(process) == 0, "it did not end well")


@test
def a_new_directory_of_an_old_node_is_refused_until_it_is_formatted(folder):
    with serving(folder, ANY_PORT, "log.dirs=one") as process:
        stop(process)
    dirs = "log.dirs=one,two"
    status, _, errors = run(folder, "server", ANY_PORT, dirs)
    expect(status == 1 and "dir=two" in errors and "--ignore-formatted" in errors, f"{status} {errors}")
    status, out, _ = run(folder, "storage", "format", "--ignore-formatted", dirs)
    expect(status == 0 and "Formatted two" in out and "one is already formatted" in out, out)
    with serving(folder, ANY_PORT, dirs) as process:
        expect(stop(process) == 0, "it did not end well")


def main():
    status = 0
    for function in TESTS:
        if sys.argv[1:] and function.__name__ not in sys.argv[1:]:
            continue
        folder = pathlib.Path(tempfile.mkdtemp(prefix="program-"))
        try:
            function(folder)
            print(f"ok {function.__name__}", flush=True)
        except Exception as thrown:
            status = 1
            if not isinstance(thrown, AssertionError):
                traceback.print_exc()
            print(f"FAIL {function.__name__} ({' '.join(str(thrown).split())})", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
