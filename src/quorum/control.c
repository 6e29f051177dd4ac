#include "quorum/control.h"

#include <errno.h>

#include "protocol/stored.h"

enum { CONTROL_MAX_BYTES = 1024 * 1024 }; /* of a compressed control batch; none is in practice */

void voter_set_init(struct voter_set *set)
{
    *set = (struct voter_set){.last_timestamp = -1};
    arena_init(&set->arena, 0);
}

void voter_set_close(struct voter_set *set)
{
    arena_close(&set->arena);
}

struct quorum_voters voter_set_view(const struct voter_set *set)
{
    return (struct quorum_voters){set->items, set->count, set->kraft_version};
}

static int copy_endpoints(struct arena *arena, struct quorum_voter *voter)
{
    struct quorum_endpoint *endpoints =
        arena_array(arena, (size_t)voter->endpoint_count, sizeof endpoints[0]);
    if (!endpoints)
        return -ENOMEM;
    for (int32_t i = 0; i < voter->endpoint_count; i++) {
        endpoints[i].listener = arena_str(arena, voter->endpoints[i].listener);
        endpoints[i].host = arena_str(arena, voter->endpoints[i].host);
        endpoints[i].port = voter->endpoints[i].port;
        if (!endpoints[i].listener.data || !endpoints[i].host.data)
            return -ENOMEM;
    }
    voter->endpoints = endpoints;
    return 0;
}

int voter_set_assign(struct voter_set *set, int16_t kraft_version,
                     const struct quorum_voter *voters, int32_t count)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct quorum_voter *items = arena_array(&arena, (size_t)count, sizeof items[0]);
    int err = items ? 0 : -ENOMEM;
    for (int32_t i = 0; !err && i < count; i++) {
        items[i] = voters[i];
        err = copy_endpoints(&arena, &items[i]);
    }
    if (err) {
        arena_close(&arena);
        return err;
    }
    /* The old voters may be what was copied from: they go last. */
    arena_close(&set->arena);
    set->arena = arena;
    set->items = items;
    set->count = count;
    set->kraft_version = kraft_version;
    return 0;
}

static int read_voters(struct voter_set *set, const struct voters_record *record,
                       struct arena *scratch)
{
    if (record->voters.count > QUORUM_VOTERS_MAX)
        return -EOVERFLOW;
    struct quorum_voter *voters =
        arena_array(scratch, (size_t)record->voters.count, sizeof voters[0]);
    if (!voters)
        return -ENOMEM;
    for (int32_t i = 0; i < record->voters.count; i++) {
        const struct voters_record_voter *from = &record->voters.items[i];
        if (from->endpoints.count > QUORUM_ENDPOINTS_MAX)
            return -EOVERFLOW;
        struct quorum_endpoint *endpoints =
            arena_array(scratch, (size_t)from->endpoints.count, sizeof endpoints[0]);
        if (!endpoints)
            return -ENOMEM;
        for (int32_t j = 0; j < from->endpoints.count; j++)
            endpoints[j] = (struct quorum_endpoint){from->endpoints.items[j].name,
                                                    from->endpoints.items[j].host,
                                                    from->endpoints.items[j].port};
        voters[i] = (struct quorum_voter){from->voter_id, from->voter_directory_id, endpoints,
                                          from->endpoints.count};
    }
    set->records_read++;
    return voter_set_assign(set, set->kraft_version, voters, record->voters.count);
}

static int read_record(struct voter_set *set, const struct record *record, struct arena *scratch)
{
    struct reader key = reader_of(record->key.data, (size_t)record->key.size);
    read_int16(&key); /* the key's version */
    int16_t type = read_int16(&key);
    if (key.failed)
        return -EBADMSG;
    void *message;
    int err;
    switch (type) {
    case CONTROL_KRAFT_VERSION:
        err = control_record_decode(&kraft_version_record_schema, record->value, scratch, &message);
        if (!err)
            set->kraft_version = ((const struct kraft_version_record *)message)->kraft_version;
        return err;
    case CONTROL_VOTERS:
        err = control_record_decode(&voters_record_schema, record->value, scratch, &message);
        return err ? err : read_voters(set, message, scratch);
    case CONTROL_SNAPSHOT_HEADER:
        err =
            control_record_decode(&snapshot_header_record_schema, record->value, scratch, &message);
        if (!err)
            set->last_timestamp =
                ((const struct snapshot_header_record *)message)->last_contained_log_timestamp;
        return err;
    default:
        return 0;
    }
}

int voter_set_read(struct voter_set *set, const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    struct arena scratch;
    int err = record_reader_init(&reader, batch, CONTROL_MAX_BYTES);
    if (err)
        return err;
    arena_init(&scratch, 0);
    while ((err = record_reader_next(&reader, NULL, &record)) == 0) {
        arena_reset(&scratch, 0);
        err = read_record(set, &record, &scratch);
        if (err)
            break;
    }
    arena_close(&scratch);
    record_reader_close(&reader);
    return err == -ENODATA ? 0 : err;
}

static void add_control(struct batch_builder *builder, int64_t timestamp, int16_t type,
                        const struct message_schema *schema, const void *message)
{
    uint8_t key[4];
    struct writer value = {0};
    store_be16(key, 0);
    store_be16(key + 2, (uint16_t)type);
    if (control_record_encode(schema, message, &value) != 0)
        builder->failed = true;
    else
        batch_builder_add(builder, timestamp, (struct bytes){key, sizeof key},
                          (struct bytes){value.data, (int32_t)value.size}, NULL, 0);
    writer_close(&value);
}

void control_add_leader_change(struct batch_builder *builder, int64_t timestamp, int32_t leader_id)
{
    struct leader_change_message_voter voter = {.voter_id = leader_id};
    struct leader_change_message message;
    leader_change_message_init(&message);
    message.leader_id = leader_id;
    message.voters.items = &voter;
    message.voters.count = 1;
    message.granting_voters.items = &voter;
    message.granting_voters.count = 1;
    add_control(builder, timestamp, CONTROL_LEADER_CHANGE, &leader_change_message_schema, &message);
}

static void add_voters(struct batch_builder *builder, int64_t timestamp, struct arena *arena,
                       struct quorum_voters voters)
{
    struct voters_record record;
    voters_record_init(&record);
    record.voters.count = voters.count;
    record.voters.items = voters_record_voter_array(arena, voters.count);
    for (int32_t i = 0; record.voters.items && i < voters.count; i++) {
        const struct quorum_voter *from = &voters.items[i];
        struct voters_record_voter *to = &record.voters.items[i];
        to->voter_id = from->id;
        to->voter_directory_id = from->directory_id;
        to->kraft_version_feature.min_supported_version = 0;
        to->kraft_version_feature.max_supported_version = 1;
        to->endpoints.count = from->endpoint_count;
        to->endpoints.items = voters_record_endpoint_array(arena, from->endpoint_count);
        for (int32_t j = 0; to->endpoints.items && j < from->endpoint_count; j++)
            to->endpoints.items[j] = (struct voters_record_endpoint){
                from->endpoints[j].listener, from->endpoints[j].host, from->endpoints[j].port};
        if (!to->endpoints.items)
            builder->failed = true;
    }
    if (!record.voters.items)
        builder->failed = true;
    if (!builder->failed)
        add_control(builder, timestamp, CONTROL_VOTERS, &voters_record_schema, &record);
}

void control_add_voters(struct batch_builder *builder, int64_t timestamp,
                        struct quorum_voters voters)
{
    struct kraft_version_record version;
    struct arena arena;
    kraft_version_record_init(&version);
    version.kraft_version = voters.kraft_version;
    add_control(builder, timestamp, CONTROL_KRAFT_VERSION, &kraft_version_record_schema, &version);
    arena_init(&arena, 0);
    add_voters(builder, timestamp, &arena, voters);
    arena_close(&arena);
}

void control_add_snapshot_header(struct batch_builder *builder, int64_t timestamp,
                                 int64_t last_timestamp)
{
    struct snapshot_header_record record;
    snapshot_header_record_init(&record);
    record.last_contained_log_timestamp = last_timestamp;
    add_control(builder, timestamp, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_schema,
                &record);
}

void control_add_snapshot_footer(struct batch_builder *builder, int64_t timestamp)
{
    struct snapshot_footer_record record;
    snapshot_footer_record_init(&record);
    add_control(builder, timestamp, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_schema,
                &record);
}
