"""Raw requests of the consumer protocol (KIP-848) for groups_raw.py: ConsumerGroupHeartbeat and ConsumerGroupDescribe,
and what the APIs of all groups say of such a group. Requests are made from schema/, since no client library shows them."""
import pathlib
import re
import struct
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "hostile"))

import codec  # noqa: E402
import wire  # noqa: E402

SETTINGS = {
    "group.consumer.max.size": "3", "group.consumer.min.heartbeat.interval.ms": "1000",
    # One answer a heartbeat, whenever it comes: no assignment is put off, none is computed beside the requests.
    "group.consumer.assignment.interval.ms": "0", "group.consumer.assignor.offload.enable": "false"}
HEARTBEAT, DESCRIBE = codec.KEYS["ConsumerGroupHeartbeat"], codec.KEYS["ConsumerGroupDescribe"]
JOIN, LEAVE, LEAVE_FOR_A_WHILE = 0, -1, -2
WAIT_S = 30
ORDERLESS = {"TopicPartitions", "Partitions", "SubscribedTopicNames", "Members", "Groups", "GroupIds"}
# Sentences are our own.
IGNORED = {"ThrottleTimeMs", "ErrorMessage", "TopicId"}
GENERATED = re.compile(r"^[A-Za-z0-9_-]{22}$")


def plain(value, names, key=None):
    if isinstance(value, dict):
        shown = {name: plain(one, names, name) for name, one in value.items() if name not in IGNORED}
        if "TopicId" in value:
            shown["Topic"] = names.get(value["TopicId"], value["TopicId"])
        return shown
    if isinstance(value, list):
        return sorted((plain(one, names) for one in value), key=repr) if key in ORDERLESS else [plain(one, names) for one in value]
    if isinstance(value, str) and value in names:
        return names[value]
    if key == "MemberId" and value and GENERATED.match(value):
        return "a generated id"
    return value


class Wire:
    def __init__(self, run):
        self.run, self.connection = run, wire.Connection(run.target.address)
        self.names, self.ids = {}, {}

    def learn(self, *topics):
        """Topics by the ids that the broker gave them."""
        found = self.connection.request(codec.KEYS["Metadata"], 12, {"Topics": [{"Name": name} for name in topics]})
        for one in found["Topics"]:
            self.names[one["TopicId"]], self.ids[one["Name"]] = one["Name"], one["TopicId"]

    def ask(self, case, api, version, **body):
        answer = self.connection.request(codec.KEYS[api], version, body)
        self.run.answers[f"{case} ({api} v{version})"] = plain(answer, self.names)
        return answer

    def owned(self, **topics):
        return [{"TopicId": self.ids[name], "Partitions": list(partitions)} for name, partitions in topics.items()]


class Member:
    """A member that remembers what it was told and does it at once."""

    def __init__(self, wires, group, name, topics=("t",), version=0, **more):
        self.wires, self.group, self.name, self.version = wires, group, name, version
        self.more = {"RebalanceTimeoutMs": 60000, "SubscribedTopicNames": list(topics), **more}
        if "SubscribedTopicRegex" in more and not topics:
            del self.more["SubscribedTopicNames"]
        self.id, self.epoch, self.owns = name, JOIN, []

    def _send(self, what, body):
        answer = self.wires.ask(f"{self.group}: {self.name} {what}", "ConsumerGroupHeartbeat", self.version,
                                GroupId=self.group, MemberId=self.id, **body)
        if answer["ErrorCode"] == 0:
            self.epoch = answer["MemberEpoch"]
            if answer["Assignment"] is not None:
                self.owns = answer["Assignment"]["TopicPartitions"]
        return answer

    def full(self, what, **changes):
        """All fields, as a member that joins or has something to say."""
        self.more |= changes
        return self._send(what, {"MemberEpoch": self.epoch, "TopicPartitions": self.owns if self.epoch > 0 else [], **self.more})

    def beat(self, what, **fields):
        """As little as possible."""
        return self._send(what, {"MemberEpoch": self.epoch, **fields})

    def leave(self, what, epoch=LEAVE, **fields):
        answer = self._send(what, {"MemberEpoch": epoch, **fields})
        if answer["ErrorCode"] == 0:
            self.epoch, self.owns = JOIN, []
        return answer


def refusals(wires, version):
    def beat(what, **changes):
        body = {"GroupId": "cg", "MemberId": "m", "MemberEpoch": JOIN, "RebalanceTimeoutMs": 60000,
                "SubscribedTopicNames": ["t"], "TopicPartitions": [], **changes}
        wires.ask(f"heartbeat {what}", "ConsumerGroupHeartbeat", version, **{k: v for k, v in body.items() if v is not ...})

    beat("without a group", GroupId="")
    beat("of a member without an id", MemberEpoch=1, MemberId="")
    beat("of one without an id that leaves", MemberEpoch=LEAVE, MemberId="")
    beat("with an empty instance", InstanceId="")
    beat("with an empty rack", RackId="")
    beat("without a rebalance timeout", RebalanceTimeoutMs=...)
    beat("with a rebalance timeout of 0", RebalanceTimeoutMs=0, GroupId=f"cg0v{version}")
    beat("with a negative rebalance timeout", RebalanceTimeoutMs=-2, GroupId=f"cg1v{version}")
    beat("that owns something", TopicPartitions=wires.owned(t=[0]))
    beat("that does not say what it owns", TopicPartitions=..., GroupId=f"cg2v{version}")
    beat("without a subscription", SubscribedTopicNames=...)
    beat("with an unknown assignor", ServerAssignor="sticky")
    beat("of an epoch that is none", MemberEpoch=-3)
    beat("of a static member without an instance", MemberEpoch=LEAVE_FOR_A_WHILE)
    for epoch in (1, LEAVE, LEAVE_FOR_A_WHILE):
        beat(f"at {epoch} to a group that is not there", MemberEpoch=epoch, InstanceId="i")
    beat("with no topics", SubscribedTopicNames=[], GroupId=f"cg3v{version}")
    beat("with topics that are not there", SubscribedTopicNames=["nope", "t", "t", ""], GroupId=f"cg4v{version}")
    beat("of one that joins without an id", MemberId="", GroupId=f"cg5v{version}")
    wires.ask("describe what is not there", "ConsumerGroupDescribe", version, GroupIds=["none", "", "offsets9", "none"])
    wires.ask("describe with operations", "ConsumerGroupDescribe", 1, GroupIds=[f"cg3v{version}", f"cg4v{version}"], IncludeAuthorizedOperations=True)


def describe(wires, what, group):
    wires.ask(f"{group}: {what}", "ConsumerGroupDescribe", 1, GroupIds=[group])


def commit(wires, what, group, member, epoch, version=9, partitions=((0, 5),), topic="t"):
    where = [{"PartitionIndex": index, "CommittedOffset": offset, "CommittedLeaderEpoch": -1, "CommittedMetadata": ""}
             for index, offset in partitions]
    named = {"TopicId": wires.ids[topic]} if version >= 10 else {"Name": topic}
    wires.ask(f"{group}: {what}", "OffsetCommit", version, GroupId=group, MemberId=member,
              GenerationIdOrMemberEpoch=epoch, Topics=[{**named, "Partitions": where}])


def fetch(wires, what, group, member, epoch):
    wires.ask(f"{group}: {what}", "OffsetFetch", 9, Groups=[{"GroupId": group, "MemberId": member, "MemberEpoch": epoch, "Topics": [
        {"Name": "t", "PartitionIndexes": [0, 1]}]}])


def settle(members, what):
    """Every member in turn until nobody learns anything new."""
    for turn in range(20):
        before = [(member.epoch, member.owns) for member in members]
        for member in members:
            member.full(f"{what}, turn {turn}")
        if before == [(member.epoch, member.owns) for member in members]:
            return
    raise AssertionError(f"{what}: no end")


def life(wires, version):
    """Members of one group, from the first join to the last leave."""
    group = f"clife{version}"
    a, b, c = (Member(wires, group, name, version=version) for name in "abc")
    a.full("joins")
    describe(wires, "described with one", group)
    a.beat("says nothing new")
    a.full("says all of it again")
    a.epoch = JOIN
    a.full("joins again")
    a.full("goes on")
    b.full("joins")
    describe(wires, "described with two", group)
    b.beat("waits")
    commit(wires, "commit between two epochs", group, "a", a.epoch)
    fetch(wires, "fetch between two epochs", group, "a", a.epoch)
    a.beat("is told to give up", TopicPartitions=a.owns)
    a.beat("has given up", TopicPartitions=a.owns)
    b.beat("is given")
    settle([a, b], "two settle")
    describe(wires, "described when settled", group)
    for what, epoch in (("", a.epoch), (" of a later epoch", a.epoch + 1), (" of an older epoch", a.epoch - 1), (" of no epoch", -1)):
        commit(wires, f"commit{what}", group, "a", epoch, partitions=((0, 5), (1, 6)))
        fetch(wires, f"fetch{what}", group, "a", epoch)
    commit(wires, "commit of a stranger", group, "stranger", a.epoch)
    commit(wires, "commit of nobody", group, "", -1)
    commit(wires, "commit in an old version", group, "a", a.epoch, version=8)
    commit(wires, "commit by id", group, "a", a.epoch, version=10)
    fetch(wires, "fetch of a stranger", group, "stranger", 1)
    fetch(wires, "fetch of nobody", group, None, -1)
    for what, epoch in (("ahead", a.epoch + 1), ("behind", a.epoch - 1), ("far behind", a.epoch - 2)):
        late = Member(wires, group, "a", version=version)
        late.epoch, late.owns = epoch, wires.owned(t=[0, 1])
        late.full(f"is {what}")
    stranger = Member(wires, group, "stranger", version=version)
    stranger.epoch = 1
    stranger.beat("speaks")
    stranger.leave("leaves")
    for what, changes in (("one topic more", {"SubscribedTopicNames": ["u", "t"]}), ("range", {"ServerAssignor": "range"}),
                          ("another timeout", {"RebalanceTimeoutMs": 70000}), ("a rack", {"RackId": "r"}),
                          ("no topic", {"SubscribedTopicNames": []}), ("the first one", {"SubscribedTopicNames": ["t"]})):
        a.full(f"wants {what}", **changes)
        settle([a, b], f"after {what}")
    c.full("joins")
    d = Member(wires, group, "d", version=version)
    d.full("finds no room")
    settle([a, b, c], "three settle")
    wires.ask(f"{group}: delete while it lives", "DeleteGroups", 2, GroupsNames=[group])
    wires.ask(f"{group}: described as classic", "DescribeGroups", 6, Groups=[group])
    wires.ask(f"{group}: offsets deleted", "OffsetDelete", 0, GroupId=group, Topics=[
        {"Name": name, "Partitions": [{"PartitionIndex": 0}]} for name in ("t", "u")])
    wires.ask(f"{group}: a classic heartbeat", "Heartbeat", 4, GroupId=group, GenerationId=a.epoch, MemberId="a")
    wires.ask(f"{group}: a classic leave", "LeaveGroup", 5, GroupId=group, Members=[{"MemberId": "nobody"}])
    wires.ask(f"{group}: a classic sync", "SyncGroup", 5, GroupId=group, GenerationId=a.epoch, MemberId="a")
    wires.ask(f"{group}: a classic join", "JoinGroup", 9, GroupId=group, SessionTimeoutMs=10000, RebalanceTimeoutMs=10000,
              MemberId="", ProtocolType="consumer", Protocols=[{"Name": "range", "Metadata": b"\0\0\0\0\0\0\0\0\0\0"}])
    for filters in ({"StatesFilter": ["stable"]}, {"TypesFilter": ["consumer"]}, {"TypesFilter": ["Consumer"], "StatesFilter": ["Empty"]}):
        answer = wires.connection.request(codec.KEYS["ListGroups"], 5, filters)
        listed = [one for one in answer["Groups"] if one["GroupId"] == group]
        wires.run.answers[f"{group}: listed by {filters}"] = plain(listed, wires.names)
    for member in (a, b, c):
        member.leave("leaves")
        describe(wires, f"described after {member.name} left", group)
    a.leave("leaves again")
    commit(wires, "commit of nobody when it is empty", group, "", -1)
    wires.ask(f"{group}: delete when it is empty", "DeleteGroups", 2, GroupsNames=[group])
    describe(wires, "described after it was deleted", group)


def static(wires, version):
    group = f"cstatic{version}"
    first = Member(wires, group, "first", version=version, InstanceId="one")
    other = Member(wires, group, "other", version=version, InstanceId="two")
    first.full("joins")
    other.full("joins")
    settle([first, other], "two settle")
    again = Member(wires, group, "again", version=version, InstanceId="one")
    again.full("comes while the other is there")
    first.leave("goes for a while under another name", LEAVE_FOR_A_WHILE, InstanceId="two")
    first.leave("goes for a while", LEAVE_FOR_A_WHILE, InstanceId="one")
    describe(wires, "described while one is away", group)
    other.beat("notices nothing")
    again.full("comes back")
    settle([again, other], "as before")
    describe(wires, "described when it is back", group)
    first.epoch = again.epoch
    first.beat("speaks in spite of that", InstanceId="one")
    first.beat("speaks without its name")
    other.beat("speaks under an unknown name", InstanceId="three")
    again.leave("leaves for good", InstanceId="one")
    other.beat("stays")
    first.leave("leaves, too", InstanceId="one")
    describe(wires, "described when one is gone", group)


def generated(wires):
    member = Member(wires, "cgenerated", "", version=0)
    member.id = member.full("has no id")["MemberId"]
    member.beat("has one")
    member.leave("leaves")


def dynamic(wires):
    """Settings of a group, which are checked when they are set and seen in the next heartbeat."""
    member = Member(wires, "cdynamic", "m")
    member.full("joins")
    group = 32

    def alter(what, *configs):
        answer = wires.connection.request(codec.KEYS["IncrementalAlterConfigs"], 1, {"Resources": [
            {"ResourceType": group, "ResourceName": "cdynamic", "Configs": [
                {"Name": name, "ConfigOperation": 1 if value is None else 0, "Value": value} for name, value in configs]}]})
        wires.run.answers[f"cdynamic: {what}"] = [one["ErrorCode"] for one in answer["Responses"]]

    alter("a short interval", ("consumer.heartbeat.interval.ms", "10"))
    alter("a long interval", ("consumer.heartbeat.interval.ms", "15001"))
    alter("an absurd interval", ("consumer.heartbeat.interval.ms", "soon"))
    alter("no such setting", ("consumer.no.such", "1"))
    alter("an interval", ("consumer.heartbeat.interval.ms", "7000"), ("consumer.session.timeout.ms", "50000"))
    deadline = time.monotonic() + WAIT_S
    while member.beat("has the group's interval")["HeartbeatIntervalMs"] == 5000 and time.monotonic() < deadline:
        pass  # the change reaches the coordinator a moment after its answer
    answer = wires.connection.request(codec.KEYS["DescribeConfigs"], 4, {"Resources": [
        {"ResourceType": group, "ResourceName": "cdynamic", "ConfigurationKeys": ["consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"]}]})
    wires.run.answers["cdynamic: described"] = sorted(
        (one["Name"], one["Value"], one["ConfigSource"]) for one in answer["Results"][0]["Configs"])
    alter("the broker's again", ("consumer.heartbeat.interval.ms", None))


GROUP_RESOURCE, DYNAMIC_GROUP_CONFIG = 32, 8
SET, DELETE, APPEND, SUBTRACT = range(4)
# Numbers at and beyond bounds, and what other types take.
VALUES = ("", "-1", "0", "1", "2", "5", "10", "11", "99", "100", "999", "1000", "4999", "5000", "10000", "10001", "14999", "15000", "15001",
          "44999", "45000", "60000", "60001", "3600000", "3600001", "2147483647", "2147483648", " 5000 ", "5e3", "soon", "true", "FALSE",
          "yes", "latest", "Earliest", "by_duration:PT1H", "by_duration:PT-1H", "by_duration:1h", "read_committed", "READ_COMMITTED",
          "uniform", "sticky", "a,b", "rack")


def settings_of(answer):
    return sorted((one["Name"], one["Value"], one["ReadOnly"], one["ConfigSource"], one["IsSensitive"], one["ConfigType"],
             [(like["Name"], like["Value"], like["Source"]) for like in one["Synonyms"]]) for one in answer["Results"][0]["Configs"])


def settings(wires):
    """Every setting that a group may have: what it is when nobody has set it, what may be set, what is seen of it, and
    what is left when it is deleted."""
    answers, connection = wires.run.answers, wires.connection

    def alter(name, value, operation=SET, group="csettings", **more):
        answer = connection.request(codec.KEYS["IncrementalAlterConfigs"], 1, {**more, "Resources": [
            {"ResourceType": GROUP_RESOURCE, "ResourceName": group, "Configs": [
                {"Name": name, "ConfigOperation": operation, "Value": value}]}]})
        return codec.error_name(answer["Responses"][0]["ErrorCode"])

    def described(group="csettings", names=None):
        return connection.request(codec.KEYS["DescribeConfigs"], 4, {"IncludeSynonyms": True, "Resources": [
            {"ResourceType": GROUP_RESOURCE, "ResourceName": group, "ConfigurationKeys": names}]})

    def until_described(name, is_set):
        """A change is seen a moment after its answer."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = settings_of(described(names=[name]))
            if [one[3] == DYNAMIC_GROUP_CONFIG for one in found] == [is_set]:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is {found} though it should be {is_set} that it is set")
            time.sleep(0.01)

    usual = settings_of(described())
    answers["csettings: described when nothing is set"] = usual
    for name, value, *_ in usual:
        may_be = {text: alter(name, text, ValidateOnly=True) for text in VALUES}
        may_be |= {f"{operation} 5000": alter(name, "5000", operation, ValidateOnly=True) for operation in (APPEND, SUBTRACT)}
        answers[f"csettings: what {name} may be"] = may_be
        answers[f"csettings: {name} to nothing"] = alter(name, None)
        answers[f"csettings: {name} deleted before it is set"] = alter(name, None, DELETE)
        taken = [text for text in VALUES if text != value and may_be[text] == "NONE"][-1:]
        for text in taken:
            answers[f"csettings: {name} set"] = alter(name, text)
            answers[f"csettings: {name} described"] = until_described(name, True)
            answers[f"csettings: {name} deleted"] = alter(name, None, DELETE)
            answers[f"csettings: {name} described when it was deleted"] = until_described(name, False)
    answers["csettings: an unknown setting"] = alter("consumer.nothing", "1")
    answers["csettings: an unknown setting deleted"] = alter("consumer.nothing", None, DELETE)
    answers["csettings: of no group"] = alter("consumer.heartbeat.interval.ms", "5000", group="")
    answers["csettings: described of no group"] = described("")["Results"][0]["ErrorCode"]
    answers["csettings: an interval as long as the session"] = alter("consumer.heartbeat.interval.ms", "15000")
    answers["csettings: a setting of a topic"] = alter("retention.ms", "1000")
    answers["csettings: replaced as a whole"] = [one["ErrorCode"] for one in connection.request(codec.KEYS["AlterConfigs"], 2, {"Resources": [
        {"ResourceType": GROUP_RESOURCE, "ResourceName": "csettings", "Configs": [{"Name": "consumer.session.timeout.ms", "Value": "50000"}]}]})["Responses"]]
    until_described("consumer.session.timeout.ms", True)
    answers["csettings: described when replaced"] = settings_of(described())
    listed = connection.request(codec.KEYS["ListConfigResources"], 1, {"ResourceTypes": [GROUP_RESOURCE]})
    answers["csettings: listed"] = [one for one in listed["ConfigResources"] if one["ResourceName"] == "csettings"]
    alter("consumer.session.timeout.ms", None, DELETE)


def until_given(wires, member, partitions):
    """Heartbeats that nobody notes until the member has so many; how many it takes is a matter of time."""
    deadline = time.monotonic() + WAIT_S
    while sum(len(one["Partitions"]) for one in member.owns) != partitions:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{member.group}: {member.name} owns {member.owns}")
        answer = wires.connection.request(HEARTBEAT, 1, {"GroupId": member.group, "MemberId": member.id, "MemberEpoch": member.epoch,
                                                         "TopicPartitions": member.owns})
        if answer["ErrorCode"]:
            raise AssertionError(answer)
        member.epoch = answer["MemberEpoch"]
        if answer["Assignment"] is not None:
            member.owns = answer["Assignment"]["TopicPartitions"]
        time.sleep(0.02)


def expressions(wires):
    group = "cregex"
    for what, text in (("half a", "("), ("a lookahead", "(?=t)"), ("a back reference", "(t)\\1"), ("a large repetition", "t{1001}"),
                       ("a byte", "\\C"), ("no range", "[u-t]")):
        Member(wires, f"{group}bad", "a", topics=(), version=1, SubscribedTopicRegex=text).full(f"joins with {what}")
    describe(wires, "described after that", f"{group}bad")
    nobody = Member(wires, f"{group}none", "a", version=1, topics=(), SubscribedTopicRegex="")
    nobody.full("joins with an empty expression")
    describe(wires, "described with an empty expression", f"{group}none")
    one = Member(wires, f"{group}one", "a", topics=(), version=1, SubscribedTopicRegex="t|u.*|(?<name>nothing)")
    one.full("joins")
    until_given(wires, one, 3)
    describe(wires, "described with two topics", f"{group}one")
    # With one topic it does not depend on topics' ids who has what.
    a = Member(wires, group, "a", topics=(), version=1, SubscribedTopicRegex="t|x.*|(?<name>nothing)")
    a.full("joins")
    until_given(wires, a, 2)
    describe(wires, "described with one", group)
    b = Member(wires, group, "b", topics=(), version=1, SubscribedTopicRegex="t|x.*|(?<name>nothing)")
    b.full("joins by the same expression")
    settle([a, b], "two settle")
    describe(wires, "described with two", group)
    b.full("exchanges it for none", SubscribedTopicRegex="", SubscribedTopicNames=["t"])
    settle([a, b], "after that")
    describe(wires, "described with one of each", group)
    b.full("exchanges it for a bad one", SubscribedTopicRegex="*")
    b.full("takes that back", SubscribedTopicRegex="")
    b.full("has a name and an expression", SubscribedTopicRegex="t|x.*|(?<name>nothing)")
    settle([a, b], "with a name and an expression")
    describe(wires, "described with a name and an expression", group)
    a.leave("leaves")
    b.leave("leaves")
    describe(wires, "described when it is empty", group)
    old = Member(wires, f"{group}none", "b", version=0)
    old.full("joins by a name in version 0")


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def subscription(*topics, owned=(), user_data=None):
    """ConsumerProtocolSubscription in version 1."""
    data = struct.pack(">hi", 1, len(topics)) + b"".join(map(text, topics))
    data += struct.pack(">i", -1) if user_data is None else struct.pack(">i", len(user_data)) + user_data
    return data + struct.pack(">i", len(owned)) + b"".join(
        text(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions) for topic, partitions in owned)


def assignment(**topics):
    return struct.pack(">hi", 1, len(topics)) + b"".join(
        text(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
        for topic, partitions in topics.items()) + struct.pack(">i", -1)


class Classic:
    """A member that speaks the classic protocol, and reports what it owns as it should."""

    def __init__(self, wires, group, name, topics=("t",), instance=None, protocols=("range", "roundrobin"), user_data=None):
        self.wires, self.group, self.name, self.topics, self.instance = wires, group, name, topics, instance
        self.connection, self.protocols, self.user_data = wire.Connection(wires.run.target.address, 60), protocols, user_data
        self.id, self.generation, self.owns, self.protocol = "", -1, (), None

    def ask(self, what, api, version, **body):
        named = {"GroupInstanceId": self.instance} if self.instance else {}
        answer = self.connection.request(codec.KEYS[api], version, {"GroupId": self.group, **named, **body})
        if api == "JoinGroup" and answer["MemberId"]:
            self.wires.names[answer["MemberId"]] = f"the id of {self.name}"
        self.wires.run.answers[f"{self.group}: {self.name} {what} ({api} v{version})"] = plain(answer, self.wires.names)
        return answer

    def join(self, what, version=9, **changes):
        data = subscription(*self.topics, owned=self.owns, user_data=self.user_data)
        answer = self.ask(what, "JoinGroup", version, **{
            "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 30000, "MemberId": self.id, "ProtocolType": "consumer",
            "Protocols": [{"Name": name, "Metadata": data} for name in self.protocols], **changes})
        if answer["ErrorCode"] in (0, 79):  # 79: come again with this id
            self.id = answer["MemberId"]
        if answer["ErrorCode"] == 0:
            self.generation, self.protocol = answer["GenerationId"], answer["ProtocolName"]
        return answer["ErrorCode"]

    def sync(self, what, assignments=(), **changes):
        answer = self.ask(what, "SyncGroup", 5, **{
            "GenerationId": self.generation, "MemberId": self.id, "ProtocolType": "consumer", "ProtocolName": self.protocol,
            "Assignments": [{"MemberId": member.id, "Assignment": data} for member, data in assignments], **changes})
        if answer["ErrorCode"] == 0:
            self.owns = self.parse(answer["Assignment"])
        return answer["ErrorCode"]

    @staticmethod
    def parse(data):
        if data[:2] != b"\0\1":
            return ()
        at, topics = 6, []
        for _ in range(struct.unpack_from(">i", data, 2)[0]):
            size = struct.unpack_from(">h", data, at)[0]
            name, at = data[at + 2:at + 2 + size].decode(), at + 2 + size
            count = struct.unpack_from(">i", data, at)[0]
            topics.append((name, struct.unpack_from(f">{count}i", data, at + 4)))
            at += 4 + 4 * count
        return tuple(topics)

    def beat(self, what, **changes):
        return self.ask(what, "Heartbeat", 4, **{"GenerationId": self.generation, "MemberId": self.id, **changes})["ErrorCode"]

    def again(self, what):
        """Join and sync until it is said that there is no rebalance; a client does the same."""
        for turn in range(5):
            self.join(f"{what}, joins again {turn}")
            if self.sync(f"{what}, syncs again {turn}") == 0 and self.beat(f"{what}, beats again {turn}") == 0:
                return
        raise AssertionError(what)

    def leave(self, what):
        named = {"GroupInstanceId": self.instance} if self.instance else {}
        answer = self.connection.request(codec.KEYS["LeaveGroup"], 5, {"GroupId": self.group, "Members": [
            {"MemberId": self.id, **named}]})
        self.wires.run.answers[f"{self.group}: {self.name} {what} (LeaveGroup)"] = plain(answer, self.wires.names)


def until_kind(wires, group, kind):
    """A group changes its protocol a moment after the answer that made it do so."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = wires.connection.request(codec.KEYS["ListGroups"], 5, {"TypesFilter": [kind]})
        if any(one["GroupId"] == group for one in found["Groups"]):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{group} does not become {kind}")
        time.sleep(0.02)


def migration(wires):
    """A classic group that one member after the other takes to the new protocol, and back."""
    group = "cmigrates"
    x = Classic(wires, group, "x")
    x.join("is new")
    x.join("joins")
    x.sync("syncs", [(x, assignment(t=[0, 1]))])
    x.beat("beats")
    commit(wires, "commit of a classic member", group, x.id, x.generation)
    a = Member(wires, group, "a", version=1)
    a.full("upgrades the group")
    describe(wires, "described as both", group)
    wires.ask(f"{group}: described as classic", "DescribeGroups", 6, Groups=[group])
    x.beat("beats in the consumer group")
    x.sync("syncs too early")
    commit(wires, "commit of a classic member", group, x.id, x.generation)
    commit(wires, "commit of a classic member ahead", group, x.id, x.generation + 1)
    fetch(wires, "fetch of a classic member", group, x.id, x.generation)
    x.again("hears of it")
    for turn in range(2):
        a.full(f"is given {turn}")
        x.again(f"goes on {turn}")
    describe(wires, "described when shared", group)
    for what, changes in (("another generation", {"GenerationId": 77}), ("another member", {"MemberId": "stranger"}),
                          ("a consumer member", {"MemberId": "a", "GenerationId": a.epoch}),
                          ("an unknown instance", {"GroupInstanceId": "i"})):
        x.beat(f"beats as {what}", **changes)
        x.sync(f"syncs as {what}", **changes)
    x.sync("syncs with another protocol", ProtocolName="roundrobin")
    y = Classic(wires, group, "y")
    for what, changes in (("none in common", {"Protocols": [{"Name": "sticky", "Metadata": subscription("t")}]}),
                          ("nonsense", {"Protocols": [{"Name": "range", "Metadata": b"?"}]}),
                          ("another type", {"ProtocolType": "connect"}), ("none", {"Protocols": []})):
        y.join(f"joins with {what}", version=3, **changes)
    y.join("is new")
    y.join("joins")
    y.sync("syncs")
    full = Member(wires, group, "d", version=1)
    full.full("finds no room")
    settle([a], "with y")
    x.again("with y")
    settle([a], "with y, too")
    y.again("with the others")
    describe(wires, "described with y", group)
    y.leave("leaves")
    settle([a], "without y")
    x.again("without y")
    settle([a], "without y, too")
    describe(wires, "described without y", group)
    a.leave("leaves, and the group is classic again")
    until_kind(wires, group, "classic")
    describe(wires, "described as a consumer group", group)
    # Which generation this is, and so whether it hears of it by a heartbeat first, is the broker's own affair.
    x.join("joins the classic group")
    case = f"{group}: x joins the classic group (JoinGroup v9)"
    wires.run.answers[case] = {**wires.run.answers[case], "GenerationId": "a later one"}
    x.sync("syncs in it", [(x, assignment(t=[1, 0]))])
    wires.ask(f"{group}: described as classic again", "DescribeGroups", 6, Groups=[group])
    x.leave("leaves")
    wires.ask(f"{group}: described when it is empty", "DescribeGroups", 6, Groups=[group])


def no_migration(wires):
    """Classic groups that stay what they are, and one whose assignor's data is only in subscriptions: it may go."""
    for name, more, kind in (("connect", {}, "connect"), ("data", {"user_data": b"sticky"}, "consumer"),
                             ("bytes", {}, "consumer")):
        group = f"cstays{name}"
        x = Classic(wires, group, "x", **more)
        x.join("is new", ProtocolType=kind)
        x.join("joins", ProtocolType=kind)
        x.sync("syncs", [(x, b"no assignment" if name == "bytes" else assignment(t=[0]))], ProtocolType=kind)
        Member(wires, group, "a", version=1).full("joins a classic group")
        x.beat("goes on")


def static_migration(wires):
    group = "cstaticmoves"
    x = Classic(wires, group, "x", instance="one")
    x.join("joins")
    x.sync("syncs", [(x, assignment(t=[0, 1]))])
    a = Member(wires, group, "a", version=1, InstanceId="one")
    a.full("takes its place")
    describe(wires, "described as consumer", group)
    x.beat("beats in vain")
    a.beat("goes on")
    commit(wires, "commit", group, "a", a.epoch)
    y = Classic(wires, group, "y", instance="one")
    y.join("takes it back")
    until_kind(wires, group, "classic")
    y.sync("syncs")
    y.beat("beats")
    a.beat("speaks in vain")
    wires.ask(f"{group}: described as classic", "DescribeGroups", 6, Groups=[group])


def parts(run):
    wires = Wire(run)
    wires.learn("t", "u")
    for version in (0, 1):
        refusals(wires, version)
    generated(wires)
    for version in (0, 1):
        life(wires, version)
        static(wires, version)
    expressions(wires)
    dynamic(wires)
    settings(wires)
    migration(wires)
    no_migration(wires)
    static_migration(wires)
