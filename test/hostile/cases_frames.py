"""Cases of frames, headers and lengths, of whatever API."""
import struct

import codec
from cases import API_VERSIONS, MAX32, case, filled, name_of, show_produced
from wire import METADATA, PRODUCE


def show_error(answer):
    return name_of(answer) if "ErrorCode" in answer else "answered"


@case
def api_versions(world):
    for version in range(0, 6):
        yield f"version {version}", world.ask(API_VERSIONS, version, {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1"}, show_error)
    for version in (6, 100, 32767, -1, -32768):
        for name, flexible in (("flexible", True), ("inflexible", False)):
            frame = codec.encode_header(API_VERSIONS, version, 1, flexible=flexible)
            yield f"version {version}, {name}", world.ask_raw(frame, API_VERSIONS, 0, show_error)
    for name, number in (("", "1"), ("a", ""), ("a b", "1"), ("-a", "1"), ("a-", "1"), ("a.b-c", "1.2-x"), ("é", "1"), ("x" * 1000, "1")):
        body = {"ClientSoftwareName": name, "ClientSoftwareVersion": number}
        yield f"software {name[:5]!r} {number!r}", world.ask(API_VERSIONS, 4, body, show_error)
    for cluster, node in (("no-such-cluster", -1), (None, 1), (None, 7), ("no-such-cluster", 1)):
        body = {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1", "ClusterId": cluster, "NodeId": node}
        yield f"cluster {cluster} node {node}", world.ask(API_VERSIONS, 5, body, show_error)


@case
def frames(world):
    good = codec.encode(METADATA, 9, 1, {"Topics": []})

    def sent(frame=good, key=METADATA, version=9, show=lambda _: "answered", **how):
        return world.ask_raw(frame, key, version, show, **how)

    yield "good", sent()
    for size in (-1, -2**31, 0, 1, 7, 104857601, MAX32):
        yield f"size {size}", sent(size=size)
    for cut in (1, 3, 7, 8, 9, 10, 12, 17, 18, len(good) - 1):
        yield f"cut to {cut}", sent(good[:cut])
    yield "a byte more", sent(good + b"\0")
    yield "100 bytes more", sent(good + bytes(100))
    for key in (-1, 93, 200, 32767, -32768, 4, 5, 6, 7):
        yield f"api key {key}", sent(codec.encode_header(key, 0, 1, flexible=False))
    for version in (-1, 14, 32767):
        yield f"version {version}", sent(codec.encode_header(METADATA, version, 1, flexible=True) + good[18:])
    for name, client in (("null", b"\xff\xff"), ("-2", b"\xff\xfe"), ("too long", b"\x7f\xff"), ("of bad UTF-8", b"\0\x02\xff\xfe")):
        yield f"client id {name}", sent(struct.pack(">hhi", METADATA, 9, 1) + client + good[17:])
    yield "the client id as a compact string", sent(struct.pack(">hhi", METADATA, 9, 1) + b"\x08hostile" + good[17:])

    def tagged(tags):
        return good[:17] + tags + good[18:]

    yield "an unknown tag in the header", sent(tagged(b"\x01\x63\x02ab"))
    yield "a tag twice in the header", sent(tagged(b"\x02\x63\x01a\x63\x01b"))
    yield "tags in the wrong order", sent(tagged(b"\x02\x63\x01a\x05\x01b"))
    yield "2^31 tags", sent(tagged(b"\xff\xff\xff\xff\x07"))
    yield "a tag larger than the frame", sent(tagged(b"\x01\x63\xff\xff\xff\xff\x07"))
    yield "a tag number without end", sent(tagged(b"\x01" + b"\xff" * 9))


@case
def lengths(world):
    topic = filled(world)

    def metadata_at(version, topics):
        frame = codec.encode_header(METADATA, version, 1) + topics
        return world.ask_raw(frame, METADATA, version, lambda answer: "answered")

    for count in (-1, -2, -2**31, 1, 1000, MAX32):
        yield f"array of {count}", metadata_at(1, struct.pack(">i", count))
    for count in (0, 1, 2, 1000, 2**31, 2**32 - 1):
        yield f"compact array of {count} less 1", metadata_at(9, codec.uvarint(count) + b"\0\0\0\0")
    yield "compact array without end", metadata_at(9, b"\xff" * 9 + b"\0\0\0\0")
    for size in (-1, -2, -32768, 0, 5, 32767):
        yield f"string of {size}", metadata_at(1, struct.pack(">ih", 1, size))
        yield f"string of {size}, version 0", metadata_at(0, struct.pack(">ih", 1, size))
    for size in (0, 1, 6, 2**15 + 1, 2**31, 2**32 - 1):
        yield f"compact string of {size} less 1", metadata_at(9, b"\x02" + codec.uvarint(size) + b"\0\0\0\0\0")
    for text in (b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"a\0b", b"\xf0\x9f\x98\x80"):
        yield f"a name of bytes {text.hex()}", metadata_at(1, struct.pack(">ih", 1, len(text)) + text)
    head = codec.encode_header(PRODUCE, 8, 1) + struct.pack(">hhi", -1, 1, 1000)
    name = struct.pack(">h", len(topic)) + topic.encode()
    for size in (-1, -2, -2**31, 0, 1, MAX32):
        frame = head + struct.pack(">i", 1) + name + struct.pack(">iii", 1, 0, size)
        yield f"records of {size}", world.ask_raw(frame, PRODUCE, 8, show_produced)
    for count in (-1, -2, 0, 1, 10**6, MAX32):
        yield f"{count} topics to produce", world.ask_raw(head + struct.pack(">i", count), PRODUCE, 8, show_produced)
        frame = head + struct.pack(">i", 1) + name + struct.pack(">i", count)
        yield f"{count} partitions to produce", world.ask_raw(frame, PRODUCE, 8, show_produced)
