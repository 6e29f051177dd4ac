"""What /proc and the clocks say about the machine and about one process."""
import mmap
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()
SHORTEST_WINDOW_S = 0.5  # below it the machine's ticks of 10 ms say nothing about others


def cpu_s(pid):
    """User and system time of a process with all its threads, the finished ones too: the kernel's
    clock in nanoseconds behind the figures that /proc/PID/stat rounds to ticks."""
    return time.clock_gettime((~pid << 3) | 2)


def status(pid):
    """Sizes of /proc/PID/status in KiB, by name."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.M)}


def wakeups(pid):
    """How often the process's threads have gone to sleep: each was woken once for that."""
    count = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (thread / "status").read_text(), re.M)
            count += int(found[1]) if found else 0
        except (FileNotFoundError, ProcessLookupError):
            pass
    return count


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def busy_s():
    """CPU time that the machine has spent on anything."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def waited_children_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Window:
    """CPU time of the broker, of the clients (those that were started and waited for inside, and `clients`, which
    live before and after), and the share of the machine that everybody else used (work that the kernel does for
    them included)."""

    def __init__(self, pid=None, clients=()):
        self.pid = pid
        self.clients = clients

    def clients_s(self):
        return waited_children_s() + time.process_time() + sum(map(cpu_s, self.clients))

    def __enter__(self):
        self.broker_s = cpu_s(self.pid) if self.pid else 0
        self.client_s = self.clients_s()
        self.busy_s = busy_s()
        self.started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall_s = time.monotonic() - self.started
        before_s = self.broker_s
        if self.pid:
            self.broker_s = cpu_s(self.pid) - before_s
        if self.wall_s < SHORTEST_WINDOW_S:
            time.sleep(SHORTEST_WINDOW_S - self.wall_s)
        window_s = time.monotonic() - self.started
        own_s = cpu_s(self.pid) - before_s if self.pid else 0  # what the broker does after its answer is not others' work
        self.client_s = self.clients_s() - self.client_s
        self.busy_s = busy_s() - self.busy_s
        self.other_share = (self.busy_s - own_s - self.client_s) / window_s / CORES
        return False


def await_quiet(limit_share, seconds):
    """Give the machine some time to calm down; the rounds tell whether it did."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        before = busy_s()
        time.sleep(SHORTEST_WINDOW_S)
        if (busy_s() - before) / SHORTEST_WINDOW_S / CORES < limit_share:
            return


def touch_memory(share):
    """Write to so much of the free memory, in a process of its own. A virtual machine pays its host for memory on
    first use: without this the first rounds are charged for it."""
    child = os.fork()
    if child == 0:
        try:
            available = re.search(r"^MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
            size = int(int(available[1]) * 1024 * share) & ~0xfffff
            memory = mmap.mmap(-1, size)
            for at in range(0, size, mmap.PAGESIZE):
                memory[at] = 1
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def first_line(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return "not found"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def describe(root):
    cpu = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
    release = re.search(r'^PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text(), re.M)
    return {
        "processor": f"{CORES} × {cpu[1] if cpu else platform.machine()}",
        "memory": f"{int(memory[1]) / (1 << 20):.0f} GiB",
        "system": f"{release[1] if release else 'unknown'}, Linux {platform.release()}",
        "file system": first_line("stat", "-f", "-c", "%T", root),
        "compiler": first_line("cc", "--version"),
        "Jackdaw": first_line("git", "-C", root, "describe", "--always", "--dirty"),
        "librdkafka": first_line("dpkg-query", "-W", "-f", "${Version}", "librdkafka1"),
    }
