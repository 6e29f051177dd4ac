/* One group of the consumer protocol (KIP-848), every member on a connection of its own.
 *
 * All send their first heartbeat at once. A member that was given another assignment takes it at
 * once and says so at once, as clients do. One that has not got its share asks again as soon as it
 * has its answer, instead of waiting for the interval that the broker names (5 s): the wait is so
 * left out. Those that have it ask such that all together would send HEARTBEATS_PER_S. The group is
 * stable when its members own every partition once and have equal shares; the number of partitions
 * is to be a multiple of that of members.
 *
 * Then, like `commits`, each line of standard input, "COUNT WARM-UP", asks for so many heartbeats
 * in an open loop at the rate of -r, the members in turn. In the end all leave. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "group_frames.h"

#define HEARTBEATS_PER_S 2000
#define REBALANCE_TIMEOUT_MS 300000
#define ASK_AGAIN_NS 20000000
#define GIVE_UP_NS (60 * 1000000000ll)
#define DRAIN_NS (30 * 1000000000ll)
#define LINE_MAX_BYTES 128
#define ID_MAX 64
#define LEAVES (-1) /* as member epoch */
#define TOPIC_ID_BYTES 16

enum { WIRE_CONSUMER_GROUP_HEARTBEAT = 68, WIRE_CONSUMER_GROUP_HEARTBEAT_VERSION = 1 };
enum { FENCED_MEMBER_EPOCH = 110 };

struct consumer {
    struct agent link;
    struct run *run;
    int index;
    char id[ID_MAX];
    int32_t epoch;
    uint8_t topic_id[TOPIC_ID_BYTES];
    int32_t *owned;
    int32_t owned_count;
    bool joins, acknowledges; /* what the next heartbeat is to say */
    bool full;                /* it owns its share */
    int64_t due_ns;           /* of the one under way, in the open loop */
    int64_t beat;
};

enum phase { FORMING, BEATING, LEAVING };

struct run {
    const struct load_options *options;
    struct agents agents;
    enum phase phase;
    struct consumer *consumers;
    int count, share; /* members, partitions of each */
    int full, left;
    int64_t start_ns, stable_ns, heartbeats;
    int64_t beats, warmup, next, answered, recorded;
    int64_t *latencies;
};

static void heard(struct agent *link, struct reader *body, int64_t now);

/* Only what has changed since the last one: that is how clients save bytes. */
static void heartbeat(struct consumer *consumer, int32_t epoch)
{
    const struct load_options *options = consumer->run->options;
    struct writer *out = &consumer->link.out;
    bool joins = consumer->joins;
    agent_begin(&consumer->link, WIRE_CONSUMER_GROUP_HEARTBEAT,
                WIRE_CONSUMER_GROUP_HEARTBEAT_VERSION, true);
    write_compact_string(out, options->group);
    write_compact_string(out, consumer->id);
    write_int32(out, epoch);
    write_compact_string(out, NULL); /* no static member */
    write_compact_string(out, NULL); /* no rack */
    write_int32(out, joins ? REBALANCE_TIMEOUT_MS : -1);
    write_uvarint(out, joins ? 2 : 0); /* topics */
    if (joins)
        write_compact_string(out, options->topic);
    write_compact_string(out, NULL); /* no regular expression */
    write_compact_string(out, NULL); /* the broker's assignor */
    if (joins) {
        write_uvarint(out, 1); /* owns nothing */
    } else if (!consumer->acknowledges) {
        write_uvarint(out, 0);
    } else {
        write_uvarint(out, consumer->owned_count > 0 ? 2 : 1);
        if (consumer->owned_count > 0) {
            write_bytes(out, consumer->topic_id, TOPIC_ID_BYTES);
            write_uvarint(out, (uint32_t)consumer->owned_count + 1);
            for (int32_t i = 0; i < consumer->owned_count; i++)
                write_int32(out, consumer->owned[i]);
            write_uvarint(out, 0);
        }
    }
    write_uvarint(out, 0);
    consumer->joins = consumer->acknowledges = false;
    consumer->link.answered = heard;
    consumer->run->heartbeats++;
    agent_send(&consumer->link);
}

static void due(struct agent *link, int64_t now)
{
    struct consumer *consumer = owner_of(link, struct consumer, link);
    (void)now;
    heartbeat(consumer, consumer->epoch);
}

static void begin_again(struct consumer *consumer)
{
    consumer->epoch = 0;
    consumer->owned_count = 0;
    consumer->joins = true;
}

/* Take the assignment that came, if one did. */
static void take_assignment(struct consumer *consumer, struct reader *body)
{
    struct run *run = consumer->run;
    int32_t before = consumer->owned_count;
    if (read_int8(body) < 0)
        return;
    consumer->owned_count = 0;
    for (uint32_t topics = read_uvarint(body); topics > 1 && !body->failed; topics--) {
        const uint8_t *id = reader_take(body, TOPIC_ID_BYTES);
        if (id)
            memcpy(consumer->topic_id, id, TOPIC_ID_BYTES);
        for (uint32_t left = read_uvarint(body); left > 1 && !body->failed; left--) {
            if (consumer->owned_count == run->options->partitions)
                die("more partitions than there are");
            consumer->owned[consumer->owned_count++] = read_int32(body);
        }
        read_uvarint(body);
    }
    read_uvarint(body);
    consumer->acknowledges = before != 0 || consumer->owned_count != 0;
    bool full = consumer->owned_count == run->share;
    run->full += full - consumer->full;
    consumer->full = full;
}

static void heard(struct agent *link, struct reader *body, int64_t now)
{
    struct consumer *consumer = owner_of(link, struct consumer, link);
    struct run *run = consumer->run;
    int32_t size;
    read_int32(body);
    int error = read_int16(body);
    const char *said = (const char *)read_compact(body, &size);
    if (coordinator_comes(error)) {
        consumer->joins = consumer->epoch == 0;
        link->due = due;
        agent_set(link, now + ASK_AGAIN_NS);
        return;
    }
    if (error == FENCED_MEMBER_EPOCH || error == UNKNOWN_MEMBER_ID)
        begin_again(consumer);
    else if (error != 0)
        die("heartbeat of member %d: error %d %.*s", consumer->index, error, (int)size,
            said ? said : "");
    read_compact(body, &size); /* its id */
    int32_t epoch = read_int32(body);
    read_int32(body);
    if (run->phase == LEAVING) {
        run->left++;
        return;
    }
    if (error == 0) {
        consumer->epoch = epoch;
        take_assignment(consumer, body);
    }
    if (body->failed)
        die("a broken answer to ConsumerGroupHeartbeat");
    if (run->phase == BEATING) {
        run->answered++;
        if (consumer->beat >= run->warmup)
            run->latencies[run->recorded++] = now - consumer->due_ns;
        return;
    }
    if (run->full == run->count && run->stable_ns == 0)
        run->stable_ns = now;
    link->due = due;
    bool waits = consumer->full && !consumer->acknowledges && !consumer->joins;
    agent_set(link, waits ? now + 1000000000ll * run->count / HEARTBEATS_PER_S : now);
}

static void form(struct run *run)
{
    int64_t give_up_ns = now_ns() + GIVE_UP_NS;
    run->phase = FORMING;
    run->start_ns = now_ns();
    for (int i = 0; i < run->count; i++)
        heartbeat(&run->consumers[i], 0);
    while (run->stable_ns == 0) {
        agents_turn(&run->agents, give_up_ns);
        if (now_ns() > give_up_ns)
            die("%d of %d members have their share", run->full, run->count);
    }
    int64_t heartbeats = run->heartbeats;
    /* What was given last is still to be acknowledged. */
    bool busy = true;
    while (busy && now_ns() < give_up_ns) {
        busy = false;
        for (int i = 0; i < run->count; i++)
            busy |= run->consumers[i].link.asking || run->consumers[i].acknowledges;
        if (busy)
            agents_turn(&run->agents, give_up_ns);
    }
    for (int i = 0; i < run->count; i++)
        agent_unset(&run->consumers[i].link);
    printf("{\"mode\":\"consumers\",\"members\":%d,\"stable_ms\":%.3f,\"heartbeats\":%ld}\n",
           run->count, (double)(run->stable_ns - run->start_ns) / 1e6, (long)heartbeats);
    fflush(stdout);
}

static int64_t due_of(const struct run *run, int64_t index)
{
    return run->start_ns + (int64_t)((double)index * 1e9 / run->options->rate);
}

/* False: the member still waits for the answer to its last one, and with it all that come after. */
static bool beat(struct run *run)
{
    struct consumer *consumer = &run->consumers[run->next % run->count];
    if (consumer->link.asking)
        return false;
    consumer->due_ns = due_of(run, run->next);
    consumer->beat = run->next++;
    heartbeat(consumer, consumer->epoch);
    return true;
}

static void run_beats(struct run *run)
{
    run->next = run->answered = run->recorded = 0;
    run->latencies = malloc((size_t)run->beats * sizeof *run->latencies);
    if (!run->latencies)
        die("no memory for %ld heartbeats", (long)run->beats);
    run->phase = BEATING;
    run->start_ns = now_ns();
    int64_t give_up_ns = due_of(run, run->beats) + DRAIN_NS;
    while (run->answered < run->beats && now_ns() < give_up_ns) {
        bool may = true;
        while (may && run->next < run->beats && due_of(run, run->next) <= now_ns())
            may = beat(run);
        agents_turn(&run->agents,
                    may && run->next < run->beats ? due_of(run, run->next) : now_ns() + 100000000);
    }
    printf("{\"mode\":\"consumers\",\"beats\":%ld,\"answered\":%ld", (long)run->beats,
           (long)run->answered);
    print_latencies(run->latencies, run->recorded);
    puts("}");
    fflush(stdout);
    free(run->latencies);
    if (run->answered < run->beats)
        die("%ld heartbeats were not answered", (long)(run->beats - run->answered));
}

static void leave(struct run *run)
{
    int64_t give_up_ns = now_ns() + GIVE_UP_NS;
    run->phase = LEAVING;
    for (int i = 0; i < run->count; i++)
        heartbeat(&run->consumers[i], LEAVES);
    while (run->left < run->count && now_ns() < give_up_ns)
        agents_turn(&run->agents, give_up_ns);
}

int load_consumers(const struct load_options *options)
{
    struct run run = {.options = options,
                      .count = options->connections,
                      .share = options->partitions / options->connections};
    if (options->partitions % options->connections != 0 || options->rate <= 0)
        die("want a rate, and a multiple of %d partitions", options->connections);
    agents_init(&run.agents);
    need_descriptors(run.count);
    run.consumers = calloc((size_t)run.count, sizeof *run.consumers);
    if (!run.consumers)
        die("out of memory");
    await_coordinator(&options->address, OF_GROUPS, options->group);
    for (int i = 0; i < run.count; i++) {
        struct consumer *consumer = &run.consumers[i];
        consumer->run = &run;
        consumer->index = i;
        consumer->owned = calloc((size_t)options->partitions, sizeof *consumer->owned);
        if (!consumer->owned)
            die("out of memory");
        snprintf(consumer->id, sizeof consumer->id, "%s-member-%d", options->group, i);
        begin_again(consumer);
        agent_open(&run.agents, &consumer->link, &options->address);
    }
    form(&run);
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%ld %ld", &run.beats, &run.warmup) != 2 || run.beats <= 0)
            die("want a count and how many of them are warm-up, not %s", line);
        run_beats(&run);
    }
    leave(&run);
    return 0;
}
