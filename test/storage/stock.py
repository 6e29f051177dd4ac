"""Apache Kafka's stock config/server.properties, unedited but for log.dirs, starts the broker: it serves on
9092, keeps records over a restart and stops in order. So does the one of Apache Kafka 3, which names the
controller in controller.quorum.voters. Run in a network namespace of its own, where
those ports are free.

    test/storage/stock.py [--target jackdaw|kafka] [--keep]
"""
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # noqa: E402

from lib import program  # noqa: E402
from lib.load import create_topic  # noqa: E402
from lib.target import Target  # noqa: E402

STOCK = pathlib.Path(__file__).resolve().parent / "fixtures/server.properties"
# Each with the lines that it has instead.
FILES = {
    "the_stock_server_properties_start_it": {},
    "the_stock_server_properties_of_kafka_3_start_it": {
        "controller.quorum.bootstrap.servers": "controller.quorum.voters=1@localhost:9093",
        "advertised.listeners": "advertised.listeners=PLAINTEXT://localhost:9092",
        "num.recovery.threads.per.data.dir": "num.recovery.threads.per.data.dir=1",
    },
}


class Stock(Target):
    """The file goes in as it is but for one line, and for those that an older one has otherwise."""

    def __init__(self, kind, folder, instead):
        super().__init__(kind, folder)
        self.instead = {**instead, "log.dirs": f"log.dirs={self.data}"}

    def write(self, path):
        lines = [self.instead.get(line.partition("=")[0], line) for line in STOCK.read_text().splitlines()]
        path.write_text("\n".join(lines) + "\n")


def check(target):
    address = "localhost:9092"
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    resource = ConfigResource(ResourceType.BROKER, "1")
    found = admin.describe_configs([resource])[resource].result(20)
    values = {key: found[key].value for key in ("log.retention.hours", "num.io.threads", "socket.request.max.bytes")}
    wanted = {"log.retention.hours": "168", "num.io.threads": "8", "socket.request.max.bytes": "104857600"}
    if values != wanted:
        raise AssertionError(f"it describes {values}")
    create_topic(address, "topic", 1)
    box = []
    producer = Producer({"bootstrap.servers": address, "log_level": 0, "message.timeout.ms": 20_000})
    producer.produce("topic", b"value", on_delivery=lambda error, _: box.append(error))
    producer.flush(20)
    if box != [None]:
        raise AssertionError(f"produce: {box}")
    if target.stop() != 0:
        raise AssertionError("it did not end well")
    target.start()
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition("topic", 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    if message is None or message.error() or message.value() != b"value":
        raise AssertionError("the record did not survive a restart")


def main():
    options = program.parser().parse_args()

    def start_it(instead):
        def run(_, folder):
            with Stock(options.target, folder, instead) as target:
                check(target)
                target.stop()
        return run
    return max(program.prove(name, options, start_it(instead)) for name, instead in FILES.items())


if __name__ == "__main__":
    sys.exit(main())
