/* Snapshots, quorum-state, control records: to the byte as Apache Kafka writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>

#include "base/must.h"
#include "protocol/stored.h"
#include "quorum/control.h"
#include "quorum/format.h"
#include "quorum/quorum_state.h"
#include "quorum/snapshot.h"
#include "sim/sim.h"

struct world {
    struct sim *sim;
    struct env *env;
};

static struct world world_open(void)
{
    struct world world = {.sim = sim_create(1, NULL)};
    world.env = sim_env(sim_node_add(world.sim, "a"));
    must(env_mkdirs(world.env, "/data") == 0);
    return world;
}

static uint8_t *golden_load(const char *name, size_t *ret_size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/golden/%s", TEST_ROOT, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 20);
    must(data);
    *ret_size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

static void snapshot_names_are_kafkas(void **state)
{
    (void)state;
    char name[SNAPSHOT_NAME_SIZE];
    struct snapshot_id id;
    snapshot_name((struct snapshot_id){403, 1}, name);
    assert_string_equal(name, "00000000000000000403-0000000001.checkpoint");
    assert_true(snapshot_parse_name(name, &id));
    assert_int_equal(id.end_offset, 403);
    assert_int_equal(id.epoch, 1);
    static const char *const wrong[] = {
        "",
        "00000000000000000403-0000000001.checkpoint.part",
        "00000000000000000403-0000000001.checkpoin",
        "0000000000000000040x-0000000001.checkpoint",
        "00000000000000000403_0000000001.checkpoint",
        "99999999999999999999-0000000001.checkpoint",
        "00000000000000000403-9999999999.checkpoint",
        "00000000000000000403.log",
    };
    for (size_t i = 0; i < array_size(wrong); i++)
        assert_false(snapshot_parse_name(wrong[i], &id));
}

/* Times and voters taken from Kafka's file, the rest is ours: the bytes must be the same. */
static void a_bootstrap_snapshot_is_kafkas_to_the_byte(void **state)
{
    (void)state;
    size_t size;
    uint8_t *kafkas =
        golden_load("metadata-kafka-4.4.0/00000000000000000000-0000000000.checkpoint", &size);
    struct batch header;
    struct batch data;
    struct voter_set voters;
    assert_int_equal(batch_read(kafkas, size, &header), 0);
    assert_int_equal(batch_read(kafkas + header.size, size - (size_t)header.size, &data), 0);
    voter_set_init(&voters);
    assert_int_equal(voter_set_read(&voters, &header), 0);
    assert_int_equal(voters.kraft_version, 1);
    assert_int_equal(voters.count, 1);
    assert_int_equal(voters.items[0].id, 1);
    assert_int_equal(voters.items[0].endpoint_count, 1);
    assert_true(str_equal(voters.items[0].endpoints[0].listener, STR("CONTROLLER")));
    assert_int_equal(voters.items[0].endpoints[0].port, 23592);

    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_CONTROL;
    builder.leader_epoch = 0;
    control_add_snapshot_header(&builder, header.base_timestamp, voters.last_timestamp);
    control_add_voters(&builder, header.base_timestamp, voter_set_view(&voters));
    assert_int_equal(batch_builder_finish(&builder), 0);
    assert_int_equal(builder.out.size, header.size);
    assert_memory_equal(builder.out.data, kafkas, builder.out.size);
    batch_builder_close(&builder);

    struct record_reader reader;
    struct record record;
    assert_int_equal(record_reader_init(&reader, &data, 1 << 20), 0);
    batch_builder_init(&builder, data.base_offset);
    builder.leader_epoch = 0;
    while (record_reader_next(&reader, NULL, &record) == 0)
        batch_builder_add(&builder, record.timestamp, record.key, record.value, NULL, 0);
    record_reader_close(&reader);
    assert_int_equal(batch_builder_finish(&builder), 0);
    assert_int_equal(builder.out.size, data.size);
    assert_memory_equal(builder.out.data, kafkas + header.size, builder.out.size);
    batch_builder_close(&builder);
    voter_set_close(&voters);
    free(kafkas);
}

/* The control batch that opens Kafka's log: LeaderChange, KRaftVersion, Voters. */
static void the_batch_that_opens_an_epoch_is_kafkas_to_the_byte(void **state)
{
    (void)state;
    size_t size;
    uint8_t *kafkas = golden_load("metadata-kafka-4.4.0/00000000000000000000.log", &size);
    struct batch batch;
    struct voter_set voters;
    assert_int_equal(batch_read(kafkas, size, &batch), 0);
    voter_set_init(&voters);
    assert_int_equal(voter_set_read(&voters, &batch), 0);
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_CONTROL;
    builder.leader_epoch = 1;
    control_add_leader_change(&builder, batch.base_timestamp, 1);
    control_add_voters(&builder, batch.base_timestamp, voter_set_view(&voters));
    assert_int_equal(batch_builder_finish(&builder), 0);
    assert_int_equal(builder.out.size, batch.size);
    assert_memory_equal(builder.out.data, kafkas, builder.out.size);
    batch_builder_close(&builder);
    voter_set_close(&voters);
    free(kafkas);
}

static void quorum_state_is_kafkas_json(void **state)
{
    (void)state;
    struct world world = world_open();
    struct quorum_state quorum_state = {.leader_id = 1, .leader_epoch = 7, .voted_id = -1};
    struct quorum_state again;
    const struct quorum_voter voter = {.id = 1};
    char *text;
    size_t size;
    assert_int_equal(quorum_state_read(world.env, "/data", &again), -ENOENT);
    assert_int_equal(
        quorum_state_write(world.env, "/data", &quorum_state, (struct quorum_voters){&voter, 1, 1}),
        0);
    assert_int_equal(env_load(world.env, "/data/quorum-state", 1000, &text, &size), 0);
    assert_string_equal(text, "{\"leaderId\":1,\"leaderEpoch\":7,\"votedId\":-1,"
                              "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\","
                              "\"data_version\":1}");
    free(text);
    assert_int_equal(quorum_state_read(world.env, "/data", &again), 0);
    assert_int_equal(again.leader_epoch, 7);
    assert_int_equal(again.leader_id, 1);
    assert_int_equal(again.voted_id, -1);
    assert_int_equal(
        quorum_state_write(world.env, "/data", &quorum_state, (struct quorum_voters){&voter, 1, 0}),
        0);
    assert_int_equal(env_load(world.env, "/data/quorum-state", 1000, &text, &size), 0);
    assert_string_equal(text, "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":7,"
                              "\"votedId\":-1,\"appliedOffset\":0,"
                              "\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}");
    free(text);
    assert_int_equal(quorum_state_read(world.env, "/data", &again), 0);
    assert_int_equal(again.leader_epoch, 7);
    sim_destroy(world.sim);
}

static void a_damaged_quorum_state_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"", -EBADMSG},
        {"{", -EBADMSG},
        {"[]", -EBADMSG},
        {"{\"data_version\":1}", -EBADMSG},
        {"{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"data_version\":2}", -ENOTSUP},
        {"{\"leaderId\":1,\"leaderEpoch\":99999999999,\"votedId\":-1,\"data_version\":1}",
         -EBADMSG},
        {"{\"leaderId\":1,\"leaderEpoch\":\"1\",\"votedId\":-1,\"data_version\":1}", -EBADMSG},
        {"{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"votedDirectoryId\":\"x\","
         "\"data_version\":1}",
         -EBADMSG},
    };
    struct world world = world_open();
    for (size_t i = 0; i < array_size(cases); i++) {
        struct quorum_state quorum_state;
        assert_int_equal(
            env_replace(world.env, "/data/quorum-state", cases[i].text, strlen(cases[i].text)), 0);
        assert_int_equal(quorum_state_read(world.env, "/data", &quorum_state), cases[i].result);
    }
    sim_destroy(world.sim);
}

static void an_unfinished_snapshot_has_no_name(void **state)
{
    (void)state;
    struct world world = world_open();
    struct snapshot_writer *writer;
    struct env_stat stat;
    int64_t size;
    const struct snapshot_id id = {5, 1};
    const struct bytes value = {(const uint8_t *)"abc", 3};
    const char *path = "/data/00000000000000000005-0000000001.checkpoint";
    assert_int_equal(snapshot_writer_create(world.env, "/data", id, 0,
                                            (struct quorum_voters){NULL, 0, 0}, &writer),
                     0);
    assert_int_equal(snapshot_write_record(writer, value), 0);
    assert_int_equal(env_stat(world.env, path, &stat), -ENOENT);
    snapshot_writer_abort(writer);
    assert_int_equal(env_stat(world.env, path, &stat), -ENOENT);
    assert_int_equal(snapshot_writer_create(world.env, "/data", id, 0,
                                            (struct quorum_voters){NULL, 0, 0}, &writer),
                     0);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(snapshot_write_record(writer, value), 0);
    assert_int_equal(snapshot_writer_finish(writer, &size), 0);
    assert_int_equal(env_stat(world.env, path, &stat), 0);
    assert_int_equal(stat.size_bytes, size);

    /* Header, three data batches, footer; offsets from 0 without a gap. */
    char *data;
    size_t length;
    assert_int_equal(env_load(world.env, path, 1 << 20, &data, &length), 0);
    int64_t next = 0;
    int batches = 0;
    for (size_t at = 0; at < length;) {
        struct batch batch;
        assert_int_equal(batch_read(data + at, length - at, &batch), 0);
        assert_true(batch_checksum_ok(&batch));
        assert_int_equal(batch.base_offset, next);
        assert_int_equal(batch_is_control(&batch), batches == 0 || batches == 4);
        assert_int_equal(batch.leader_epoch, 1);
        next = batch_last_offset(&batch) + 1;
        at += (size_t)batch.size;
        batches++;
    }
    assert_int_equal(batches, 5);
    assert_int_equal(next, 3002);
    free(data);
    sim_destroy(world.sim);
}

static void too_many_voters_are_refused(void **state)
{
    (void)state;
    struct quorum_voter voters[QUORUM_VOTERS_MAX + 1];
    struct batch_builder builder;
    struct batch batch;
    struct voter_set set;
    memset(voters, 0, sizeof voters);
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_CONTROL;
    control_add_voters(&builder, 0, (struct quorum_voters){voters, QUORUM_VOTERS_MAX + 1, 1});
    assert_int_equal(batch_builder_finish(&builder), 0);
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    voter_set_init(&set);
    assert_int_equal(voter_set_read(&set, &batch), -EOVERFLOW);
    voter_set_close(&set);
    batch_builder_close(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_names_are_kafkas),
        cmocka_unit_test(a_bootstrap_snapshot_is_kafkas_to_the_byte),
        cmocka_unit_test(the_batch_that_opens_an_epoch_is_kafkas_to_the_byte),
        cmocka_unit_test(quorum_state_is_kafkas_json),
        cmocka_unit_test(a_damaged_quorum_state_is_refused),
        cmocka_unit_test(an_unfinished_snapshot_has_no_name),
        cmocka_unit_test(too_many_voters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
