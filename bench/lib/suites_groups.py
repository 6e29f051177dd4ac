"""Groups, committed offsets and transactions: `./dev bench groups`."""
import machine
import subprocess

from suite import Figure, Goal, Suite
from targets import Failed

DELAY_MS = 1000
TRANSACTIONS_PER_S = 20  # of a paced producer: Kafka's manage some 50 to 80


class Groups(Suite):
    """Members wait `group.initial.rebalance.delay.ms` for each other. It is one second instead of three, so that
    rounds are short; what it makes them wait is taken off the times."""
    targets = ("jackdaw", "kafka")
    settings = (f"group.initial.rebalance.delay.ms={DELAY_MS}",)
    topic = "consumed"

    def next_group(self):
        self.number += 1
        return f"{self.name}-{self.number}"


class Members(Groups):
    name = "group-members"
    title = ("a group of the classic protocol comes to be, first JoinGroup to last SyncGroup; one member dies, end of its "
             "session to last SyncGroup; without the configured waits")
    figures = (*(Figure(f"own_{count}", f"{count} member{'s' * (count > 1)}, ms") for count in (1, 10, 100, 500)),
               Figure("death_ms", "1 of 100 dies, ms"), Figure("heard_ms", "of it until the first is told, ms"))
    goals = (Goal("own_100", 20), *(Goal(f"own_{count}", 0.3, "kafka") for count in (1, 10, 100, 500)), Goal("death_ms", 20))

    def load(self, target, members, what, kind="stable"):
        return self.clients.load(target, "members", "-t", self.topic, "-P", self.partitions, "-g", self.next_group(), "-c",
                                 members, "-D", DELAY_MS, kind, what=what)

    def prepare(self, target):
        self.partitions = self.size(500, 10)
        self.clients.create(target, self.topic, self.partitions)
        for _ in range(self.size(4, 1)):
            self.load(target, self.size(500, 10), "warm-up, members")

    def measure(self, target):
        figures, shares = {}, []
        for count in (1, 10, 100, 500):
            members = self.size(count, min(count, 10))
            dies = count == 100
            with machine.Window(target.pid) as window:
                said = self.load(target, members, f"members, {count}", "death" if dies else "stable")
            shares.append(window.other_share)
            figures[f"own_{count}"] = said["own_ms"]
            if dies:
                figures.update(death_ms=said["death_ms"], heard_ms=said["heard_ms"])
        return figures, max(shares)


class Consumers(Groups):
    """With an assignment interval of 0 every change is answered at once; by default the second within a second waits
    for its end."""
    name = "group-consumer"
    title = ("a group of the consumer protocol (KIP-848) comes to be, first heartbeat to the last member's share, each asking "
             "again and again until it has its own; then 500 members, 1,000 heartbeats a second")
    figures = (*(Figure(f"stable_{count}", f"{count} member{'s' * (count > 1)}, ms") for count in (1, 10, 100, 500)),
               Figure("form_ms", "broker CPU for 500 to come to be, ms"), Figure("heartbeat_us", "broker CPU per heartbeat, µs"),
               Figure("p50_us", "p50, µs"), Figure("p99_us", "p99, µs"))
    goals = (*(Goal(f"stable_{count}", 0.3, "kafka") for count in (100, 500)), Goal("heartbeat_us", 0.2, "kafka"),
             Goal("p99_us", 0.25, "kafka"))
    settings = ("group.consumer.assignment.interval.ms=0",)
    per_s = 1000

    def form(self, target, count):
        members = self.size(count, min(count, 10))
        return self.clients.live(target, "consumers", "-t", self.topic, "-P", self.partitions, "-g", self.next_group(), "-c",
                                 members, "-r", self.per_s, what=f"consumers, {count}")

    def prepare(self, target):
        self.partitions = self.size(500, 10)
        self.clients.create(target, self.topic, self.partitions)
        live = self.form(target, 500)
        try:
            live.ask(self.size(20_000, 10), 0)
            live.end()
        finally:
            live.kill()

    def measure(self, target):
        figures, shares, beats = {}, [], self.size(5000, 100)
        for count in (1, 10, 100, 500):
            with machine.Window(target.pid) as window:
                live = self.form(target, count)
            figures[f"stable_{count}"] = live.ready["stable_ms"]
            figures["form_ms"] = window.broker_s * 1e3
            try:
                if count == 500:
                    with machine.Window(target.pid, (live.pid,)) as window:
                        said = live.ask(beats, beats // 10)
                    shares.append(window.other_share)
                    figures.update(heartbeat_us=window.broker_s / beats * 1e6, p50_us=said["p50_us"], p99_us=said["p99_us"])
                live.end()
            finally:
                live.kill()
        return figures, max(shares)


class IdleGroups(Groups):
    name = "group-idle"
    title = "200 idle groups of one member: a heartbeat every 3 s, a fetch session that waits 500 ms again and again"
    rounds = 3
    figures = (Figure("cpu_percent", "broker CPU, % of a core"), Figure("request_us", "broker CPU per request, µs"),
               Figure("requests_per_s", "requests/s"))
    goals = (Goal("cpu_percent", 0.05, "kafka"),)

    def live(self, target, groups):
        return self.clients.live(target, "idle", "-t", self.topic, "-P", groups, "-g", self.next_group(), "-c", groups,
                                 what=self.name)

    def run(self, target, seconds):
        live = self.live(target, self.size(200, 5))
        try:
            with machine.Window(target.pid, (live.pid,)) as window:
                self.settle(seconds, 1)
            said = live.end()
        finally:
            live.kill()
        return window, said

    def prepare(self, target):
        self.warm_requests(target)
        self.clients.create(target, self.topic, self.size(200, 5))
        self.run(target, 10)

    def measure(self, target):
        window, said = self.run(target, 15)
        per_s = (said["heartbeats"] + said["fetches"]) / said["wall_s"]
        return {"cpu_percent": window.broker_s / window.wall_s * 100, "requests_per_s": per_s,
                "request_us": window.broker_s / window.wall_s / per_s * 1e6}, window.other_share


class IdleClients(IdleGroups):
    """The same with a client that people have, and a broker that has served nobody else before."""
    name = "group-idle-clients"
    title = "200 idle groups of one librdkafka consumer with its default settings"
    figures = (Figure("cpu_percent", "broker CPU, % of a core"),)

    def live(self, target, groups):
        return self.clients.live(target, "groups", "-t", self.topic, "-g", self.next_group(), "-c", groups, what=self.name,
                                 path=self.clients.rdk_path)

    def prepare(self, target):
        self.clients.create(target, self.topic, 1)
        self.run(target, 10)

    def measure(self, target):
        window, _ = self.run(target, 20)
        return {"cpu_percent": window.broker_s / window.wall_s * 100}, window.other_share


class Commits(Groups):
    """Members are connected and stable before the rounds and stay so; their sessions last half an hour, so they send
    nothing but commits."""
    name = "group-commits"
    title = "10,000 groups of one member that commit one offset every 5 s, from the time it was due"
    figures = (Figure("commit_us", "broker CPU per commit, µs"), Figure("p50_us", "p50, µs"), Figure("p99_us", "p99, µs"),
               Figure("p999_us", "p99.9, µs"))
    settings = ("group.initial.rebalance.delay.ms=0",)  # nobody waits for more members of a group of one
    goals = (Goal("commit_us", 0.2, "kafka"), Goal("p99_us", 0.25, "kafka"))
    seconds = 10

    def __init__(self, *words):
        super().__init__(*words)
        self.groups = self.size(10_000, 50)
        self.per_s = self.groups // 5
        self.lives = {}

    def prepare(self, target):
        self.clients.create(target, self.topic, 10)
        self.lives[target.name] = live = self.clients.live(
            target, "commits", "-t", self.topic, "-P", 10, "-g", "commits", "-c", self.groups, "-r", self.per_s, what=self.name)
        live.ask(self.size(30_000, 50), 0)

    def measure(self, target):
        commits = self.per_s * self.size(self.seconds, 1)
        live = self.lives[target.name]
        with machine.Window(target.pid, (live.pid,)) as window:
            said = live.ask(commits, commits // 10)
        if said["refused"]:
            raise Failed(f"{said['refused']} commits were refused, error {said['first_error']}")
        return {"commit_us": window.broker_s / commits * 1e6,
                **{name: said[name] for name in ("p50_us", "p99_us", "p999_us")}}, window.other_share

    def close(self):
        for live in self.lives.values():
            live.kill()


class Transactions(Groups):
    """In a closed loop first, each side as fast as it can: the times of a saturated broker are those of its own
    throughput. Then paced: both get the same transactions at the same times, fewer than Kafka sustains, so its
    producers do not meet the markers of their last transaction either."""
    name = "transactions"
    title = ("10 records of 100 bytes to one partition, commit; second generation (KIP-890), 10 partitions: one transaction "
             f"after the other; then {TRANSACTIONS_PER_S} a second of each producer, from the time they were due")
    counts = (1, 10, 100)
    paced_counts = (10, 100)
    figures = (*(figure for count in counts for figure in (
        Figure(f"per_s_{count}", f"{count} producer{'s' * (count > 1)}: per s"),
        Figure(f"p99_{count}", f"{count}: p99 of the commit, ms"), Figure(f"whole_{count}", f"{count}: p99 of the whole, ms"),
        Figure(f"cpu_{count}", f"{count}: broker CPU each, µs"))), *(figure for count in paced_counts for figure in (
        Figure(f"paced_p50_{count}", f"{count} producers, {count * TRANSACTIONS_PER_S:,} per s: p50 of the commit, ms"),
        Figure(f"paced_p99_{count}", f"{count} paced: p99 of the commit, ms"),
        Figure(f"paced_whole_p50_{count}", f"{count} paced: p50 of the whole, ms"),
        Figure(f"paced_whole_p99_{count}", f"{count} paced: p99 of the whole, ms"),
        Figure(f"paced_cpu_{count}", f"{count} paced: broker CPU each, µs"))))
    goals = (*(goal for count in counts for goal in (
        Goal(f"per_s_{count}", 3, "kafka", least=True), Goal(f"p99_{count}", 0.4, "kafka"))),
        *(Goal(f"paced_p99_{count}", 0.4, "kafka") for count in paced_counts))
    settings = ()
    seconds = 4
    paced_seconds = 5

    def load(self, target, producers, seconds, what, *words):
        return self.clients.load(target, "txn", "-t", self.topic, "-P", 10, "-g", f"{self.name}-{producers}", "-c", producers,
                                 "-d", seconds, "-m", 10, "-s", 100, *words, what=what)

    def prepare(self, target):
        self.clients.create(target, self.topic, 10)
        for count in self.counts:
            self.load(target, count, self.size(4, 2), "warm-up, transactions")

    def measure(self, target):
        figures, shares = {}, []
        for count in self.counts:
            with machine.Window(target.pid) as window:
                said = self.load(target, count, self.size(self.seconds, 2), f"transactions, {count}")
            shares.append(window.other_share)
            figures[f"per_s_{count}"] = said["per_s"]
            figures[f"p99_{count}"] = said["commit"]["p99_us"] / 1e3
            figures[f"whole_{count}"] = said["whole"]["p99_us"] / 1e3
            figures[f"cpu_{count}"] = window.broker_s / said["all"] * 1e6
        for count in self.paced_counts:
            with machine.Window(target.pid) as window:
                said = self.load(target, count, self.size(self.paced_seconds, 1), f"transactions, {count} paced", "-r",
                                 count * self.size(TRANSACTIONS_PER_S, 2))
            shares.append(window.other_share)
            for name, times in (("paced", said["commit"]), ("paced_whole", said["whole"])):
                figures[f"{name}_p50_{count}"] = times["p50_us"] / 1e3
                figures[f"{name}_p99_{count}"] = times["p99_us"] / 1e3
            figures[f"paced_cpu_{count}"] = window.broker_s / said["all"] * 1e6
        return figures, max(shares)


class Load(Groups):
    """One partition of `__consumer_offsets` with a million records. The directory is written once, in the end by Kafka
    where that is measured, and every start, of either side, is on a copy of it."""
    name = "group-load"
    title = "a coordinator with 1,000,000 offset records: exec to the first offset fetched, without that of an empty start"
    running = False
    rounds = 3
    figures = (Figure("load_ms", "load, ms"), Figure("full_ms", "start with it, ms"), Figure("empty_ms", "start without, ms"),
               Figure("KB_each", "VmRSS, KB more per offset"))
    goals = (Goal("load_ms", 0.2, "kafka"), Goal("KB_each", 1))
    settings = ()
    internal_partitions = 50
    each = 100  # offsets of a group
    # Kafka was formatted with a static quorum, whose voters are in no file.
    jackdaw_settings = ("controller.quorum.voters=1@127.0.0.1:9093", "controller.listener.names=CONTROLLER")

    def __init__(self, *words):
        super().__init__(*words)
        self.groups = self.size(10_000, 20)

    def fill(self, target, groups):
        """Groups that all belong to the same partition; the first one's name."""
        return self.clients.load(target, "fill", "-t", self.topic, "-P", self.each, "-g", "load", "-n", groups, "-c", 4, "-o",
                                 self.internal_partitions, "-p", 7)["first"]

    def keep(self, target, name):
        target.stop()
        subprocess.run(["rm", "-rf", self.scratch / name], check=True)
        subprocess.run(["cp", "-a", "--sparse=always", target.folder / "data", self.scratch / name], check=True)

    def prepare(self, target):
        self.clients.create(target, self.topic, self.each)
        self.group = self.fill(target, 1)
        self.written_by = target.name
        self.keep(target, "empty")
        target.start()
        self.fill(target, self.groups)
        self.keep(target, "full")

    def start(self, target, name):
        """ms until it answers, and KiB of memory then."""
        if target.name == "jackdaw" and self.written_by == "kafka":
            target.more_settings = self.jackdaw_settings
        target.folder = None
        target.create_folder()
        (target.folder / "data").rmdir()
        subprocess.run(["cp", "-a", "--sparse=always", self.scratch / name, target.folder / "data"], check=True)
        said = target.start_timed(self.clients.load_path, self.topic, group=self.group)
        memory = machine.status(target.pid)["VmRSS"]
        target.close()
        return said["offset_ms"], memory

    def measure(self, target):
        with machine.Window() as window:
            empty_ms, before = self.start(target, "empty")
            full_ms, after = self.start(target, "full")
        return {"load_ms": full_ms - empty_ms, "full_ms": full_ms, "empty_ms": empty_ms,
                "KB_each": (after - before) * 1.024 / (self.groups * self.each)}, window.other_share


class Memory(Groups):
    name = "group-memory"
    title = "100,000 offsets committed, 100 by each of 1,000 groups, over all partitions of `__consumer_offsets`"
    running = False
    rounds = 3
    figures = (Figure("KB_each", "VmRSS, KB more per offset"),)
    goals = (Goal("KB_each", 1),)
    settings = ()

    def measure(self, target):
        groups, each = self.size(1000, 10), 100
        target.start()
        self.clients.create(target, self.topic, each)
        self.clients.load(target, "fill", "-t", self.topic, "-P", each, "-g", "first", "-n", 1)
        before = machine.status(target.pid)["VmRSS"]
        with machine.Window(target.pid) as window:
            self.clients.load(target, "fill", "-t", self.topic, "-P", each, "-g", "memory", "-n", groups, "-c", 4)
        after = machine.status(target.pid)["VmRSS"]
        target.close()
        return {"KB_each": (after - before) * 1.024 / (groups * each)}, window.other_share


ALL = [Members, Consumers, IdleGroups, IdleClients, Commits, Transactions, Load, Memory]
