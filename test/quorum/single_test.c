#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>

#include "base/errors.h"
#include "quorum_test.h"

/* Run one life of a node to its end. */
struct world {
    struct sim *sim;
    struct sim_node *node;
};

static struct world world_open(void)
{
    struct world world = {.sim = sim_create(1, NULL)};
    sim_options(world.sim)->log = NULL;
    world.node = sim_node_add(world.sim, "a");
    must(env_mkdirs(sim_env(world.node), TEST_DIR) == 0);
    return world;
}

static bool has_ended(void *context)
{
    return !sim_is_running(context);
}

static void live(struct world *world, void (*life)(struct env *env, void *context), void *context)
{
    sim_start(world->node, life, context);
    must(sim_run_until(world->sim, has_ended, world->node, INT64_C(3600000000000)));
    must(sim_memory_bytes(world->node) == 0);
}

static void format(struct env *env, void *context)
{
    (void)context;
    test_format(env);
}

static void commit_three(struct env *env, void *context)
{
    struct test_node *node = malloc(sizeof *node);
    int64_t *first = context;
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == 0);
    must(node->bootstrap_values == 1);
    for (int64_t i = 0; i < 3; i++)
        must(test_commit(node, *first + i) == 0);
    must(node->epoch == *first / 10 + 1);
    must(node->numbers.count == *first / 10 * 3 + 3);
    must(quorum_leader(node->quorum).id == 1);
    struct quorum_voters voters = quorum_voters(node->quorum);
    must(voters.count == 1 && voters.kraft_version == 1 && voters.items[0].id == 1);
    must(test_node_stop(node) == 0);
    free(node);
}

static void what_was_committed_is_replayed_under_a_new_epoch(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format, NULL);
    for (int64_t first = 0; first < 50; first += 10)
        live(&world, commit_three, &first);
    sim_destroy(world.sim);
}

static void propose_many(struct env *env, void *context)
{
    enum { MANY = 200 };
    (void)context;
    struct test_node *node = malloc(sizeof *node);
    static struct test_proposal proposals[MANY];
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == 0);
    int64_t first = quorum_next_offset(node->quorum);
    for (int64_t i = 0; i < MANY; i++) {
        int64_t pair[] = {2 * i, 2 * i + 1};
        must(test_propose(node, pair, 2, &proposals[i]) == 0);
        must(proposals[i].proposal.base_offset == first + 2 * i);
        must(proposals[i].proposal.last_offset == first + 2 * i + 1);
    }
    while (!proposals[MANY - 1].done) {
        loop_turn(&node->loop);
        for (int i = 1; i < MANY; i++)
            must(!proposals[i].done || proposals[i - 1].done);
    }
    must(node->numbers.count == 2 * MANY);
    for (int64_t i = 0; i < 2 * MANY; i++)
        must(node->numbers.items[i] == i);
    must(test_node_stop(node) == 0);
    free(node);
}

static void proposals_commit_in_their_order_at_the_offsets_they_were_told(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format, NULL);
    live(&world, propose_many, NULL);
    sim_destroy(world.sim);
}

static void propose_too_much(struct env *env, void *context)
{
    (void)context;
    struct test_node *node = malloc(sizeof *node);
    struct test_proposal proposal;
    static int64_t numbers[QUORUM_BATCH_MAX_RECORDS + 1];
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == 0);
    must(test_propose(node, numbers, QUORUM_BATCH_MAX_RECORDS + 1, &proposal) == -E2BIG);
    int64_t epoch = node->epoch++;
    must(test_propose(node, numbers, 1, &proposal) == KAFKA_NOT_CONTROLLER);
    node->epoch = (int32_t)epoch;
    size_t size = QUORUM_BATCH_MAX_BYTES;
    uint8_t *large = calloc(1, size);
    must(large);
    struct bytes value = {large, (int32_t)size};
    must(quorum_propose(node->quorum, node->epoch, &value, 1, &proposal.proposal) == -E2BIG);
    /* The queue has a limit too. */
    struct test_proposal *many = calloc(100, sizeof *many);
    int count = 0;
    value.size = 4 * 1024 * 1024;
    int err = 0;
    while (!err && count < 100) {
        many[count].proposal.done = test_proposal_done;
        err = quorum_propose(node->quorum, node->epoch, &value, 1, &many[count].proposal);
        count += !err;
    }
    must(err == -ENOBUFS && count >= 16 && count < 20);
    free(large);
    must(test_node_stop(node) == 0);
    must(many[count - 1].done && many[count - 1].result == 0);
    free(many);
    free(node);
}

static void what_is_over_a_limit_is_refused(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format, NULL);
    live(&world, propose_too_much, NULL);
    sim_destroy(world.sim);
}

static void start_and_expect(struct env *env, void *context)
{
    struct test_node *node = malloc(sizeof *node);
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == *(int *)context);
    test_node_stop(node);
    free(node);
}

static void format_for_two(struct env *env, void *context)
{
    const struct quorum_voter voters[] = {{1, uuid_of(7, 7), &test_endpoint, 1},
                                          {2, uuid_of(8, 8), &test_endpoint, 1}};
    (void)context;
    must(quorum_format(env, TEST_DIR, (struct quorum_voters){voters, 2, 1}, NULL, 0) == 0);
}

static void format_for_another_directory(struct env *env, void *context)
{
    const struct quorum_voter voter = {1, uuid_of(7, 8), &test_endpoint, 1};
    (void)context;
    must(quorum_format(env, TEST_DIR, (struct quorum_voters){&voter, 1, 1}, NULL, 0) == 0);
}

static void a_quorum_of_others_is_refused(void **state)
{
    (void)state;
    int expected = -ENOTSUP;
    struct world world = world_open();
    live(&world, format_for_two, NULL);
    live(&world, start_and_expect, &expected);
    live(&world, format_for_another_directory, NULL);
    live(&world, start_and_expect, &expected);
    sim_destroy(world.sim);
}

static void a_directory_without_a_beginning_is_refused(void **state)
{
    (void)state;
    int expected = -ENOENT;
    struct world world = world_open();
    live(&world, start_and_expect, &expected);
    must(env_mkdirs(sim_env(world.node), TEST_DIR "/__cluster_metadata-0") == 0);
    live(&world, start_and_expect, &expected);
    sim_destroy(world.sim);
}

static void format_static(struct env *env, void *context)
{
    (void)context;
    must(quorum_format(env, TEST_DIR, (struct quorum_voters){NULL, 0, 0}, NULL, 0) == 0);
}

static void lead_as_static_voter(struct env *env, void *context)
{
    const struct quorum_voter voter = {.id = 1};
    struct test_node *node = malloc(sizeof *node);
    char *text;
    size_t size;
    (void)context;
    must(node);
    test_node_init(node, env);
    node->params.static_voters = &voter;
    node->params.static_voter_count = 1;
    must(test_node_start(node) == 0);
    must(quorum_voters(node->quorum).kraft_version == 0);
    must(test_commit(node, 1) == 0);
    must(test_node_stop(node) == 0);
    must(env_load(env, TEST_DIR "/__cluster_metadata-0/quorum-state", 1000, &text, &size) == 0);
    must(strstr(text, "\"data_version\":0"));
    free(text);
    free(node);
}

static void a_static_voter_leads_without_a_voters_record(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format_static, NULL);
    live(&world, lead_as_static_voter, NULL);
    sim_destroy(world.sim);
}

static void move_controller_port(struct env *env, void *context)
{
    struct test_node *node = malloc(sizeof *node);
    struct quorum_endpoint moved = test_endpoint;
    moved.port = *(uint16_t *)context;
    must(node);
    test_node_init(node, env);
    node->params.endpoints = &moved;
    must(test_node_start(node) == 0);
    must(quorum_voters(node->quorum).items[0].endpoints[0].port == moved.port);
    must(test_node_stop(node) == 0);
    free(node);
}

static void look_at_port(struct env *env, void *context)
{
    struct test_node *node = malloc(sizeof *node);
    must(node);
    test_node_init(node, env);
    node->params.endpoint_count = 0;
    must(test_node_start(node) == 0);
    must(quorum_voters(node->quorum).items[0].endpoints[0].port == *(uint16_t *)context);
    must(test_node_stop(node) == 0);
    free(node);
}

static void a_moved_endpoint_is_written_to_the_log(void **state)
{
    (void)state;
    uint16_t port = 10093;
    struct world world = world_open();
    live(&world, format, NULL);
    live(&world, move_controller_port, &port);
    live(&world, look_at_port, &port);
    sim_destroy(world.sim);
}

static int count_files(void *context, const char *name)
{
    struct snapshot_id id;
    int *counts = context;
    counts[0] += snapshot_parse_name(name, &id);
    counts[1] += strlen(name) == 24 && strcmp(name + 20, ".log") == 0;
    return 0;
}

static void write_snapshots(struct env *env, void *context)
{
    struct test_node *node = malloc(sizeof *node);
    int64_t *numbers = context;
    must(node);
    test_node_init(node, env);
    node->params.snapshot_after_bytes = 3000;
    node->params.segment_bytes = 4000;
    node->params.retention_bytes = 20000;
    must(test_node_start(node) == 0);
    must(node->numbers.count == *numbers);
    for (int i = 0; i < 1000; i++)
        must(test_commit(node, (*numbers)++) == 0);
    must(node->snapshots_taken > 10);
    must(test_node_stop(node) == 0);
    int counts[2] = {0, 0};
    must(env_list_dir(env, TEST_DIR "/__cluster_metadata-0", count_files, counts) == 0);
    must(counts[0] >= 1 && counts[0] < 20);
    must(counts[1] >= 1 && counts[1] < 20);
    free(node);
}

static void load_snapshot(struct env *env, void *context)
{
    struct test_node *node = malloc(sizeof *node);
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == 0);
    must(node->snapshots_loaded == 1);
    must(node->numbers.count == *(int64_t *)context);
    for (int64_t i = 0; i < node->numbers.count; i++)
        must(node->numbers.items[i] == i);
    must(test_node_stop(node) == 0);
    free(node);
}

static void snapshots_bound_the_log_and_begin_the_replay(void **state)
{
    (void)state;
    int64_t numbers = 0;
    struct world world = world_open();
    live(&world, format, NULL);
    for (int i = 0; i < 4; i++) {
        live(&world, write_snapshots, &numbers);
        live(&world, load_snapshot, &numbers);
    }
    sim_destroy(world.sim);
}

static void fill_the_disk(struct env *env, void *context)
{
    struct world *world = context;
    struct test_node *node = malloc(sizeof *node);
    struct test_proposal proposals[3];
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == 0);
    must(test_commit(node, 1) == 0);
    sim_disk_fault(world->node, SIM_DISK_WRITE, ".log", 0, 1000, ENOSPC);
    int64_t number = 2;
    int64_t next = quorum_next_offset(node->quorum);
    for (int i = 0; i < 3; i++)
        must(test_propose(node, &number, 1, &proposals[i]) == 0);
    while (!proposals[2].done)
        loop_turn(&node->loop);
    for (int i = 0; i < 3; i++)
        must(proposals[i].result == -ENOSPC);
    must(!node->error && quorum_next_offset(node->quorum) == next);
    sim_disk_fault(world->node, SIM_DISK_WRITE, ".log", 0, 0, 0);
    must(test_commit(node, 3) == 0);
    must(node->numbers.count == 2 && node->numbers.items[1] == 3);
    must(test_node_stop(node) == 0);
    free(node);
}

static void a_full_disk_refuses_proposals_and_nothing_else(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format, NULL);
    live(&world, fill_the_disk, &world);
    sim_destroy(world.sim);
}

static void fail_the_disk(struct env *env, void *context)
{
    struct world *world = context;
    struct test_node *node = malloc(sizeof *node);
    struct test_proposal proposals[2];
    int64_t number = 2;
    must(node);
    test_node_init(node, env);
    must(test_node_start(node) == 0);
    must(test_commit(node, 1) == 0);
    sim_disk_fault(world->node, SIM_DISK_SYNC, ".log", 0, 1, EIO);
    for (int i = 0; i < 2; i++)
        must(test_propose(node, &number, 1, &proposals[i]) == 0);
    while (!proposals[1].done)
        loop_turn(&node->loop);
    must(proposals[0].result == -EIO && proposals[1].result == -EIO);
    must(node->error == -EIO);
    must(quorum_leader(node->quorum).id == -1);
    must(test_propose(node, &number, 1, &proposals[0]) == KAFKA_NOT_CONTROLLER);
    must(test_node_stop(node) == -EIO);
    free(node);
}

static void a_failed_sync_ends_the_quorum(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format, NULL);
    live(&world, fail_the_disk, &world);
    sim_destroy(world.sim);
}

static void stop_at_once(struct env *env, void *context)
{
    int turns = *(int *)context;
    struct test_node *node = malloc(sizeof *node);
    must(node);
    test_node_init(node, env);
    must(quorum_create(&node->params, &node->quorum) == 0);
    if (turns >= 0)
        quorum_start(node->quorum);
    for (int i = 0; i < turns; i++)
        loop_turn(&node->loop);
    must(test_node_stop(node) == 0);
    free(node);
}

static void it_stops_at_any_stage_of_its_start(void **state)
{
    (void)state;
    struct world world = world_open();
    live(&world, format, NULL);
    for (int turns = -1; turns < 6; turns++)
        live(&world, stop_at_once, &turns);
    sim_destroy(world.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_is_replayed_under_a_new_epoch),
        cmocka_unit_test(proposals_commit_in_their_order_at_the_offsets_they_were_told),
        cmocka_unit_test(what_is_over_a_limit_is_refused),
        cmocka_unit_test(a_quorum_of_others_is_refused),
        cmocka_unit_test(a_directory_without_a_beginning_is_refused),
        cmocka_unit_test(a_static_voter_leads_without_a_voters_record),
        cmocka_unit_test(a_moved_endpoint_is_written_to_the_log),
        cmocka_unit_test(snapshots_bound_the_log_and_begin_the_replay),
        cmocka_unit_test(a_full_disk_refuses_proposals_and_nothing_else),
        cmocka_unit_test(a_failed_sync_ends_the_quorum),
        cmocka_unit_test(it_stops_at_any_stage_of_its_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
