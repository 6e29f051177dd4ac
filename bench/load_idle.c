/* Groups of one member that have nothing to do, as consumers that wait for records.
 *
 * Each has two connections: one to the coordinator, with a heartbeat every 3 s, and one on which it
 * fetches its partition in a fetch session, again and again, each time waiting for up to
 * fetch.max.wait.ms = 500. Nothing is produced. Nothing is committed: a consumer that commits by
 * hand has nothing new, and with enable.auto.commit it would be one more request every 5 s. When
 * all have their assignment and a session the program says so, and goes on until standard input
 * ends. Beginnings are spread evenly over the intervals. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#include "fetch_frames.h"
#include "group_frames.h"
#include "member.h"

#define HEARTBEAT_NS (3 * 1000000000ll)
#define FETCH_WAIT_NS (FETCH_WAIT_MS * 1000000ll)
#define SESSION_MS 45000
#define GIVE_UP_NS (120 * 1000000000ll)

struct consumer {
    struct group group; /* of one */
    struct run *run;
    struct agent reader;
    int partition;
    struct fetch_session session;
    bool ready;
};

struct run {
    const struct load_options *options;
    struct agents agents;
    struct consumer *consumers;
    int ready, left;
    bool measured; /* from the word that all are ready on */
    int64_t heartbeats, fetches, rejoins;
};

static struct consumer *consumer_of(struct group *group)
{
    return owner_of(group, struct consumer, group);
}

/* Something of `count` things, in an interval: when is it due? */
static int64_t spread(int64_t now, int64_t interval_ns, int index, int count)
{
    return now + interval_ns * index / count;
}

static void fetch_due(struct agent *reader, int64_t now)
{
    struct consumer *consumer = owner_of(reader, struct consumer, reader);
    struct writer *out = &reader->out;
    bool whole = consumer->session.epoch == 0; /* later the session knows the rest */
    (void)now;
    agent_begin(reader, WIRE_FETCH, WIRE_FETCH_VERSION, false);
    fetch_write_begin(out, consumer->session, consumer->run->options->topic, whole);
    if (whole)
        fetch_write_partition(out, consumer->partition, 0);
    fetch_write_end(out);
    agent_send(reader);
}

static void fetched(struct agent *reader, struct reader *body, int64_t now)
{
    struct consumer *consumer = owner_of(reader, struct consumer, reader);
    struct run *run = consumer->run;
    read_int32(body);
    int error = read_int16(body);
    int32_t session = read_int32(body);
    if (error != 0 || session == 0 || body->failed)
        die("Fetch of group %s: error %d", consumer->group.name, error);
    consumer->session.id = session;
    consumer->session.epoch++;
    run->fetches += run->measured;
    if (!consumer->ready && consumer->session.epoch > 1) {
        consumer->ready = true;
        run->ready++;
    }
    fetch_due(reader, now);
}

static void heartbeat_due(struct agent *link, int64_t now)
{
    (void)now;
    member_heartbeat(owner_of(link, struct member, link));
}

static void heard(struct member *member, int error, int64_t now)
{
    struct run *run = consumer_of(member->group)->run;
    run->heartbeats += run->measured;
    if (error == 0) {
        member->link.due = heartbeat_due;
        agent_set(&member->link, now + HEARTBEAT_NS);
        return;
    }
    run->rejoins++;
    member_join(member);
}

static void stable(struct group *group, int64_t now)
{
    struct consumer *consumer = consumer_of(group);
    int count = consumer->run->options->connections;
    struct member *member = &group->members[0];
    member->link.due = heartbeat_due;
    agent_set(&member->link, spread(now, HEARTBEAT_NS, consumer->partition, count));
    if (consumer->session.epoch == 0)
        agent_set(&consumer->reader, spread(now, FETCH_WAIT_NS, consumer->partition, count));
}

static void left(struct agent *link, struct reader *body, int64_t now)
{
    (void)body;
    (void)now;
    consumer_of(owner_of(link, struct member, link)->group)->run->left++;
}

static void open_consumer(struct run *run, int index)
{
    const struct load_options *options = run->options;
    struct consumer *consumer = &run->consumers[index];
    struct group *group = &consumer->group;
    consumer->run = run;
    consumer->partition = index % options->partitions;
    snprintf(group->name, sizeof group->name, "%s-%d", options->group, index);
    group->topic = options->topic;
    group->partitions = options->partitions;
    group->session_timeout_ms = SESSION_MS;
    group->stable = stable;
    group_open(group, &run->agents, &options->address, 1);
    group->members[0].heard = heard;
    agent_open(&run->agents, &consumer->reader, &options->address);
    consumer->reader.answered = fetched;
    consumer->reader.due = fetch_due;
}

static void leave(struct run *run)
{
    int count = run->options->connections;
    for (int i = 0; i < count; i++) {
        struct agent *link = &run->consumers[i].group.members[0].link;
        agent_unset(link);
        if (link->asking) /* a heartbeat: let the session end it */
            run->left++;
        else
            group_leave(&run->consumers[i].group, left);
    }
    int64_t give_up_ns = now_ns() + GIVE_UP_NS;
    while (run->left < count && now_ns() < give_up_ns)
        agents_turn(&run->agents, give_up_ns);
}

int load_idle(const struct load_options *options)
{
    struct run run = {.options = options};
    int count = options->connections;
    agents_init(&run.agents);
    need_descriptors(2 * count);
    run.consumers = calloc((size_t)count, sizeof *run.consumers);
    if (!run.consumers)
        die("out of memory");
    await_coordinator(&options->address, OF_GROUPS, options->group);
    for (int i = 0; i < count; i++)
        open_consumer(&run, i);
    int64_t give_up_ns = now_ns() + GIVE_UP_NS;
    for (int i = 0; i < count; i++)
        member_join(&run.consumers[i].group.members[0]);
    while (run.ready < count) {
        agents_turn(&run.agents, give_up_ns);
        if (now_ns() > give_up_ns)
            die("%d of %d groups are stable", run.ready, count);
    }
    run.rejoins = 0;
    run.measured = true;
    int64_t start_ns = now_ns();
    printf("{\"mode\":\"idle\",\"groups\":%d}\n", count);
    fflush(stdout);
    agents_watch_input(&run.agents);
    while (!run.agents.input_ended)
        agents_turn(&run.agents, now_ns() + 1000000000);
    double wall_s = (double)(now_ns() - start_ns) / 1e9;
    printf(
        "{\"mode\":\"idle\",\"wall_s\":%.3f,\"heartbeats\":%ld,\"fetches\":%ld,\"rejoins\":%ld}\n",
        wall_s, (long)run.heartbeats, (long)run.fetches, (long)run.rejoins);
    leave(&run);
    return run.rejoins > 0;
}
