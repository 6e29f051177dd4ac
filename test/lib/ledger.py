"""What a producer was promised: every acknowledged (partition, offset, checksum), on paper, so that it
can be held against what a consumer reads later."""
import zlib
from collections import defaultdict


class Ledger:
    def __init__(self):
        self.promised = {}  # (partition, offset) → (checksum, producer's name of the record)
        self.conflicts = []

    def acknowledge(self, partition, offset, value, name):
        entry = (zlib.crc32(value), name)
        before = self.promised.setdefault((partition, offset), entry)
        if before != entry:
            self.conflicts.append(f"partition {partition} offset {offset} was promised to {before[1]} and to {name}")

    def check(self, path, sent):
        """Compares with a dump of lines "topic partition offset checksum key"; returns what is wrong.

        `sent` are the names of all records ever sent, acknowledged or not: each may be there once. Within
        a partition, the records of one producer must be in the order in which they were sent."""
        wrong, seen, names, order = list(self.conflicts), {}, defaultdict(list), {}
        for line in open(path):
            _, partition, offset, checksum, name = line.split()
            where = (int(partition), int(offset))
            if where in seen:
                wrong.append(f"partition {partition} offset {offset} was read twice")
            seen[where] = (int(checksum), name)
            names[name].append(where)
            producer, number = name.rsplit(".", 1)
            last = order.get((partition, producer), -1)
            if int(number) <= last:
                wrong.append(f"{name} at partition {partition} offset {offset} comes after number {last} of that producer")
            order[partition, producer] = int(number)
        for where, entry in self.promised.items():
            if seen.get(where) != entry:
                wrong.append(f"partition {where[0]} offset {where[1]}: promised {entry}, read {seen.get(where)}")
        for name, places in names.items():
            if len(places) > 1:
                wrong.append(f"{name} is there {len(places)} times: {places[:3]}")
            if name not in sent:
                wrong.append(f"{name} was never sent")
        offsets = defaultdict(list)
        for partition, offset in seen:
            offsets[partition].append(offset)
        for partition, found in offsets.items():
            found.sort()
            if found != list(range(found[0], found[0] + len(found))):
                gap = next(a for a, b in zip(found, found[1:]) if b != a + 1)
                wrong.append(f"partition {partition}: a gap after offset {gap}")
        return wrong
