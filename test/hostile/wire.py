"""A connection of raw bytes: what is sent is what the test wrote, and a closed connection is an answer."""
import itertools
import socket
import struct
import time

import codec

ANSWER_S = 20


class Closed(Exception):
    """The broker closed the connection instead of answering."""


class Silent(Exception):
    """Neither an answer nor the end of the connection."""


class Connection:
    def __init__(self, address, timeout_s=ANSWER_S, receive_bytes=None):
        host, _, port = address.rpartition(":")
        self.sock = socket.socket()
        self.sock.settimeout(timeout_s)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.connect((host, int(port)))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.numbers = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes so that the peer sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except TimeoutError:
            raise Silent("it does not read") from None
        except OSError as error:
            raise Closed(str(error)) from None

    def send_frame(self, data, size=None):
        """One frame; `size` may lie."""
        self.send(struct.pack(">i", len(data) if size is None else size) + data)

    def _exactly(self, size):
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.sock.recv(min(size - len(parts), 1 << 20))
            except TimeoutError:
                raise Silent(f"no answer in {self.sock.gettimeout()} s") from None
            except OSError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed("end of stream")
            parts += part
        return bytes(parts)

    def receive_frame(self):
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def request(self, key, version, body):
        """Sends and waits: the answer as a dict."""
        number = next(self.numbers)
        self.send_frame(codec.encode(key, version, number, body))
        return self.answer(key, version, number)

    def answer(self, key, version, number=None):
        got, values = codec.decode(key, version, self.receive_frame())
        if number is not None and got != number:
            raise codec.Malformed(f"answer to {got} where {number} was due")
        return values

    def ended(self, within_s):
        """Whether the broker closes the connection within that time; what it sends is thrown away."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                if not self.sock.recv(1 << 20):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False


PRODUCE, FETCH, LIST_OFFSETS, METADATA, CREATE_TOPICS = 0, 1, 2, 3, 19


def create_topic(connection, name, partitions=1, configs=None):
    """Creates a topic and waits until its leader serves; returns its id."""
    answer = connection.request(CREATE_TOPICS, 7, {"TimeoutMs": 10000, "Topics": [
        {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1,
         "Configs": [{"Name": key, "Value": value} for key, value in (configs or {}).items()]}]})
    (topic,) = answer["Topics"]
    assert topic["ErrorCode"] == 0, f"topic {name}: {codec.error_name(topic['ErrorCode'])} {topic.get('ErrorMessage')}"
    deadline = time.monotonic() + ANSWER_S
    while True:
        answer = connection.request(LIST_OFFSETS, 7, {"ReplicaId": -1, "Topics": [
            {"Name": name, "Partitions": [{"PartitionIndex": n, "Timestamp": -1} for n in range(partitions)]}]})
        if all(part["ErrorCode"] == 0 for part in answer["Topics"][0]["Partitions"]):
            return topic["TopicId"]
        assert time.monotonic() < deadline, f"topic {name} has no leader"
        time.sleep(0.01)


def produce_body(topic, records, acks=-1, partition=0, topic_id=None, transactional_id=None, timeout_ms=10000):
    return {"TransactionalId": transactional_id, "Acks": acks, "TimeoutMs": timeout_ms, "TopicData": [
        {"Name": topic, "TopicId": topic_id, "PartitionData": [{"Index": partition, "Records": records}]}]}


def produced(answer):
    """(error's name, base offset) of the one partition of a Produce answer."""
    (topic,) = answer["Responses"]
    (part,) = topic["PartitionResponses"]
    return codec.error_name(part["ErrorCode"]), part["BaseOffset"]


def fetch_body(topic, offset, partition=0, topic_id=None, max_wait_ms=0, **fields):
    part = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": fields.pop("PartitionMaxBytes", 1 << 20),
            "CurrentLeaderEpoch": fields.pop("CurrentLeaderEpoch", -1)}
    return {"MaxWaitMs": max_wait_ms, "MinBytes": 1, "MaxBytes": 1 << 24,
            "Topics": [{"Topic": topic, "TopicId": topic_id, "Partitions": [part]}], **fields}
