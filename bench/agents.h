/* Many connections in one event loop, each with one request under way: members of groups, producers
 * of transactions, whoever commits. An agent is a state of its owner, not a thread. */
#ifndef JACKDAW_BENCH_AGENTS_H
#define JACKDAW_BENCH_AGENTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/heap.h"

/* The loop. `input_ended` is set when standard input has ended, if that is watched. */
struct agents {
    int poller;
    struct heap timers;
    bool input_ended;
};

/* Embedded in its owner. `answered` gets the body behind the header; `due` is called when the timer
 * has run out and is no longer set. Both may send and set the timer. */
struct agent {
    struct agents *all;
    int sock;
    void (*answered)(struct agent *agent, struct reader *body, int64_t now);
    void (*due)(struct agent *agent, int64_t now);
    int64_t asked_ns; /* when the request under way was sent */
    bool asking;
    bool flexible; /* the header of the answer */
    bool wants_out;
    int32_t correlation;
    struct writer out;
    size_t out_from;
    uint8_t *in;
    size_t in_size, in_capacity;
    struct heap_node timer;
};

void agents_init(struct agents *agents);
void agents_watch_input(struct agents *agents);
/* Wait for answers and timers, at most until then, and handle what came. */
void agents_turn(struct agents *agents, int64_t until_ns);

/* So many connections must be possible; ends the program if they are not. */
void need_descriptors(int count);

/* Connect and ask for ApiVersions, as clients do; ends the program when that fails. */
void agent_open(struct agents *agents, struct agent *agent, const struct sockaddr_in *address);
void agent_close(struct agent *agent);

/* Begin a request; its body is then appended to agent->out, and agent_send sends it. */
void agent_begin(struct agent *agent, int16_t key, int16_t version, bool flexible);
void agent_send(struct agent *agent);

void agent_set(struct agent *agent, int64_t due_ns);
void agent_unset(struct agent *agent);

/* The percentiles of these, as fields of JSON: `,"p50_us":…` and so on. Sorts them. */
void print_latencies(int64_t *latencies, int64_t count);

#define owner_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
