"""The copy job of CopyJob.java with librdkafka: copy_confluent.py BOOTSTRAP GROUP FROM TO TRANSACTIONAL-ID."""
import select
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

WAIT_S = 30
MOST = 50


def copy(consumer, producer, records, to):
    positions = {}
    producer.begin_transaction()
    for record in records:
        producer.produce(to, b"copy of " + record.value(), record.key(), record.partition())
        positions[record.topic(), record.partition()] = record.offset() + 1
    producer.send_offsets_to_transaction([TopicPartition(*where, offset) for where, offset in positions.items()],
                                         consumer.consumer_group_metadata(), WAIT_S)
    producer.commit_transaction(WAIT_S)


def rewind(consumer, producer):
    """What was read and not copied is read again."""
    producer.abort_transaction(WAIT_S)
    for one in consumer.committed(consumer.assignment(), WAIT_S):
        consumer.seek(TopicPartition(one.topic, one.partition, one.offset if one.offset >= 0 else OFFSET_BEGINNING))


def again(call, *arguments):
    """A timeout is no answer: the same is asked again."""
    while True:
        try:
            return call(*arguments)
        except KafkaException as thrown:
            if not thrown.args[0].retriable() or thrown.args[0].txn_requires_abort():
                raise


def main(bootstrap, group, source, to, name):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0,
                         "auto.offset.reset": "earliest", "isolation.level": "read_committed", "session.timeout.ms": 3000,
                         "heartbeat.interval.ms": 300})
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "transaction.timeout.ms": 10000, "linger.ms": 0,
                         "log_level": 0})
    again(producer.init_transactions, WAIT_S)
    consumer.subscribe([source], on_assign=lambda _, partitions: partitions and print("running", flush=True))
    while not select.select([sys.stdin], [], [], 0)[0]:
        records = [one for one in consumer.consume(MOST, 0.1) if not one.error()]
        if not records:
            continue
        try:
            copy(consumer, producer, records, to)
        except KafkaException as thrown:
            if thrown.args[0].fatal():
                print("fenced", flush=True)
                return 3
            print(f"aborted: {thrown}", file=sys.stderr)
            again(rewind, consumer, producer)
    consumer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
