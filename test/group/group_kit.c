#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "group_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"

void group_kit_init(struct kit *kit, int64_t flush_messages)
{
    kit_init(kit, flush_messages);
    kit->fold = group_fold;
    _Static_assert(sizeof(struct group_memory) == sizeof kit->fold_word, "a word");
    kit->fold_context = &kit->fold_word;
    kit->broker.group_memory_bytes = INT64_C(1) << 30;
    kit->settings.max_message_bytes = 1 << 20;
    kit->broker.group_min_session_timeout_ms = 6000;
    kit->broker.group_max_session_timeout_ms = 1800000;
    kit->broker.group_initial_rebalance_delay_ms = 3000;
    kit->broker.group_max_size = INT32_MAX;
    kit->broker.offset_metadata_max_bytes = 4096;
    kit->broker.offsets_commit_timeout_ms = 5000;
    kit->broker.offsets_retention_minutes = 10080;
    kit->broker.offsets_retention_check_interval_ms = 600000;
    kit_open(kit, 1);
}

static int setup(void **state, int64_t flush_messages)
{
    struct kit *kit = malloc(sizeof *kit);
    group_kit_init(kit, flush_messages);
    *state = kit;
    return 0;
}

int group_kit_setup(void **state)
{
    return setup(state, INT64_MAX);
}

int group_kit_setup_synced(void **state)
{
    return setup(state, 1);
}

int group_kit_teardown(void **state)
{
    kit_close(*state);
    free(*state);
    return 0;
}

void group_kit_restart(struct kit *kit)
{
    kit_crash(kit);
    kit_open(kit, 2);
    coord_shard_unref(kit_shard(kit, 0));
}

void group_kit_pass(struct kit *kit, int64_t ms)
{
    kit->now_ns += ms * 1000000;
    kit_turns(kit, 6);
}

static void op_wake(struct coord_op *op, struct wakes *wakes)
{
    (void)op, (void)wakes;
}

static void wait_wake(struct group_wait *wait, struct wakes *wakes)
{
    (void)wait, (void)wakes;
}

int group_kit_run(struct kit *kit, struct coord_op *op)
{
    int error;
    op->shard = kit_shard(kit, 0);
    op->wake = op_wake;
    for (int i = 0; i < 100; i++) {
        struct coord_turn turn;
        kit_turn_of(kit, 0, &turn);
        if (coord_op_run(op, &turn, &error))
            return error;
        kit_turn(kit);
    }
    fail_msg("an operation does not end");
    return 0;
}

static int peek_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    (void)turn;
    *(void **)(op + 1) = state;
    return 0;
}

struct group_shard *group_kit_state(struct kit *kit)
{
    struct {
        struct coord_op op;
        void *state;
    } peek;
    coord_op_init(&peek.op);
    peek.op.access = COORD_READ;
    peek.op.decide = peek_decide;
    peek.state = NULL;
    assert_int_equal(group_kit_run(kit, &peek.op), 0);
    return peek.state;
}

const struct group *group_kit_group(struct kit *kit, const char *id)
{
    return group_find(group_kit_state(kit), str_of(id));
}

const char *group_kit_state_name(struct kit *kit, const char *id)
{
    const struct group *group = group_kit_group(kit, id);
    return group ? group_kind_of(group)->state_name(group).data : "";
}

struct uuid group_kit_topic(const char *name)
{
    struct uuid id = {{0}};
    id.bytes[0] = 1;
    for (int i = 1; i < 16 && *name; i++)
        id.bytes[i] = (uint8_t)*name++;
    return id;
}

/* ---- members ---- */

void member_init(struct member *member, struct kit *kit, const char *group, const char *client_id)
{
    *member = (struct member){.kit = kit,
                              .group = group,
                              .client_id = client_id,
                              .generation = -1,
                              .session_ms = 45000,
                              .rebalance_ms = 300000,
                              .version = 9,
                              .protocol_type = "consumer",
                              .protocols = {"range"},
                              .topics = {"t"}};
}

/* A subscription as the consumers of version 0 write it. */
static struct bytes subscription(struct member *member)
{
    struct writer writer = {0};
    int count = 0;
    while (count < 4 && member->topics[count])
        count++;
    write_int16(&writer, 0);
    write_int32(&writer, count);
    for (int i = 0; i < count; i++) {
        write_int16(&writer, (int16_t)strlen(member->topics[i]));
        write_bytes(&writer, member->topics[i], strlen(member->topics[i]));
    }
    write_int32(&writer, -1);
    assert_true(writer.size <= sizeof member->subscription);
    memcpy(member->subscription, writer.data, writer.size);
    int32_t size = (int32_t)writer.size;
    writer_close(&writer);
    return (struct bytes){member->subscription, size};
}

static void text_of(char *to, size_t size, struct str from)
{
    snprintf(to, size, "%.*s", from.size, from.data ? from.data : "");
}

static void take_join_answer(struct member *member)
{
    const struct join_group_response *response = &member->join.response;
    member->joining = false;
    member->join_error = response->error_code;
    if (response->error_code == 0 || response->error_code == KAFKA_MEMBER_ID_REQUIRED)
        text_of(member->id, sizeof member->id, response->member_id);
    if (response->error_code == 0)
        member->generation = response->generation_id;
    text_of(member->leader, sizeof member->leader, response->leader);
    text_of(member->protocol, sizeof member->protocol, response->protocol_name);
    member->skip_assignment = response->skip_assignment;
    member->member_count = response->members.count;
    for (int i = 0; i < response->members.count && i < 64; i++)
        text_of(member->members[i], sizeof member->members[i],
                response->members.items[i].member_id);
    group_wait_close(&member->join.wait);
}

bool member_joined(struct member *member)
{
    int error;
    if (!member->joining)
        return true;
    if (!group_wait_over(&member->join.wait, &error))
        return false;
    if (error != 0) {
        join_group_response_init(&member->join.response);
        member->join.response.error_code = error_to_wire(error);
    }
    take_join_answer(member);
    return true;
}

bool member_join(struct member *member)
{
    static uint8_t next;
    struct join_group_request *request = &member->join_request;
    struct classic_client client = {
        .client_id = str_of(member->client_id), .host = STR("/127.0.0.1"), .random = {{++next, 7}}};
    must(!member->joining);
    join_group_request_init(request);
    request->group_id = str_of(member->group);
    request->session_timeout_ms = member->session_ms;
    request->rebalance_timeout_ms = member->rebalance_ms;
    request->member_id = str_of(member->id);
    request->group_instance_id = str_of(member->instance_id);
    request->protocol_type = str_of(member->protocol_type);
    request->protocols.items = member->offers;
    for (int i = 0; i < 4 && member->protocols[i]; i++)
        member->offers[request->protocols.count++] = (struct join_group_request_protocol){
            str_of(member->protocols[i]), subscription(member)};
    classic_join_init(&member->join, request, member->version, &client);
    member->join.wait.wake = wait_wake;
    int error = group_kit_run(member->kit, &member->join.op);
    member->joining = true;
    if (error == 0 && member->join.waits)
        return member_joined(member);
    if (error != 0) {
        join_group_response_init(&member->join.response);
        member->join.response.error_code = error_to_wire(error);
    }
    take_join_answer(member);
    return true;
}

bool member_join_as_new(struct member *member)
{
    if (!member_join(member) || member->join_error != KAFKA_MEMBER_ID_REQUIRED)
        return member_joined(member);
    return member_join(member);
}

/* ConsumerProtocolAssignment, version 0. */
static struct bytes share(struct member *member, int index, char *buffer, size_t size)
{
    struct writer out = {.limit = size};
    int32_t count = 0;
    for (int32_t p = index; p < member->shares; p += member->member_count)
        count++;
    write_int16(&out, 0);
    write_int32(&out, 1);
    write_int16(&out, (int16_t)strlen(member->topics[0]));
    write_bytes(&out, member->topics[0], strlen(member->topics[0]));
    write_int32(&out, count);
    for (int32_t p = index; p < member->shares; p += member->member_count)
        write_int32(&out, p);
    write_int32(&out, -1);
    memcpy(buffer, out.data, out.size);
    struct bytes bytes = {(const uint8_t *)buffer, (int32_t)out.size};
    writer_close(&out);
    return bytes;
}

/* The partitions of the first topic. */
static uint64_t shared(struct bytes assignment)
{
    struct reader reader = reader_of(assignment.data, (size_t)assignment.size);
    uint64_t given = 0;
    (void)read_int16(&reader);
    if (read_int32(&reader) < 1 || reader.failed)
        return 0;
    int16_t name = read_int16(&reader);
    for (int16_t i = 0; i < name; i++)
        (void)read_int8(&reader);
    int32_t count = read_int32(&reader);
    for (int32_t i = 0; i < count && !reader.failed; i++)
        given |= UINT64_C(1) << read_int32(&reader);
    return given;
}

static void take_sync_answer(struct member *member)
{
    const struct sync_group_response *response = &member->sync.response;
    member->given = member->shares > 0 ? shared(response->assignment) : 0;
    member->syncing = false;
    member->sync_error = response->error_code;
    text_of(member->assignment, sizeof member->assignment,
            (struct str){(const char *)response->assignment.data, response->assignment.size});
    group_wait_close(&member->sync.wait);
}

bool member_synced(struct member *member)
{
    int error;
    if (!member->syncing)
        return true;
    if (!group_wait_over(&member->sync.wait, &error))
        return false;
    if (error != 0) {
        sync_group_response_init(&member->sync.response);
        member->sync.response.error_code = error_to_wire(error);
    }
    take_sync_answer(member);
    return true;
}

bool member_sync(struct member *member)
{
    struct sync_group_request *request = &member->sync_request;
    sync_group_request_init(request);
    request->group_id = str_of(member->group);
    request->generation_id = member->generation;
    request->member_id = str_of(member->id);
    request->group_instance_id = str_of(member->instance_id);
    request->protocol_type = str_of(member->protocol_type);
    request->protocol_name = str_of(member->protocol);
    request->assignments.items = member->assignments;
    for (int i = 0; !member->skip_assignment && i < member->member_count; i++) {
        snprintf(member->assigned[i], sizeof member->assigned[i], "%s:%s", member->protocol,
                 member->members[i]);
        struct bytes text = {(const uint8_t *)member->assigned[i],
                             (int32_t)strlen(member->assigned[i])};
        member->assignments[request->assignments.count++] = (struct sync_group_request_assignment){
            str_of(member->members[i]),
            member->shares > 0 ? share(member, i, member->assigned[i], sizeof member->assigned[i])
                               : text};
    }
    classic_sync_init(&member->sync, request);
    member->sync.wait.wake = wait_wake;
    int error = group_kit_run(member->kit, &member->sync.op);
    member->syncing = true;
    if (member->sync.waits)
        return member_synced(member);
    if (error != 0) {
        sync_group_response_init(&member->sync.response);
        member->sync.response.error_code = error_to_wire(error);
    }
    take_sync_answer(member);
    return true;
}

void member_close(struct member *member)
{
    struct classic_abandon abandon;
    if (member->joining && !member_joined(member)) {
        classic_abandon_init(&abandon, &member->join.wait);
        assert_int_equal(group_kit_run(member->kit, &abandon.op), 0);
        group_wait_close(&member->join.wait);
    }
    if (member->syncing && !member_synced(member)) {
        classic_abandon_init(&abandon, &member->sync.wait);
        assert_int_equal(group_kit_run(member->kit, &abandon.op), 0);
        group_wait_close(&member->sync.wait);
    }
    member->joining = member->syncing = false;
}

int member_heartbeat(struct member *member)
{
    struct heartbeat_request request;
    struct classic_heartbeat heartbeat;
    heartbeat_request_init(&request);
    request.group_id = str_of(member->group);
    request.generation_id = member->generation;
    request.member_id = str_of(member->id);
    request.group_instance_id = str_of(member->instance_id);
    classic_heartbeat_init(&heartbeat, &request);
    int error = group_kit_run(member->kit, &heartbeat.op);
    return error != 0 ? error : heartbeat.response.error_code;
}

int member_leave(struct member *member)
{
    struct leave_group_request request;
    struct leave_group_request_member_identity who;
    struct classic_leave leave;
    struct arena arena;
    arena_init(&arena, 0);
    leave_group_request_init(&request);
    leave_group_request_member_identity_init(&who);
    request.group_id = str_of(member->group);
    who.member_id = str_of(member->id);
    who.group_instance_id = str_of(member->instance_id);
    request.members.items = &who;
    request.members.count = 1;
    assert_int_equal(classic_leave_init(&leave, &request, 5, &arena), 0);
    (void)group_kit_run(member->kit, &leave.op);
    int error = leave.response.error_code;
    if (error == 0)
        error = leave.response.members.items[0].error_code;
    arena_close(&arena);
    return error;
}

int member_commit(struct member *member, int32_t partition, int64_t offset, const char *metadata)
{
    struct offset_commit commit;
    int16_t error = 0;
    const struct offset_commit_part part = {STR("t"), group_kit_topic("t"), partition, -1,
                                            offset,   str_of(metadata),     &error};
    offset_commit_init(&commit);
    commit.group = str_of(member->group);
    commit.who = (struct group_committer){.member_id = str_of(member->id),
                                          .instance_id = str_of(member->instance_id),
                                          .generation = member->generation,
                                          .version = 9};
    commit.parts = &part;
    commit.count = 1;
    int whole = group_kit_run(member->kit, &commit.op);
    return whole != 0 ? whole : error;
}

void members_settle(struct kit *kit, struct member *members, int count)
{
    for (int i = 0; i < count; i++)
        (void)member_join_as_new(&members[i]);
    for (int i = 0; i < 100; i++) {
        bool all = true;
        for (int m = 0; m < count; m++)
            all = member_joined(&members[m]) && all;
        if (all)
            break;
        group_kit_pass(kit, 3000);
    }
    for (int i = 0; i < count; i++)
        (void)member_sync(&members[i]);
    for (int i = 0; i < count; i++) {
        assert_true(member_synced(&members[i]));
        assert_int_equal(members[i].sync_error, 0);
    }
}

/* ---- offsets ---- */

static int commit_one(struct kit *kit, const char *group, const char *topic, int32_t partition,
                      int64_t offset, int64_t producer_id)
{
    struct offset_commit commit;
    int16_t error = 0;
    const struct offset_commit_part part = {
        str_of(topic), group_kit_topic(topic), partition, 3, offset, STR("m"), &error};
    offset_commit_init(&commit);
    commit.group = str_of(group);
    commit.who.version = 9;
    commit.who.transactional = producer_id >= 0;
    commit.who.member_id = STR("");
    commit.op.transaction = (struct coord_transaction){.producer_id = producer_id,
                                                       .producer_epoch = producer_id >= 0 ? 0 : -1};
    commit.parts = &part;
    commit.count = 1;
    int whole = group_kit_run(kit, &commit.op);
    return whole != 0 ? whole : error;
}

int commit_as_nobody(struct kit *kit, const char *group, const char *topic, int32_t partition,
                     int64_t offset)
{
    return commit_one(kit, group, topic, partition, offset, -1);
}

int commit_in_transaction(struct kit *kit, const char *group, const char *topic, int32_t partition,
                          int64_t offset, int64_t producer_id)
{
    return commit_one(kit, group, topic, partition, offset, producer_id);
}

void end_transaction(struct kit *kit, int64_t producer_id, bool commit)
{
    struct coord_op op;
    const struct coord_marker marker = {
        .producer_id = producer_id, .producer_epoch = 0, .coordinator_epoch = 1, .commit = commit};
    coord_op_init(&op);
    op.access = COORD_WRITE;
    op.marker = &marker;
    assert_int_equal(group_kit_run(kit, &op), 0);
}

static int64_t fetch_one(struct kit *kit, const char *group, const char *topic, int32_t partition,
                         bool stable)
{
    struct offset_fetch request;
    struct offset_fetch_part part = {.topic = str_of(topic), .partition = partition};
    struct arena arena;
    arena_init(&arena, 0);
    offset_fetch_init(&request);
    request.group = str_of(group);
    request.require_stable = stable;
    request.arena = &arena;
    request.parts = &part;
    request.count = 1;
    int error = group_kit_run(kit, &request.op);
    arena_close(&arena);
    return error != 0 ? -error : part.error != 0 ? -part.error : part.offset;
}

int64_t fetch(struct kit *kit, const char *group, const char *topic, int32_t partition)
{
    return fetch_one(kit, group, topic, partition, false);
}

int64_t fetch_stable(struct kit *kit, const char *group, const char *topic, int32_t partition)
{
    return fetch_one(kit, group, topic, partition, true);
}
