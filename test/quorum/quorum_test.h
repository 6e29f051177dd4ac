/* A quorum whose state is the list of numbers that were committed, on a simulated node. */
#ifndef JACKDAW_TEST_QUORUM_H
#define JACKDAW_TEST_QUORUM_H

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "quorum/format.h"
#include "quorum/quorum.h"
#include "quorum/snapshot.h"
#include "sim/sim.h"

#define HELPER __attribute__((unused)) static
#define TEST_DIR "/data"
#define TEST_NUMBERS_MAX 20000

/* What is folded: numbers in the order of their commits. */
struct numbers {
    int64_t items[TEST_NUMBERS_MAX];
    int32_t count;
};

struct test_node {
    struct env *env;
    struct loop loop;
    struct say say;
    struct file_cache *files;
    struct quorum *quorum;
    struct quorum_params params;
    struct numbers numbers;
    int64_t next_offset;  /* expected of the next committed batch */
    int64_t snapshot_end; /* of what was loaded or committed */
    int32_t snapshot_epoch;
    int64_t last_timestamp;
    int32_t bootstrap_values;
    int32_t epoch; /* -1: not leading */
    int32_t snapshots_loaded;
    int32_t snapshots_taken;
    int error;
    bool stopped;
    int stop_result;
};

static inline struct bytes number_value(const int64_t *number)
{
    return (struct bytes){(const uint8_t *)number, sizeof *number};
}

static void fold_batch(struct test_node *node, const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    if (batch_is_control(batch))
        return;
    must(record_reader_init(&reader, batch, 1 << 24) == 0);
    while (record_reader_next(&reader, NULL, &record) == 0) {
        must(record.value.size >= 8 && node->numbers.count < TEST_NUMBERS_MAX);
        memcpy(&node->numbers.items[node->numbers.count++], record.value.data, 8);
    }
    record_reader_close(&reader);
}

static void test_bootstrap(void *context, const struct batch *batch)
{
    ((struct test_node *)context)->bootstrap_values += batch->record_count;
}

static void test_snapshot_begin(void *context, struct snapshot_id id)
{
    struct test_node *node = context;
    node->numbers.count = 0;
    node->snapshot_end = id.end_offset;
    node->snapshot_epoch = id.epoch;
}

static void test_snapshot_batch(void *context, const struct batch *batch)
{
    fold_batch(context, batch);
}

static void test_snapshot_end(void *context, int64_t last_timestamp)
{
    struct test_node *node = context;
    node->next_offset = node->snapshot_end;
    node->last_timestamp = last_timestamp;
    node->snapshots_loaded++;
}

static void test_committed(void *context, const struct batch *batch)
{
    struct test_node *node = context;
    must(batch->base_offset == node->next_offset);
    must(quorum_high_watermark(node->quorum) == batch_last_offset(batch) + 1);
    node->next_offset = batch_last_offset(batch) + 1;
    node->snapshot_end = node->next_offset;
    node->snapshot_epoch = batch->leader_epoch;
    node->last_timestamp = batch->max_timestamp;
    fold_batch(node, batch);
}

static void test_leader_change(void *context, int32_t epoch, int32_t leader_id)
{
    struct test_node *node = context;
    node->epoch = leader_id == node->params.node_id ? epoch : -1;
}

static void test_failed(void *context, int error)
{
    ((struct test_node *)context)->error = error;
}

static const void *test_snapshot_take(void *context, struct snapshot_id *ret_id,
                                      int64_t *ret_last_timestamp)
{
    struct test_node *node = context;
    struct numbers *copy = malloc(sizeof *copy);
    must(copy);
    *copy = node->numbers;
    *ret_id = (struct snapshot_id){node->snapshot_end, node->snapshot_epoch};
    *ret_last_timestamp = node->last_timestamp;
    node->snapshots_taken++;
    return copy;
}

static int test_snapshot_write(const void *state, struct snapshot_writer *writer)
{
    const struct numbers *numbers = state;
    int err = 0;
    for (int32_t i = 0; i < numbers->count && !err; i++)
        err = snapshot_write_record(writer, number_value(&numbers->items[i]));
    return err;
}

static void test_snapshot_drop(void *context, const void *state)
{
    (void)context;
    free((void *)state);
}

static void test_say(void *context, enum say_level level, const char *line, size_t size)
{
    struct test_node *node = context;
    node->env->ops->log_line(node->env, level, line, size);
}

static const struct quorum_endpoint test_endpoint = {{"CONTROLLER", 10}, {"localhost", 9}, 9093};

HELPER void test_format(struct env *env)
{
    const struct quorum_voter voter = {1, uuid_of(7, 7), &test_endpoint, 1};
    const int64_t number = -1;
    const struct bytes value = number_value(&number);
    must(quorum_format(env, TEST_DIR, (struct quorum_voters){&voter, 1, 1}, &value, 1) == 0);
}

HELPER void test_node_init(struct test_node *node, struct env *env)
{
    *node = (struct test_node){.env = env, .epoch = -1};
    must(loop_init(&node->loop, env, 0) == 0);
    node->say = (struct say){.level = SAY_INFO, .write = test_say, .context = node};
    node->files = file_cache_create(env, 10);
    must(node->files);
    quorum_params_init(&node->params);
    node->params.env = env;
    node->params.loop = &node->loop;
    node->params.say = &node->say;
    node->params.files = node->files;
    node->params.dir = TEST_DIR;
    node->params.node_id = 1;
    node->params.directory_id = uuid_of(7, 7);
    node->params.cluster_id = (struct str){"c", 1};
    node->params.endpoints = &test_endpoint;
    node->params.endpoint_count = 1;
    node->params.listener = (struct quorum_listener){
        .bootstrap = test_bootstrap,
        .snapshot_begin = test_snapshot_begin,
        .snapshot_batch = test_snapshot_batch,
        .snapshot_end = test_snapshot_end,
        .committed = test_committed,
        .leader_change = test_leader_change,
        .failed = test_failed,
        .snapshot_take = test_snapshot_take,
        .snapshot_write = test_snapshot_write,
        .snapshot_drop = test_snapshot_drop,
        .context = node,
    };
}

/* Start, and turn the loop until this node leads (0) or failed. */
HELPER int test_node_start(struct test_node *node)
{
    must(quorum_create(&node->params, &node->quorum) == 0);
    quorum_start(node->quorum);
    while (node->epoch < 0 && !node->error)
        loop_turn(&node->loop);
    return node->error;
}

static void test_stopped(void *context, int result)
{
    struct test_node *node = context;
    node->stopped = true;
    node->stop_result = result;
}

HELPER int test_node_stop(struct test_node *node)
{
    quorum_stop(node->quorum, test_stopped, node);
    while (!node->stopped)
        loop_turn(&node->loop);
    quorum_destroy(node->quorum);
    loop_close(&node->loop);
    file_cache_destroy(node->files);
    return node->stop_result;
}

struct test_proposal {
    struct quorum_proposal proposal;
    bool done;
    int result;
};

static void test_proposal_done(struct quorum *quorum, struct quorum_proposal *proposal, int result)
{
    (void)quorum;
    struct test_proposal *own = container_of(proposal, struct test_proposal, proposal);
    must(!own->done);
    own->done = true;
    own->result = result;
}

HELPER int test_propose(struct test_node *node, const int64_t *numbers, int32_t count,
                        struct test_proposal *proposal)
{
    struct bytes *values = malloc((size_t)count * sizeof values[0]);
    must(values);
    for (int32_t i = 0; i < count; i++)
        values[i] = number_value(&numbers[i]);
    *proposal = (struct test_proposal){.proposal = {.done = test_proposal_done}};
    int err = quorum_propose(node->quorum, node->epoch, values, count, &proposal->proposal);
    free(values);
    return err;
}

/* Propose one number and wait for it. */
HELPER int test_commit(struct test_node *node, int64_t number)
{
    struct test_proposal proposal;
    int err = test_propose(node, &number, 1, &proposal);
    if (err)
        return err;
    while (!proposal.done)
        loop_turn(&node->loop);
    return proposal.result;
}

#endif
