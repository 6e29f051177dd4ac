"""Requests and answers as Python dicts, from the same schema/ that the C codec is made of, so that every
API in every version can be spoken without a client library. test/protocol/differential shows that the
schema is Kafka's. Keys of dicts are the schema's names; what is left out has its default."""
import importlib.machinery
import importlib.util
import pathlib
import re
import struct
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NUMBERS = {"int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "float64": "d", "bool": "?"}
API_VERSIONS = 18


def _load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


_schema = _load("schema-compile")
APIS = {file.key: file for file in _schema.read_schema(ROOT / "schema") if file.folder == "api"}
for _file in APIS.values():  # a few of Kafka's names begin in lower case
    for _message in _file.messages.values():
        for _kind in _message.order:
            for _field in _kind.fields:
                _field.name = _field.name[0].upper() + _field.name[1:]
KEYS = {file.name: file.key for file in APIS.values()}
ERRORS = {int(number): name for name, number in
          re.findall(r"^    KAFKA_(\w+) = (-?\d+),", (ROOT / "src/base/errors.h").read_text(), re.M)}


def error_name(code):
    return ERRORS.get(code, "UNKNOWN_SERVER_ERROR" if code == -1 else f"error {code}")


class Malformed(Exception):
    """An answer that is not what the schema says."""


def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value):
    return uvarint(value << 1 if value >= 0 else (-value << 1) - 1)


class Writer:
    def __init__(self, message, version):
        self.message, self.version, self.flexible = message, version, message.is_flexible(version)
        self.out = bytearray()

    def length(self, size, short, flexible):
        if flexible:
            self.out += uvarint(0 if size is None else size + 1)
        else:
            self.out += struct.pack(">h" if short else ">i", -1 if size is None else size)

    def sized(self, field, value):
        data = value.encode() if isinstance(value, str) else value
        self.length(None if data is None else len(data), field.base == "string", self.flexible and not field.inflexible)
        self.out += data or b""

    def one(self, field, value):
        if field.struct:
            self.fields(field.struct, value)
        elif field.base == "uuid":
            self.out += value.bytes if isinstance(value, uuid.UUID) else bytes(16) if value is None else value
        elif field.base in NUMBERS:
            self.out += struct.pack(">" + NUMBERS[field.base], value)
        else:
            self.sized(field, value)

    def field(self, field, value):
        if field.array:
            self.length(None if value is None else len(value), False, self.flexible)
            if value and len(value) > 100 and all(item is value[0] for item in value):
                inner = Writer(self.message, self.version)  # one thing many times: encoded once
                inner.one(field, value[0])
                self.out += inner.out * len(value)
                return
            for item in value or []:
                self.one(field, item)
        elif field.pointer:
            self.out += b"\xff" if value is None else b"\x01"
            if value is not None:
                self.fields(field.struct, value)
        else:
            self.one(field, value)

    def fields(self, kind, values):
        known = {field.name for field in kind.fields}
        assert set(values) <= known, f"{kind.c_name} has no {set(values) - known}"
        tagged = []
        for field in kind.table_order():
            if not _schema.within(self.version, field.versions):
                continue
            if field.tag is not None:
                if field.name in values:
                    tagged.append(field)
                continue
            self.field(field, values.get(field.name, default(field)))
        if self.flexible:
            self.out += uvarint(len(tagged))
            for field in tagged:
                inner = Writer(self.message, self.version)
                inner.field(field, values[field.name])
                self.out += uvarint(field.tag) + uvarint(len(inner.out)) + inner.out


def default(field):
    """What a field is that nobody named."""
    if field.default == "null" or field.base == "records" and not field.array:
        return None
    if field.array:
        return []
    if field.struct:
        return {}
    if field.base == "string":
        return ""
    if field.base == "bytes":
        return b""
    if field.base == "uuid":
        return None
    return field.default == "true" if field.base == "bool" else int(field.default or 0)


class Reader:
    def __init__(self, message, version, data):
        self.message, self.version, self.flexible = message, version, message.is_flexible(version)
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise Malformed(f"{self.message.name} {self.version} ends at byte {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, kind):
        return struct.unpack(">" + NUMBERS[kind], self.take(struct.calcsize(NUMBERS[kind])))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def length(self, short, flexible):
        size = self.uvarint() - 1 if flexible else self.number("int16" if short else "int32")
        return None if size < 0 else size

    def one(self, field):
        if field.struct:
            return self.fields(field.struct)
        if field.base == "uuid":
            return uuid.UUID(bytes=bytes(self.take(16)))
        if field.base in NUMBERS:
            return self.number(field.base)
        size = self.length(field.base == "string", self.flexible and not field.inflexible)
        data = None if size is None else bytes(self.take(size))
        return data.decode(errors="replace") if field.base == "string" and data is not None else data

    def field(self, field):
        if field.array:
            count = self.length(False, self.flexible)
            return None if count is None else [self.one(field) for _ in range(count)]
        if field.pointer:
            return self.fields(field.struct) if self.number("int8") > 0 else None
        return self.one(field)

    def fields(self, kind):
        values, tags = {}, {}
        for field in kind.table_order():
            if not _schema.within(self.version, field.versions):
                continue
            if field.tag is not None:
                tags[field.tag] = field
                continue
            values[field.name] = self.field(field)
        for _ in range(self.uvarint() if self.flexible else 0):
            tag, size = self.uvarint(), self.uvarint()
            end = self.at + size
            if tag in tags:
                values[tags[tag].name] = self.field(tags[tag])
            self.take(end - self.at)
        return values


def versions(key):
    """First and last version of a request, or None for APIs that are gone."""
    return APIS[key].messages["request"].versions


def encode_body(key, version, body):
    message = APIS[key].messages["request"]
    writer = Writer(message, version)
    writer.fields(message.top, body)
    return bytes(writer.out)


def encode_header(key, version, correlation_id, client_id="hostile", flexible=None):
    message = APIS[key].messages.get("request") if key in APIS else None
    if flexible is None:
        flexible = bool(message and message.versions and message.is_flexible(version))
    name = b"\xff\xff" if client_id is None else struct.pack(">h", len(client_id.encode())) + client_id.encode()
    return struct.pack(">hhi", key, version, correlation_id) + name + (b"\0" if flexible else b"")


def encode(key, version, correlation_id, body):
    return encode_header(key, version, correlation_id) + encode_body(key, version, body)


def decode(key, version, data):
    """(correlation id, the answer as a dict)."""
    message = APIS[key].messages["response"]
    reader = Reader(message, version, data)
    correlation_id = reader.number("int32")
    if reader.flexible and key != API_VERSIONS:  # its header never is, so that every client can read it
        for _ in range(reader.uvarint()):
            reader.uvarint()
            reader.take(reader.uvarint())
    values = reader.fields(message.top)
    if reader.at != len(data):
        raise Malformed(f"{message.name} {version} has {len(data) - reader.at} bytes more than it should")
    return correlation_id, values


def random_body(key, version, chance, names=(), ids=(), records=()):
    """A body that decodes, with random values; large numbers and absurd names are as likely as sane ones. Names, ids
    and records that mean something to the broker may be given, and are often used."""
    message = APIS[key].messages["request"]

    def number(kind):
        bits = struct.calcsize(NUMBERS[kind]) * 8
        signed = kind.startswith("int")
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return chance.choice([0, 1, -1 if signed else high, low, high, chance.randint(low, high), chance.randint(0, 10)])

    def one(field, depth):
        if field.struct:
            return fields(field.struct, depth)
        if field.base == "uuid":
            return chance.choice([bytes(16), chance.randbytes(16), *ids])
        if field.base == "bool":
            return chance.random() < 0.5
        if field.base == "float64":
            return chance.choice([0.0, -1.0, float("nan"), float("inf"), 1e308])
        if field.base in NUMBERS:
            return number(field.base)
        if field.base == "records" and records:
            return chance.choice([b"", chance.randbytes(chance.randint(1, 200)), *records])
        if field.base == "string" and names and chance.random() < 0.6:
            return chance.choice(names)
        text = chance.choice(["", "x", "hostile", "__consumer_offsets", "a" * 249, "a" * 300, "../x", "\0", "é☃", "a.b_c-d"])
        return text if field.base == "string" else chance.choice([b"", chance.randbytes(chance.randint(1, 200))])

    def value(field, depth):
        if field.nullable != _schema.NEVER and _schema.within(version, field.nullable) and chance.random() < 0.2:
            return None
        if field.array:
            return [one(field, depth + 1) for _ in range(chance.choice([0, 1, 1, 2, 3]) if depth < 4 else 0)]
        return one(field, depth + 1)

    def fields(kind, depth):
        return {field.name: value(field, depth) for field in kind.fields
                if _schema.within(version, field.versions) and (field.tag is None or chance.random() < 0.5)}

    return encode_body(key, version, fields(message.top, 0))
