"""Odd lives of consumer groups (KIP-848) for groups_raw.py: members that lie about what they own, come twice, go in the
middle of a reconciliation, keep what they should give up, and topics that change under them."""
import time

import consumers_raw
import codec
import groups_odd
from consumers_raw import JOIN, LEAVE, LEAVE_FOR_A_WHILE, WAIT_S, assignment, settle


class Life(groups_odd.Life):
    """One group and the topics of its own."""

    def __init__(self, run, group):
        super().__init__(run, group)
        self.learn("t", "u")

    def ask(self, case, api, version, **body):
        answer = self.connection.request(codec.KEYS[api], version, body)
        self.note(f"{case} ({api} v{version})", answer)
        return answer

    def consumer(self, name, *topics, **more):
        return consumers_raw.Member(self, self.group, name, topics=topics or ("t",), version=1, **more)

    def create(self, name, partitions):
        """Members hear of it in their own time."""
        body = {"TimeoutMs": 10000, "Topics": [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1}]}
        (made,) = self.connection.request(codec.KEYS["CreateTopics"], 7, body)["Topics"]
        if made["ErrorCode"]:
            raise AssertionError(made)
        self.names[made["TopicId"]], self.ids[name] = name, made["TopicId"]

    def delete(self, name):
        (gone,) = self.connection.request(codec.KEYS["DeleteTopics"], 6, {"TimeoutMs": 10000, "Topics": [{"Name": name}]})["Responses"]
        if gone["ErrorCode"]:
            raise AssertionError(gone)

    def grow(self, name, partitions):
        body = {"TimeoutMs": 10000, "Topics": [{"Name": name, "Count": partitions}]}
        (more,) = self.connection.request(codec.KEYS["CreatePartitions"], 3, body)["Results"]
        if more["ErrorCode"]:
            raise AssertionError(more)

    def look(self, what):
        """The group, without the epochs that depend on when it heard of topics."""
        answer = self.connection.request(consumers_raw.DESCRIBE, 1, {"GroupIds": [self.group]})
        (found,) = answer["Groups"]
        seen = [(one["MemberId"], [(t["TopicName"], sorted(t["Partitions"])) for t in one["Assignment"]["TopicPartitions"]])
                for one in found["Members"]]
        self.run.answers[f"{self.group}: {what}"] = [found["GroupState"], sorted(seen)]

    def quietly(self, member, **changes):
        """A heartbeat that is not noted."""
        answer = self.connection.request(consumers_raw.HEARTBEAT, 1, {
            "GroupId": self.group, "MemberId": member.id, "MemberEpoch": member.epoch,
            "TopicPartitions": member.owns if member.epoch > 0 else [], **member.more, **changes})
        if answer["ErrorCode"] == 0:
            member.epoch = answer["MemberEpoch"]
            if answer["Assignment"] is not None:
                member.owns = answer["Assignment"]["TopicPartitions"]
        return answer

    def follow(self, done, *members):
        """Every member in turn, doing what it is told."""
        deadline = time.monotonic() + WAIT_S
        while not done():
            for member in members:
                self.quietly(member)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.group}: {[(one.name, one.epoch, one.owns) for one in members]}")
            time.sleep(0.02)

    def classic(self, name, **more):
        return groups_odd.Member(self, self.group, name, **more)


def count(member):
    return sum(len(one["Partitions"]) for one in member.owns)


def joins_again_while_revoking(life):
    a, b = life.consumer("a"), life.consumer("b")
    a.full("joins")
    b.full("joins")
    a.beat("is told to give up")
    consumers_raw.describe(life, "described while a has to give up", life.group)
    a.epoch, a.owns = JOIN, []
    a.full("joins again")
    b.beat("asks")
    settle([a, b], "in the end")
    consumers_raw.describe(life, "described in the end", life.group)
    b.epoch, b.owns = JOIN, []
    b.full("joins again in peace", SubscribedTopicNames=["u"])
    settle([a, b], "with u")


def lies_about_what_it_owns(life):
    a, b = life.consumer("a"), life.consumer("b")
    a.full("joins")
    for what, owned in (("of others", {"u": [0]}), ("that are not there", {"t": [7, -1, 2**31 - 1]}), ("twice", {"t": [0, 0, 1, 1]}), ("not at all", {})):
        a.beat(f"owns partitions {what}", TopicPartitions=life.owned(**owned))
    a.beat("owns what is no topic", TopicPartitions=[{"TopicId": b"\x42" * 16, "Partitions": [0]}, {"TopicId": None, "Partitions": []}])
    b.full("joins")
    a.beat("is told to give up")
    a.beat("says that it owns others", TopicPartitions=life.owned(u=[0]))
    b.beat("asks")
    a.epoch -= 1
    a.beat("is one behind and owns too much", TopicPartitions=life.owned(t=[0, 1]))
    a.beat("is one behind and says nothing")
    settle([b], "b alone")
    consumers_raw.describe(life, "described in the end", life.group)


def static_goes_while_revoking(life):
    a, b, again = life.consumer("a", InstanceId="i"), life.consumer("b"), life.consumer("a again", InstanceId="i")
    a.full("joins")
    b.full("joins")
    a.beat("is told to give up")
    a.leave("goes for a while", LEAVE_FOR_A_WHILE, InstanceId="i")
    a.leave("goes once more", LEAVE_FOR_A_WHILE, InstanceId="i")
    b.beat("asks")
    b.full("asks again")
    consumers_raw.describe(life, "described while a is away", life.group)
    a.epoch = 2
    a.beat("speaks while it is away", InstanceId="i")
    again.full("comes back")
    settle([again, b], "together")
    consumers_raw.describe(life, "described in the end", life.group)
    again.leave("goes for a while", LEAVE_FOR_A_WHILE, InstanceId="i")
    again.leave("goes for good", LEAVE, InstanceId="i")
    settle([b], "alone")


def static_comes_back_changed(life):
    a, b = life.consumer("a", InstanceId="i"), life.consumer("b")
    a.full("joins")
    b.full("joins")
    settle([a, b], "at first")
    a.leave("goes for a while", LEAVE_FOR_A_WHILE, InstanceId="i")
    again = life.consumer("a", "u", InstanceId="i")
    again.full("comes back under its id with another subscription")
    settle([again, b], "with u")
    again.leave("goes for a while", LEAVE_FOR_A_WHILE, InstanceId="i")
    other = life.consumer("b", InstanceId="i")
    other.full("takes the instance under the id of another")
    consumers_raw.describe(life, "described in the end", life.group)
    dynamic = life.consumer("a")
    dynamic.full("comes back without its instance")
    life.ask(f"{life.group}: leaves by the classic protocol", "LeaveGroup", 5, GroupId=life.group,
             Members=[{"MemberId": "", "GroupInstanceId": "i"}, {"MemberId": "b"}])
    consumers_raw.describe(life, "described after that", life.group)


def keeps_what_it_should_give_up(life):
    a, b = life.consumer("a", RebalanceTimeoutMs=1500), life.consumer("b")
    a.full("joins")
    b.full("joins")
    a.beat("is told to give up")
    life.follow(lambda: count(b) == 2, b)
    a.beat("is out")
    a.full("says all of it in vain")
    consumers_raw.describe(life, "described without it", life.group)
    consumers_raw.commit(life, "commit of who is out", life.group, "a", a.epoch)


def other_things_while_revoking(life):
    """Subscriptions that change while the member has to give up, or waits."""
    a, b = life.consumer("a"), life.consumer("b")
    a.full("joins")
    b.full("joins")
    a.beat("is told to give up")
    a.full("wants u as well", SubscribedTopicNames=["t", "u"])
    b.full("wants u alone", SubscribedTopicNames=["u"])
    a.beat("says that it owns all", TopicPartitions=life.owned(t=[0, 1]))
    a.full("wants nothing", SubscribedTopicNames=[])
    b.full("wants t", SubscribedTopicNames=["t"])
    a.beat("gives up", TopicPartitions=[])
    settle([a, b], "in the end")
    consumers_raw.describe(life, "described in the end", life.group)


def topic_is_made_anew(life):
    life.create("anew", 2)
    a = life.consumer("a", "anew")
    life.follow(lambda: count(a) == 2, a)
    consumers_raw.commit(life, "commit", life.group, "a", a.epoch, topic="anew", version=10, partitions=((0, 5), (1, 6)))
    old = life.ids["anew"]
    life.names[old] = "the old topic"
    life.delete("anew")
    life.follow(lambda: count(a) == 0, a)
    life.look("without the topic")
    consumers_raw.commit(life, "commit to the old topic", life.group, "a", a.epoch, topic="anew", version=10)
    life.create("anew", 3)
    life.follow(lambda: count(a) == 3, a)
    life.look("with the new topic")
    answer = life.connection.request(codec.KEYS["OffsetFetch"], 9, {"Groups": [{"GroupId": life.group, "MemberId": "a", "MemberEpoch": a.epoch, "Topics": [
        {"Name": "anew", "PartitionIndexes": [0, 1, 2]}]}]})
    life.note(f"{life.group}: fetched of the new topic", answer)
    life.quietly(a, TopicPartitions=[{"TopicId": old, "Partitions": [0, 1]}])
    life.look("when it says that it owns the old one")


def partitions_are_added_while_revoking(life):
    life.create("grows", 2)
    a, b = life.consumer("a", "grows"), life.consumer("b", "grows")
    life.follow(lambda: count(a) == 2, a)
    life.quietly(b)
    life.quietly(a)
    life.grow("grows", 5)
    life.follow(lambda: count(a) + count(b) == 5 and min(count(a), count(b)) == 2, a, b)
    life.look("in the end")


def offsets_of_both_kinds(life):
    nobody = life.classic("nobody")
    topics = [{"Name": "t", "PartitionIndexes": [0]}]

    def all_sorts(when, epoch):
        nobody.commit(f"commits {when}", MemberId="", GenerationIdOrMemberEpoch=-1)
        for who in ("", "a", "stranger"):
            for number in (-2, -1, 0, epoch, epoch + 1):
                nobody.commit(f"commits {when} as {who!r} of {number}", MemberId=who, GenerationIdOrMemberEpoch=number)
        for version in (1, 5, 7):
            life.ask(f"{life.group}: fetched {when}", "OffsetFetch", version, GroupId=life.group, Topics=topics)
        for who, number in ((None, -1), ("", -1), ("a", -1), ("a", epoch), ("a", epoch + 1), ("b", epoch), (None, epoch)):
            life.ask(f"{life.group}: fetched {when} by {who!r} of {number}", "OffsetFetch", 9,
                     Groups=[{"GroupId": life.group, "MemberId": who, "MemberEpoch": number, "Topics": topics}])
        for topic in ("t", "u"):
            life.ask(f"{life.group}: offsets of {topic} are deleted {when}", "OffsetDelete", 0, GroupId=life.group,
                     Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}])
        life.ask(f"{life.group}: deleted {when}", "DeleteGroups", 2, GroupsNames=[life.group]) if epoch else None

    nobody.commit("commits first", MemberId="", GenerationIdOrMemberEpoch=-1)
    all_sorts("when there is no member", 0)
    nobody.commit("commits again", MemberId="", GenerationIdOrMemberEpoch=-1)
    a = life.consumer("a")
    a.full("joins")
    all_sorts("with a member", a.epoch)
    a.leave("leaves")
    nobody.commit("commits when it is empty", MemberId="", GenerationIdOrMemberEpoch=-1)
    b = life.classic("b")
    b.join()
    life.until("PreparingRebalance")
    b.hear()
    b.sync(assignments=[(b, b"x")]).hear()
    nobody.commit("commits to the classic group", MemberId="", GenerationIdOrMemberEpoch=-1)
    b.leave()
    all_sorts("when it is classic", 9)


def upgrades(state):
    def life_of(life):
        a = life.classic("a")
        if state == "an id":
            a.ask("asks for an id", "JoinGroup", 9, MemberId="", **a.joining)
        else:
            a.join()
            life.until("PreparingRebalance")
            a.hear()
        if state == "parked sync":
            b = life.classic("b", version=3)
            b.join()
            life.until("PreparingRebalance", 2)
            a.join("joins again").hear()
            b.hear()
            b.sync()
        c = life.consumer("c", ServerAssignor="range")  # by which it does not depend on ids that are random
        c.full("joins")
        if state == "parked sync":
            b.hear()
            b.beat("goes on")
        if state != "parked sync":  # there it depends on random ids whose turn it is
            consumers_raw.describe(life, "described", life.group)
        if state == "an id":
            a.ask("comes with its id", "JoinGroup", 9, MemberId=a.id, **a.joining)
        else:
            a.beat("goes on")
            a.sync("syncs", assignments=[(a, assignment(t=[0, 1]))]).hear()
        c.full("asks")
    life_of.__name__ = f"upgrade of {state}".replace(" ", "_")
    return life_of


def long_texts(life):
    for what, more in (("a rack", {"RackId": "r" * 40000}), ("an instance", {"InstanceId": "i" * 40000}),
                       ("a topic", {"SubscribedTopicNames": ["t" * 40000, "t"]}),
                       ("many topics", {"SubscribedTopicNames": [f"topic-{n}" for n in range(5000)] + ["t"]}),
                       ("an expression", {"SubscribedTopicRegex": "t|" + "x" * 20000})):
        member = life.consumer("m", **more)
        answer = life.quietly(member)
        life.run.answers[f"{life.group}: joins with {what} that is long"] = (answer["ErrorCode"], answer["MemberEpoch"], count(member))
        answer = life.quietly(member, MemberEpoch=LEAVE)
        life.run.answers[f"{life.group}: leaves with {what} that is long"] = answer["ErrorCode"]
    member = life.consumer("m" * 40000)
    life.run.answers[f"{life.group}: joins with a long id"] = life.quietly(member)["ErrorCode"]
    life.run.answers[f"{life.group}: goes on with a long id"] = life.quietly(member)["ErrorCode"]
    life.run.answers[f"{life.group}: leaves with a long id"] = life.quietly(member, MemberEpoch=LEAVE)["ErrorCode"]
    member = life.consumer("m")
    group, life.group = life.group, "g" * 40000
    life.run.answers[f"{group}: joins a group of a long id"] = life.quietly(member)["ErrorCode"]
    life.run.answers[f"{group}: goes on in a group of a long id"] = life.quietly(member)["ErrorCode"]
    life.group = group


def full(life):
    members = [life.consumer(name, InstanceId=name) for name in "abc"]
    for one in members:
        one.full("joins")
    life.consumer("d").full("finds no room")
    life.consumer("d", InstanceId="d").full("finds no room as a static member")
    members[0].leave("goes for a while", LEAVE_FOR_A_WHILE, InstanceId="a")
    life.consumer("d").full("finds no room while a is away")
    back = life.consumer("a again", InstanceId="a")
    back.full("comes back")
    life.consumer("x", InstanceId="b").full("comes twice")
    settle([back, *members[1:]], "in the end")
    consumers_raw.describe(life, "described in the end", life.group)


LIVES = [joins_again_while_revoking, lies_about_what_it_owns, static_goes_while_revoking, static_comes_back_changed,
         keeps_what_it_should_give_up, other_things_while_revoking, topic_is_made_anew, partitions_are_added_while_revoking,
         offsets_of_both_kinds, upgrades("the join"), upgrades("parked sync"), upgrades("an id"), long_texts, full]


def parts(run, chosen=None):
    groups_odd.parts(run, chosen, LIVES, Life, "codd")
