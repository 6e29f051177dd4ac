"""What a suite is. It prepares a target once and measures it in every round.

Figures are per target and round; goals compare their medians, ratios are taken within a round."""
import pathlib
import time
from dataclasses import dataclass

@dataclass(frozen=True)
class Goal:
    """Jackdaw's figure: at most (or at least) `limit`, by itself or times that of another target."""
    figure: str
    limit: float
    against: str = ""  # target; "": the limit is absolute
    least: bool = False
    either: str = ""  # goals with the same word here: one of them is enough


@dataclass(frozen=True)
class Figure:
    name: str
    title: str


class Suite:
    name = title = ""
    targets = ("floor", "jackdaw", "kafka")
    rounds = 7
    running = True  # the runner starts the target once and keeps it over the rounds
    figures = ()
    goals = ()
    settings = ()  # key=value words of both sides beside each target's own

    def __init__(self, clients, scratch, quick):
        self.clients = clients
        self.scratch = pathlib.Path(scratch)
        self.quick = quick
        self.number = 0

    def size(self, full, quick):
        return quick if self.quick else full

    def next_topic(self):
        self.number += 1
        return f"{self.name}-{self.number}"

    def settle(self, full_s, quick_s=1):
        time.sleep(quick_s if self.quick else full_s)

    def prepare(self, target):
        """After the start, before the first round: bring it to its working temperature."""

    def measure(self, target):
        """One round: (figures, share of the machine that others used)."""
        raise NotImplementedError

    def close(self):
        """After the last round."""

    def warm_batches(self, target):
        """Kafka compiles itself while it runs; the same warm-up for all."""
        topic = self.next_topic()
        self.clients.create(target, topic, 4)
        for size, records in ((100, self.size(2_000_000, 1000)), (1024, self.size(300_000, 1000))):
            for _ in range(2):
                self.clients.rdk(target, "produce", "-t", topic, "-n", records, "-s", size, what="warm-up")
        self.clients.rdk(target, "consume", "-t", topic, "-P", 4, "-n", self.size(3_000_000, 1000), what="warm-up")
        self.clients.delete(target, topic)

    def warm_requests(self, target):
        topic = self.next_topic()
        self.clients.create(target, topic)
        self.clients.load(target, "produce", "-t", topic, "-k", 1, "-n", self.size(40_000, 100), what="warm-up",
                          allowed=(0, 1))
        self.clients.delete(target, topic)
