/* Transactions: each producer writes one batch to its partition and commits.
 *
 * In a closed loop it begins again when the commit is answered. With a rate the loop is open: the
 * transactions of all producers together are due at even distances, each producer's in turn, and
 * each counts from when it was due. One whose producer is not done with the last one begins late.
 *
 * What is spoken is the second generation (KIP-890) as Java's producer does: no AddPartitionsToTxn,
 * Produce from version 12 on adds the partition; the answer to EndTxn brings the epoch of the next
 * transaction. CONCURRENT_TRANSACTIONS (the markers of the last one are not yet written) is
 * answered by asking again after retry.backoff.ms = 100, the client's default; it counts in the
 * transaction's time. A producer has one connection, as a client has to one node. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "group_frames.h"

#define RETRY_BACKOFF_NS 100000000ll
#define TRANSACTION_TIMEOUT_MS 60000
#define GIVE_UP_NS (60 * 1000000000ll)
#define LATENCIES_FIRST 65536
#define WARMUP_SHARE 0.2 /* of the time, which is left out */

enum txn_version {
    WIRE_INIT_PRODUCER_ID_VERSION = 5,
    WIRE_PRODUCE_TXN_VERSION = 12,
    WIRE_END_TXN_VERSION = 5,
};
enum { WIRE_END_TXN = 26 };

struct samples {
    int64_t *ns;
    int64_t count, capacity;
};

struct producer {
    struct agent link;
    struct run *run;
    char id[64];
    struct produce_spec spec;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence;
    int64_t begun_ns; /* open loop: when it was due */
};

struct run {
    const struct load_options *options;
    struct agents agents;
    struct producer *producers;
    int ready, done;
    bool going;          /* retries count */
    int64_t distance_ns; /* of a producer's transactions; 0: closed loop */
    int64_t warm_ns, end_ns;
    struct samples commits, whole; /* EndTxn alone, and all of the transaction */
    int64_t all, retries;
};

static void produce(struct producer *producer);

static void sample(struct samples *samples, int64_t ns)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : LATENCIES_FIRST;
        samples->ns = realloc(samples->ns, (size_t)samples->capacity * sizeof *samples->ns);
        if (!samples->ns)
            die("out of memory");
    }
    samples->ns[samples->count++] = ns;
}

static void pause_before(struct producer *producer, void (*due)(struct agent *, int64_t))
{
    producer->run->retries += producer->run->going;
    producer->link.due = due;
    agent_set(&producer->link, now_ns() + RETRY_BACKOFF_NS);
}

/* ---- one after the other ---- */

static void next_due(struct agent *link, int64_t now)
{
    (void)now;
    produce(owner_of(link, struct producer, link));
}

/* The next transaction, if there is to be one. In an open loop all that were due before the end are
 * measured, however late they are. */
static void next(struct producer *producer, int64_t now)
{
    struct run *run = producer->run;
    bool open_loop = run->distance_ns > 0;
    producer->begun_ns = open_loop ? producer->begun_ns + run->distance_ns : now;
    if (producer->begun_ns >= run->end_ns) {
        run->done++;
    } else if (producer->begun_ns > now) {
        producer->link.due = next_due;
        agent_set(&producer->link, producer->begun_ns);
    } else {
        produce(producer);
    }
}

/* ---- the end ---- */

static void end_due(struct agent *link, int64_t now);

static void ended(struct agent *link, struct reader *body, int64_t now)
{
    struct producer *producer = owner_of(link, struct producer, link);
    struct run *run = producer->run;
    read_int32(body);
    int error = read_int16(body);
    int64_t producer_id = read_int64(body);
    int16_t epoch = read_int16(body);
    if (error == CONCURRENT_TRANSACTIONS || coordinator_comes(error)) {
        pause_before(producer, end_due);
        return;
    }
    if (error != 0 || body->failed)
        die("EndTxn of %s: error %d", producer->id, error);
    if (epoch != producer->epoch || producer_id != producer->producer_id)
        producer->sequence = 0;
    producer->producer_id = producer_id;
    producer->epoch = epoch;
    run->all++;
    if (producer->begun_ns >= run->warm_ns && (run->distance_ns > 0 || now <= run->end_ns)) {
        sample(&run->commits, now - link->asked_ns);
        sample(&run->whole, now - producer->begun_ns);
    }
    next(producer, now);
}

static void end_due(struct agent *link, int64_t now)
{
    struct producer *producer = owner_of(link, struct producer, link);
    struct writer *out = &link->out;
    (void)now;
    agent_begin(link, WIRE_END_TXN, WIRE_END_TXN_VERSION, true);
    write_compact_string(out, producer->id);
    write_int64(out, producer->producer_id);
    write_int16(out, producer->epoch);
    write_int8(out, 1);
    write_uvarint(out, 0);
    link->answered = ended;
    agent_send(link);
}

/* ---- its records ---- */

static void produce_due(struct agent *link, int64_t now)
{
    (void)now;
    produce(owner_of(link, struct producer, link));
}

static void produced(struct agent *link, struct reader *body, int64_t now)
{
    struct producer *producer = owner_of(link, struct producer, link);
    int error = produce_answer(body);
    if (error == CONCURRENT_TRANSACTIONS || coordinator_comes(error)) {
        pause_before(producer, produce_due);
        return;
    }
    if (error != 0)
        die("Produce of %s: error %d", producer->id, error);
    producer->sequence += producer->spec.records;
    end_due(link, now);
}

static void produce(struct producer *producer)
{
    struct producer_state state = {producer->id, producer->producer_id, producer->epoch,
                                   producer->sequence};
    agent_begin(&producer->link, WIRE_PRODUCE, WIRE_PRODUCE_TXN_VERSION, true);
    write_produce_body(&producer->link.out, &producer->spec, &state);
    producer->link.answered = produced;
    agent_send(&producer->link);
}

/* ---- the beginning ---- */

static void init_due(struct agent *link, int64_t now);

static void inited(struct agent *link, struct reader *body, int64_t now)
{
    struct producer *producer = owner_of(link, struct producer, link);
    (void)now;
    read_int32(body);
    int error = read_int16(body);
    producer->producer_id = read_int64(body);
    producer->epoch = read_int16(body);
    if (error == CONCURRENT_TRANSACTIONS || coordinator_comes(error)) {
        pause_before(producer, init_due);
        return;
    }
    if (error != 0 || body->failed)
        die("InitProducerId of %s: error %d", producer->id, error);
    producer->run->ready++;
}

static void init_due(struct agent *link, int64_t now)
{
    struct producer *producer = owner_of(link, struct producer, link);
    struct writer *out = &link->out;
    (void)now;
    agent_begin(link, WIRE_INIT_PRODUCER_ID, WIRE_INIT_PRODUCER_ID_VERSION, true);
    write_compact_string(out, producer->id);
    write_int32(out, TRANSACTION_TIMEOUT_MS);
    write_int64(out, -1);
    write_int16(out, -1);
    write_uvarint(out, 0);
    link->answered = inited;
    agent_send(link);
}

static void turn_until(struct run *run, const int *count, int64_t give_up_ns, const char *what)
{
    while (*count < run->options->connections) {
        agents_turn(&run->agents, give_up_ns);
        if (now_ns() > give_up_ns)
            die("%d of %d producers %s", *count, run->options->connections, what);
    }
}

static void open_producers(struct run *run)
{
    const struct load_options *options = run->options;
    for (int i = 0; i < options->connections; i++) {
        struct producer *producer = &run->producers[i];
        producer->run = run;
        producer->spec = (struct produce_spec){options->topic, i % options->partitions, -1,
                                               options->records, options->size};
        snprintf(producer->id, sizeof producer->id, "%s-%d", options->group, i);
        agent_open(&run->agents, &producer->link, &options->address);
        init_due(&producer->link, 0);
    }
    turn_until(run, &run->ready, now_ns() + GIVE_UP_NS, "have an id");
}

static void report(struct run *run, double cpu_s)
{
    double measured_s = (double)(run->end_ns - run->warm_ns) / 1e9;
    printf("{\"mode\":\"txn\",\"producers\":%d,\"transactions\":%ld,\"all\":%ld,"
           "\"per_s\":%.1f,\"retries\":%ld,"
           "\"client_cpu_s\":%.4f,\"commit\":{\"n\":%ld",
           run->options->connections, (long)run->whole.count, (long)run->all,
           (double)run->whole.count / measured_s, (long)run->retries, cpu_s,
           (long)run->commits.count);
    print_latencies(run->commits.ns, run->commits.count);
    printf("},\"whole\":{\"n\":%ld", (long)run->whole.count);
    print_latencies(run->whole.ns, run->whole.count);
    puts("}}");
}

static void begin(struct run *run, int64_t start_ns)
{
    const struct load_options *options = run->options;
    if (options->rate > 0)
        run->distance_ns = (int64_t)(1e9 * options->connections / options->rate);
    for (int i = 0; i < options->connections; i++) {
        struct producer *producer = &run->producers[i];
        producer->begun_ns = start_ns + run->distance_ns * i / options->connections;
        if (run->distance_ns == 0) {
            produce(producer);
        } else {
            producer->link.due = next_due;
            agent_set(&producer->link, producer->begun_ns);
        }
    }
}

int load_txn(const struct load_options *options)
{
    struct run run = {.options = options};
    if (options->seconds <= 0)
        die("for how many seconds?");
    agents_init(&run.agents);
    need_descriptors(options->connections);
    run.producers = calloc((size_t)options->connections, sizeof *run.producers);
    if (!run.producers)
        die("out of memory");
    await_coordinator(&options->address, OF_TRANSACTIONS, options->group);
    open_producers(&run);
    double cpu_s = own_cpu_s();
    int64_t start_ns = now_ns(), length_ns = (int64_t)(options->seconds * 1e9);
    run.going = true;
    run.warm_ns = start_ns + (int64_t)((double)length_ns * WARMUP_SHARE);
    run.end_ns = start_ns + length_ns;
    begin(&run, start_ns);
    turn_until(&run, &run.done, run.end_ns + GIVE_UP_NS, "have ended");
    report(&run, own_cpu_s() - cpu_s);
    return run.whole.count == 0;
}
