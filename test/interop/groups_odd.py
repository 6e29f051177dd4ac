"""Odd lives of classic groups for groups_raw.py: members that come twice, change, fall silent or leave in the middle of a
rebalance, and who is told what then. A request may be parked, so each member has a connection of its own, and what it is
told is read when the test says so."""
import concurrent.futures
import re
import time

from consumers_raw import WAIT_S, Wire, plain, subscription  # finds what is in hostile/
import codec
import wire

RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
UNKNOWN_MEMBER_ID, GROUP_MAX_SIZE_REACHED = 25, 81
AT_ONCE = 8  # lives, of which each spends most of its time waiting for the first rebalance of a group


class Member:
    def __init__(self, wires, group, name, instance=None, version=9, protocols=("range",), **joining):
        self.wires, self.group, self.name, self.instance, self.version = wires, group, name, instance, version
        self.connection = wire.Connection(wires.run.target.address, WAIT_S)
        self.id, self.generation, self.asked = "", -1, []
        self.joining = {"SessionTimeoutMs": 20000, "ProtocolType": "consumer",
                        "Protocols": [{"Name": one, "Metadata": subscription("t")} for one in protocols], **joining}
        if version >= 1:
            self.joining.setdefault("RebalanceTimeoutMs", 20000)

    def reset(self):
        self.connection.reset()
        self.connection, self.asked = wire.Connection(self.wires.run.target.address, WAIT_S), []

    def send(self, what, api, version, **body):
        self.connection.send_frame(codec.encode(codec.KEYS[api], version, 1, {"GroupId": self.group, **body}))
        self.asked.append((what, api, version))

    def hear(self):
        what, api, version = self.asked.pop(0)
        answer = self.connection.answer(codec.KEYS[api], version)
        if api == "JoinGroup" and answer["MemberId"] and answer["ErrorCode"] in (0, 79):
            if answer["MemberId"] not in self.wires.names:
                self.wires.names[answer["MemberId"]] = f"the id of {self.name}"
            self.id = answer["MemberId"]
            self.generation = answer["GenerationId"]
        self.wires.note(f"{self.group}: {self.name} {what} ({api} v{version})", answer)
        return answer

    def ask(self, what, api, version, **body):
        self.send(what, api, version, **body)
        return self.hear()

    def named(self, version, since):
        return {"GroupInstanceId": self.instance} if self.instance and version >= since else {}

    def join(self, what="joins", **changes):
        """Sends it: the id round is made first."""
        body = {**self.joining, **self.named(self.version, 5), **changes}
        if not self.id and not self.instance and self.version >= 4 and "MemberId" not in changes:
            self.ask(f"{what} as new", "JoinGroup", self.version, MemberId="", **body)
        self.send(what, "JoinGroup", self.version, **{"MemberId": self.id, **body})
        return self

    def sync(self, what="syncs", assignments=(), **changes):
        version = min(self.version, 5)
        body = {"GenerationId": self.generation, "MemberId": self.id, **self.named(version, 3),
                "Assignments": [{"MemberId": one.id, "Assignment": data} for one, data in assignments]}
        if version >= 5:
            body |= {"ProtocolType": self.joining["ProtocolType"], "ProtocolName": "range"}
        self.send(what, "SyncGroup", version, **{**body, **changes})
        return self

    def beat(self, what="beats", **changes):
        version = min(self.version, 4)
        return self.ask(what, "Heartbeat", version, **{"GenerationId": self.generation, "MemberId": self.id,
                                                       **self.named(version, 3), **changes})

    def send_commit(self, what="commits", topic="t", offset=5, **changes):
        self.send(what, "OffsetCommit", 9, **{
            "GenerationIdOrMemberEpoch": self.generation, "MemberId": self.id, **self.named(9, 7), **changes},
            Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset, "CommittedLeaderEpoch": -1,
                                                    "CommittedMetadata": ""}]}])

    def commit(self, *args, **changes):
        self.send_commit(*args, **changes)
        return self.hear()

    def leave(self, what="leaves", members=None):
        if self.version < 3:
            return self.ask(what, "LeaveGroup", self.version, MemberId=self.id)
        return self.ask(what, "LeaveGroup", 5, Members=members or [{"MemberId": self.id, **self.named(5, 3)}])


class Life(Wire):
    """One group, on connections of its own."""

    def __init__(self, run, group):
        super().__init__(run)
        self.group = group

    def note(self, case, answer):
        if case in self.run.answers:
            raise AssertionError(f"{case} comes twice")
        self.run.answers[case] = self.shown(plain(answer, self.names))

    def shown(self, value):
        """Ids that are not known yet are all alike."""
        if isinstance(value, dict):
            return {key: self.shown(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.shown(one) for one in value]
        return RANDOM.sub("ID", value) if isinstance(value, str) else value

    def member(self, name, *args, **more):
        return Member(self, self.group, name, *args, **more)

    def admin(self, what, api, version, **body):
        answer = self.connection.request(codec.KEYS[api], version, body)
        self.note(f"{self.group}: {what} ({api} v{version})", answer)
        return answer

    def describe(self, what):
        return self.admin(what, "DescribeGroups", 5, Groups=[self.group])

    def state(self):
        (found,) = self.connection.request(codec.KEYS["DescribeGroups"], 5, {"Groups": [self.group]})["Groups"]
        return found["GroupState"], len(found["Members"])

    def until(self, state, members=None):
        deadline = time.monotonic() + WAIT_S
        while True:
            found = self.state()
            if found[0] == state and members in (None, found[1]):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.group} is {found}, not {state} {members}")
            time.sleep(0.02)

    def until_full(self):
        """As many joins wait as there may be members: only then is a stranger refused for that, and not because it is one."""
        deadline = time.monotonic() + WAIT_S
        body = {"GroupId": self.group, "MemberId": "stranger", "SessionTimeoutMs": 20000, "RebalanceTimeoutMs": 20000,
                "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": b""}]}
        while True:
            error = self.connection.request(codec.KEYS["JoinGroup"], 9, body)["ErrorCode"]
            if error == GROUP_MAX_SIZE_REACHED:
                return
            if error != UNKNOWN_MEMBER_ID or time.monotonic() > deadline:
                raise TimeoutError(f"{self.group} is not full: a stranger hears {error}")
            time.sleep(0.02)

    def together(self, *members):
        """All of them in the first generation, not yet synced; the first one leads."""
        for number, member in enumerate(members):
            member.join()
            self.until("PreparingRebalance", number + 1)
        for member in members:
            member.hear()

    def stable(self, *members):
        self.together(*members)
        for member in members[1:]:
            member.sync()
        members[0].sync(assignments=[(member, f"of {member.name}".encode()) for member in members])
        for member in members:
            member.hear()


def oldest(life):
    """Version 0 has no rebalance timeout."""
    a, b = life.member("a", version=0), life.member("b", version=0)
    a.join().hear()
    a.beat("beats before it syncs")
    a.sync(assignments=[(a, b"all")]).hear()
    b.join()
    life.until("PreparingRebalance")
    a.beat("beats in the rebalance")
    a.join("joins again").hear()
    b.hear()
    b.beat("beats before it syncs")
    a.sync("syncs again", assignments=[(a, b"one"), (b, b"other")]).hear()
    b.sync().hear()
    life.describe("described when it is stable")
    a.leave()
    b.beat("beats when a is gone")
    b.leave()
    life.describe("described when it is empty")


def twins_at_first(life):
    """A static member joins twice, on two connections, before the first rebalance is over."""
    a, twin = life.member("a", "i"), life.member("its twin", "i")
    a.join()
    life.until("PreparingRebalance")
    twin.join()
    a.hear()
    twin.hear()
    life.describe("described before the sync")
    twin.sync(assignments=[(twin, b"all")]).hear()
    life.describe("described when it is stable")


def twins_that_sync(life):
    """The second one comes while the first waits for its assignment."""
    leader, a, twin = life.member("the leader"), life.member("a", "i"), life.member("its twin", "i")
    life.together(leader, a)
    a.sync()
    twin.join()
    a.hear()
    life.until("PreparingRebalance")
    a.beat("beats in vain")
    a.sync("syncs in vain").hear()
    a.commit("commits in vain")
    leader.beat("hears of it")
    leader.sync("syncs too late", assignments=[(leader, b"x")]).hear()
    leader.join("joins again").hear()
    twin.hear()
    leader.sync("syncs at last", assignments=[(leader, b"one"), (twin, b"other")]).hear()
    twin.sync().hear()
    life.describe("described in the end")


def static_leader_comes_back(life):
    """In the middle of a rebalance, before anybody has synced, under its old id, and in an old version."""
    a, b, again = life.member("a", "i"), life.member("b", "j"), life.member("a again", "i")
    life.together(a, b)
    again.join()
    life.until("PreparingRebalance")
    b.beat("hears of it")
    b.join("joins again").hear()
    again.hear()
    a.join("comes under its old id").hear()
    life.describe("described before the sync")
    again.sync(assignments=[(again, b"one"), (b, b"other")]).hear()
    b.sync().hear()
    old = life.member("a in version 5", "i", version=5)
    old.join().hear()
    old.beat()
    older = life.member("b in version 8", "j", version=8)
    older.join().hear()
    older.sync().hear()
    older.leave("is removed", members=[{"MemberId": "", "GroupInstanceId": "i"}, {"MemberId": "", "GroupInstanceId": "j"},
                                       {"MemberId": "", "GroupInstanceId": "k"}])
    life.describe("described when it is empty")


def change_in_the_sync(life):
    """Members that say something new between join and sync."""
    a, b = life.member("a"), life.member("b")
    life.together(a, b)
    b.join("joins again unchanged").hear()
    a.join("joins again unchanged, as the leader").hear()
    b.sync()
    b2 = life.member("b elsewhere")
    b2.id = b.id
    b2.join("joins again with another subscription", Protocols=[{"Name": "range", "Metadata": subscription("u")}])
    b.hear()
    life.until("PreparingRebalance")
    a.sync("syncs too late", assignments=[(a, b"x")]).hear()
    a.commit("commits meanwhile")
    a.join("joins again").hear()
    b2.hear()
    a.sync(assignments=[(a, b"one"), (b, b"other")]).hear()
    b2.sync().hear()
    for topic in ("t", "u"):
        life.admin(f"offsets of {topic} are deleted", "OffsetDelete", 0, GroupId=life.group,
                   Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}])
    a.leave()
    b2.beat("hears of it")
    b2.leave()
    life.describe("described when it is empty")


def nothing_in_common(life):
    a, b, c = life.member("a", protocols=("range", "x")), life.member("b", protocols=("x", "y")), life.member("c", protocols=("y", "range"))
    a.join()
    life.until("PreparingRebalance", 1)
    b.join()
    life.until("PreparingRebalance", 2)
    c.join("joins")
    c.hear()
    a.hear()
    b.hear()
    b.sync(ProtocolName="x")
    a.sync(ProtocolName="x", assignments=[(a, b"a"), (b, b"b")]).hear()
    b.hear()
    life.describe("described with what they share")
    a.join("joins again with what b does not have", Protocols=[{"Name": "range", "Metadata": b""}]).hear()
    a.beat()
    b.leave()
    a.beat("hears of it")
    a.join("joins alone", Protocols=[{"Name": "range", "Metadata": b""}]).hear()
    c.join("joins now")
    life.until("PreparingRebalance")
    a.join("joins again", Protocols=[{"Name": "range", "Metadata": b""}]).hear()
    c.hear()
    life.describe("described with c")


def leader_dies(life):
    """Before it has synced; the rebalance timeout is a second and a half."""
    a, b = (life.member(name, RebalanceTimeoutMs=1500) for name in "ab")
    life.together(a, b)
    b.sync()
    a.reset()
    b.hear()
    b.beat("hears of it")
    b.join("joins again").hear()
    b.sync("syncs again", assignments=[(b, b"all")]).hear()
    life.describe("described without a")
    other = life.member("a elsewhere")
    other.id, other.generation = a.id, a.generation
    other.beat()
    other.sync().hear()
    other.join().hear()


def all_leave_in_the_sync(life):
    a, b = life.member("a"), life.member("b", "i")
    life.together(a, b)
    b.sync()
    b.reset()  # Kafka leaves the sync of a member that is taken out unanswered
    a.leave("takes both along", members=[{"MemberId": a.id}, {"MemberId": "", "GroupInstanceId": "i"}])
    life.describe("described when it is empty")
    a.sync().hear()
    b.beat()
    a.commit("commits", offset=7)
    b.id, b.generation = "", -1
    b.join("comes back")
    life.until("PreparingRebalance")
    b.leave("leaves while it joins", members=[{"MemberId": "", "GroupInstanceId": "i"}])
    b.hear()
    life.until("Empty")
    life.describe("described in the end")


def full(life):
    """Three are as many as there may be."""
    a, b, c, d = life.member("a"), life.member("b", "i"), life.member("c"), life.member("d")
    life.stable(a, b, c)
    d.ask("joins", "JoinGroup", 9, MemberId="", **d.joining)
    b2 = life.member("b again", "i")
    b2.join().hear()
    d2 = life.member("d as static", "j")
    d2.join().hear()
    b.join("joins under its id").hear()
    a.join("begins a rebalance")
    life.until("PreparingRebalance")
    d.ask("joins in the rebalance", "JoinGroup", 9, MemberId="", **d.joining)
    late = life.member("e", version=3)
    late.join()
    life.until("PreparingRebalance", 4)
    b2.id = b.id
    b2.join("joins in the rebalance")
    life.until_full()
    c.send("joins in the rebalance", "JoinGroup", 9, MemberId=c.id, **c.joining)
    a.hear()
    b2.hear()
    c.hear()
    late.hear()


def leavers(life):
    """One request about many members, some of them twice, some of them wrong."""
    a, b, c = life.member("a"), life.member("b", "i"), life.member("c", "j")
    life.stable(a, b, c)
    fourth = life.member("d", "k")
    life.admin("many leave", "LeaveGroup", 5, GroupId=life.group, Members=[
        {"MemberId": b.id, "GroupInstanceId": "j"}, {"MemberId": b.id}, {"MemberId": "", "GroupInstanceId": "i"},
        {"MemberId": c.id, "GroupInstanceId": "nobody"}, {"MemberId": "x", "GroupInstanceId": "j"}, {"MemberId": ""},
        {"MemberId": "", "GroupInstanceId": ""}, {"MemberId": a.id, "GroupInstanceId": "i"}])
    a.beat("hears of it")
    c.beat("hears of it")
    fourth.ask("asks for an id in version 4", "JoinGroup", 4, MemberId="", **fourth.joining)
    life.admin("who has an id leaves", "LeaveGroup", 3, GroupId=life.group, Members=[{"MemberId": fourth.id}, {"MemberId": fourth.id}])
    life.admin("nobody leaves", "LeaveGroup", 5, GroupId=life.group, Members=[])
    life.describe("described with what is left")


def ids_only(life):
    """Ids are handed out, and nobody comes with them."""
    a = life.member("a", SessionTimeoutMs=1500)
    a.ask("asks for an id", "JoinGroup", 9, MemberId="", **a.joining)
    life.until("Empty")
    life.describe("described with an id")
    a.beat("beats with the id")
    a.sync().hear()
    a.commit("commits with the id", GenerationIdOrMemberEpoch=0)
    a.commit("commits as nobody", GenerationIdOrMemberEpoch=-1, MemberId="")
    b = life.member("b")
    b.ask("asks for an id", "JoinGroup", 9, MemberId="", **b.joining)
    b.ask("comes as a static member", "JoinGroup", 9, MemberId=b.id, GroupInstanceId="i", **b.joining)
    life.admin("deleted", "DeleteGroups", 2, GroupsNames=[life.group])
    b.ask("comes with its id", "JoinGroup", 9, MemberId=b.id, **b.joining)
    a.leave()


def other_types(life):
    a = life.member("a", ProtocolType="connect", Protocols=[{"Name": "range", "Metadata": b"\xff"}])
    life.stable(a)
    a.commit()
    life.admin("offsets are deleted", "OffsetDelete", 0, GroupId=life.group, Topics=[{"Name": "t", "Partitions": [{"PartitionIndex": 0}]}])
    a.leave()
    life.admin("offsets are deleted when it is empty", "OffsetDelete", 0, GroupId=life.group,
               Topics=[{"Name": "t", "Partitions": [{"PartitionIndex": 0}]}])
    life.describe("described when it is empty")
    b = life.member("b", Protocols=[{"Name": "range", "Metadata": b"\xff"}])
    b.join().hear()
    b.sync(assignments=[(b, b"\xff\xff")]).hear()
    life.describe("described with another type")
    for topic in ("t", "u"):
        life.admin(f"offsets of {topic} are deleted", "OffsetDelete", 0, GroupId=life.group,
                   Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}])
    life.admin("listed", "ListGroups", 5, StatesFilter=["no state"], TypesFilter=[])


def commits(life):
    """Who may commit in which state."""
    nobody = life.member("nobody")
    nobody.commit("commits first", MemberId="", GenerationIdOrMemberEpoch=-1)
    a = life.member("a")
    a.join()
    life.until("PreparingRebalance")

    def all_sorts(when):
        """Sent together: the first rebalance is over after two seconds."""
        for who, id in (("nobody", ""), ("a stranger", "stranger"), ("a", a.id)):
            for generation in (-2, -1, 0, 1, 2, 2**31 - 1):
                nobody.send_commit(f"commits {when} as {who} of {generation}", MemberId=id, GenerationIdOrMemberEpoch=generation)
        nobody.send_commit(f"commits {when} as an instance", MemberId="", GenerationIdOrMemberEpoch=-1, GroupInstanceId="i")
        nobody.send_commit(f"commits {when} as an instance of a", MemberId=a.id, GenerationIdOrMemberEpoch=1, GroupInstanceId="i")
        while nobody.asked:
            nobody.hear()

    all_sorts("in the first rebalance")
    a.hear()
    all_sorts("before the sync")
    a.sync(assignments=[(a, b"all")]).hear()
    all_sorts("when it is stable")
    b = life.member("b")
    b.join()
    life.until("PreparingRebalance")
    all_sorts("in the second rebalance")
    b.leave()
    b.hear()
    a.leave()
    all_sorts("when it is empty")


LIVES = [oldest, twins_at_first, twins_that_sync, static_leader_comes_back, change_in_the_sync, nothing_in_common, leader_dies,
         all_leave_in_the_sync, full, leavers, ids_only, other_types, commits]


def parts(run, chosen=None, lives=LIVES, kind=Life, prefix="odd"):
    """Each life in a group of its own, which is named after it."""
    def live(one):
        try:
            one(kind(run, f"{prefix}-{one.__name__}".replace("_", "-")))
        except Exception as thrown:  # what there is of it is compared all the same
            run.answers[f"{prefix}-{one.__name__} to its end"] = f"{type(thrown).__name__}: {thrown}"

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(live, (one for one in lives if not chosen or one.__name__ in chosen)))
