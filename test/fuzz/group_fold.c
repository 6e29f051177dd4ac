/* Records of __consumer_offsets as hostile as they come: any bytes, and records whose fields are
 * anything, with the subscriptions of members among them. What the fold takes can be asked about,
 * its timers decide something, and when it is unloaded nothing is left. */
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "fold_shard.h"
#include "group/admin_ops.h"
#include "group/offset_ops.h"
#include "protocol/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW, OFFSET, GROUP, KEYED, MARKER, TOMBSTONE, KINDS };

static const struct str names[] = {STR("g"), STR(""), STR("h"), STR("long-name")};

static struct str name_of(struct fuzz_input *input)
{
    return fuzz_name(input, names, sizeof names / sizeof *names);
}

struct out {
    struct writer key, value;
    bool has_value;
};

/* Key and value of a record in some version, as far as they can be written. */
static bool write(struct out *out, int16_t type, const void *key, const void *value,
                  int16_t version)
{
    const struct coordinator_record_type *row = coordinator_record_find(COORDINATOR_GROUP, type);
    must(row);
    write_int16(&out->key, type);
    if (message_encode(row->key, 0, key, &out->key, NULL) != 0)
        return false;
    out->has_value = value != NULL;
    if (!value)
        return true;
    write_int16(&out->value, version);
    return message_encode(row->value, version, value, &out->value, NULL) == 0;
}

static bool write_offset(struct fuzz_input *input, struct out *out, bool tombstone)
{
    const struct offset_commit_key key = {
        .group = name_of(input), .topic = name_of(input), .partition = (int32_t)fuzz_number(input)};
    struct offset_commit_value value;
    offset_commit_value_init(&value);
    value.offset = fuzz_number(input);
    value.commit_timestamp = fuzz_number(input);
    value.metadata = name_of(input);
    int16_t version = fuzz_byte(input) % 5;
    if (version == 1)
        value.expire_timestamp = fuzz_number(input);
    if (version >= 3)
        value.leader_epoch = (int32_t)fuzz_number(input);
    return write(out, GROUP_RECORD_OFFSET_COMMIT, &key, tombstone ? NULL : &value, version);
}

static bool write_group(struct fuzz_input *input, struct out *out, bool tombstone)
{
    const struct group_metadata_key key = {.group = name_of(input)};
    struct group_metadata_value_member_metadata members[6];
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol_type = fuzz_byte(input) & 1 ? STR("consumer") : name_of(input);
    value.generation = (int32_t)fuzz_number(input);
    value.protocol = fuzz_byte(input) & 1 ? STR("range") : (struct str){NULL, 0};
    value.leader = name_of(input);
    value.current_state_timestamp = fuzz_number(input);
    value.members.items = members;
    value.members.count = fuzz_byte(input) % 7;
    for (int32_t i = 0; i < value.members.count; i++) {
        struct group_metadata_value_member_metadata *member = &members[i];
        group_metadata_value_member_metadata_init(member);
        member->member_id = name_of(input);
        if (fuzz_byte(input) & 1)
            member->group_instance_id = name_of(input);
        member->client_id = name_of(input);
        member->client_host = name_of(input);
        member->rebalance_timeout = (int32_t)fuzz_number(input);
        member->session_timeout = (int32_t)fuzz_number(input);
        member->subscription = fuzz_bytes(input, 60);
        member->assignment = fuzz_bytes(input, 60);
    }
    return write(out, GROUP_RECORD_GROUP_METADATA, &key, tombstone ? NULL : &value, 3);
}

/* A key of any type for a known group, and a value of any bytes: those of the other protocols. */
static bool write_keyed(struct fuzz_input *input, struct out *out)
{
    struct str name = name_of(input);
    write_int16(&out->key, (int16_t)(fuzz_byte(input) % 20));
    write_int16(&out->key, (int16_t)name.size);
    write_bytes(&out->key, name.data, (size_t)name.size);
    struct bytes rest = fuzz_bytes(input, 40);
    write_bytes(&out->key, rest.data, (size_t)rest.size);
    struct bytes value = fuzz_bytes(input, 255);
    out->has_value = fuzz_byte(input) & 1;
    write_int16(&out->value, 0);
    write_bytes(&out->value, value.data, (size_t)value.size);
    return true;
}

static void step(struct fold_shard *fold, struct fuzz_input *input)
{
    struct out out = {.has_value = true};
    uint8_t kind = fuzz_byte(input);
    bool transactional = kind & 0x80;
    bool written = true;
    switch (kind % KINDS) {
    case RAW: {
        struct bytes key = fuzz_bytes(input, 255), value = fuzz_bytes(input, 255);
        write_bytes(&out.key, key.data, (size_t)key.size);
        write_bytes(&out.value, value.data, (size_t)value.size);
        break;
    }
    case OFFSET:
        written = write_offset(input, &out, false);
        break;
    case GROUP:
        written = write_group(input, &out, false);
        break;
    case KEYED:
        written = write_keyed(input, &out);
        break;
    case TOMBSTONE:
        written =
            fuzz_byte(input) & 1 ? write_offset(input, &out, true) : write_group(input, &out, true);
        break;
    case MARKER: {
        struct coord_marker marker = {.producer_id = fuzz_byte(input) % 3,
                                      .commit = fuzz_byte(input) & 1};
        fold_shard_mark(fold, &marker);
        written = false;
        break;
    }
    }
    if (written && !out.key.failed && !out.value.failed) {
        struct coord_record record = {
            .timestamp = fuzz_number(input),
            .producer_id = transactional ? fuzz_byte(input) % 3 : -1,
            .transactional = transactional,
            .key = {out.key.data, (int32_t)out.key.size},
        };
        if (out.has_value)
            record.value = (struct bytes){out.value.data ? out.value.data : (const uint8_t *)"",
                                          (int32_t)out.value.size};
        if (record.key.size > 0)
            fold_shard_apply(fold, &record);
    }
    writer_close(&out.key);
    writer_close(&out.value);
}

static void ask(struct fold_shard *fold)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct group_list list;
    group_list_init(&list);
    list.arena = &arena;
    must(fold_shard_decide(fold, &list.op) == 0);
    const struct group_shard *shard = fold->state;
    must(list.count == shard->counts.groups);
    for (int32_t i = 0; i < list.count && i < 20; i++) {
        struct describe_groups_response_described_group answer;
        struct group_describe describe;
        struct offset_fetch fetch;
        struct group_delete drop;
        describe_groups_response_described_group_init(&answer);
        group_describe_init(&describe);
        describe.group = list.found[i].group_id;
        describe.version = 6;
        describe.arena = &arena;
        describe.answer = &answer;
        (void)fold_shard_decide(fold, &describe.op);
        offset_fetch_init(&fetch);
        fetch.group = list.found[i].group_id;
        fetch.arena = &arena;
        fetch.all = fetch.require_stable = true;
        (void)fold_shard_decide(fold, &fetch.op);
        group_delete_init(&drop);
        drop.group = list.found[i].group_id;
        (void)fold_shard_decide(fold, &drop.op);
    }
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct group_memory memory = {0};
    struct fold_shard *fold = calloc(1, sizeof *fold);
    must(fold);
    fold_shard_init(fold, &group_fold, &memory);
    while (input.left > 0)
        step(fold, &input);
    fold_shard_load(fold);
    ask(fold);
    fold_shard_pass(fold, 20000, 40, KAFKA_NOT_COORDINATOR);
    ask(fold);
    fold_shard_close(fold);
    must(memory.bytes == 0);
    free(fold);
    return 0;
}
