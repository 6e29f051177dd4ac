/* Batches and records of a .log or .checkpoint file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dump_log.h"
#include "log/scan.h"
#include "protocol/stored.h"
#include "record/control.h"

#define RECORD_MAX_BYTES (256 * 1024 * 1024)

struct record_dump {
    struct dump *dump;
    const char *path;
    struct arena arena;
    int64_t last_offset; /* of the record before; -1 before the first */
};

static const char *timestamp_type(const struct batch *batch)
{
    return batch->magic == 0                           ? "NoTimestampType"
           : batch->attributes & BATCH_LOG_APPEND_TIME ? "LogAppendTime"
                                                       : "CreateTime";
}

static const char *codec_name(const struct batch *batch)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    unsigned codec = batch_compression(batch);
    return codec < sizeof names / sizeof *names ? names[codec] : "unknown";
}

static const char *yes_no(bool value)
{
    return value ? "true" : "false";
}

static void print_batch(struct dump *dump, const struct batch *batch, int64_t position, bool valid)
{
    if (batch->magic < 2) {
        fprintf(dump->out, "offset: %lld", (long long)batch_last_offset(batch));
    } else {
        fprintf(dump->out,
                "baseOffset: %lld lastOffset: %lld count: %d baseSequence: %d lastSequence: %d "
                "producerId: %lld producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %s "
                "isControl: %s deleteHorizonMs: ",
                (long long)batch->base_offset, (long long)batch_last_offset(batch),
                batch->record_count, batch->base_sequence, batch_last_sequence(batch),
                (long long)batch->producer_id, batch->producer_epoch, batch->leader_epoch,
                yes_no(batch_is_transactional(batch)), yes_no(batch_is_control(batch)));
        if (batch->attributes & BATCH_DELETE_HORIZON)
            fprintf(dump->out, "OptionalLong[%lld]", (long long)batch->base_timestamp);
        else
            fputs("OptionalLong.empty", dump->out);
    }
    fprintf(dump->out,
            " position: %lld %s: %lld size: %d magic: %d compresscodec: %s crc: %u isvalid: %s\n",
            (long long)position, timestamp_type(batch), (long long)batch->max_timestamp,
            batch->size, batch->magic, codec_name(batch), batch->crc, yes_no(valid));
}

/* Bytes as text; what a terminal would obey is escaped. */
static void print_text(FILE *out, struct bytes bytes)
{
    for (int32_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];
        if (c < ' ' || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
}

static void print_json(struct record_dump *state, const struct message_schema *schema,
                       int16_t version, const void *message)
{
    struct writer out = {0};
    if (message_print(schema, version, message, &out) == 0)
        fwrite(out.data, 1, out.size, state->dump->out);
    else
        fputs("null", state->dump->out);
    writer_close(&out);
}

static const struct message_schema *control_schema(int16_t type, const char **ret_name)
{
    switch (type) {
    case CONTROL_LEADER_CHANGE:
        *ret_name = "LeaderChange: ";
        return &leader_change_message_schema;
    case CONTROL_SNAPSHOT_HEADER:
        *ret_name = "SnapshotHeader ";
        return &snapshot_header_record_schema;
    case CONTROL_SNAPSHOT_FOOTER:
        *ret_name = "SnapshotFooter ";
        return &snapshot_footer_record_schema;
    case CONTROL_KRAFT_VERSION:
        *ret_name = "KRaftVersion ";
        return &kraft_version_record_schema;
    case CONTROL_KRAFT_VOTERS:
        *ret_name = "KRaftVoters ";
        return &voters_record_schema;
    default:
        return NULL;
    }
}

static void print_control(struct record_dump *state, const struct record *record)
{
    FILE *out = state->dump->out;
    struct end_transaction end;
    const char *name;
    int16_t type;
    void *message;
    if (control_type_read(record->key, &type) < 0) {
        dump_problem(state->dump, "%s: the control record at offset %lld has no type", state->path,
                     (long long)record->offset);
        return;
    }
    if (end_transaction_read(record, &end) == 0) {
        fprintf(out, " endTxnMarker: %s coordinatorEpoch: %d", end.commit ? "COMMIT" : "ABORT",
                end.coordinator_epoch);
        return;
    }
    const struct message_schema *schema = control_schema(type, &name);
    if (!schema) {
        fprintf(out, " controlType: %d", type);
        return;
    }
    fprintf(out, " %s", name);
    if (control_record_decode(schema, record->value, &state->arena, &message) == 0)
        print_json(state, schema, 0, message);
    else
        dump_problem(state->dump, "%s: the control record at offset %lld is malformed", state->path,
                     (long long)record->offset);
}

static void print_metadata_type(FILE *out, const char *name)
{
    for (const char *c = name; *c; c++) {
        bool upper = *c >= 'A' && *c <= 'Z';
        if (upper && c != name)
            putc('_', out);
        putc(upper ? *c : *c - 'a' + 'A', out);
    }
}

static void print_metadata(struct record_dump *state, const struct record *record)
{
    const struct metadata_record_type *type;
    int16_t version;
    void *message;
    FILE *out = state->dump->out;
    int err = metadata_record_decode(record->value, &state->arena, &type, &version, &message);
    fputs(" payload: ", out);
    if (err < 0) {
        fprintf(out, "Error at %lld, skipping. %s", (long long)record->offset,
                err == -ENOTSUP ? "unknown type or version" : "malformed");
        dump_problem(state->dump, "%s: the record at offset %lld cannot be decoded", state->path,
                     (long long)record->offset);
        return;
    }
    fputs("{\"type\":\"", out);
    print_metadata_type(out, type->name);
    fprintf(out, "\",\"version\":%d,\"data\":", version);
    print_json(state, type->schema, version, message);
    putc('}', out);
}

static void print_coordinator(struct record_dump *state, const struct record *record,
                              enum coordinator_topic topic)
{
    const struct coordinator_record_type *type;
    FILE *out = state->dump->out;
    int16_t version;
    void *message;
    int err = record->key.data
                  ? coordinator_key_decode(topic, record->key, &state->arena, &type, &message)
                  : -EBADMSG;
    if (err == -ENOTSUP) {
        fprintf(out, " key: Unknown record type %d at offset %lld, skipping.",
                record->key.size >= 2 ? (int16_t)load_be16(record->key.data) : -1,
                (long long)record->offset);
        return;
    }
    if (err == 0) {
        fprintf(out, " key: {\"type\":\"%d\",\"data\":", type->type);
        print_json(state, type->key, 0, message);
        fputs("} payload: ", out);
        if (!record->value.data) {
            fputs("<DELETE>", out);
            return;
        }
        err = versioned_decode(type->value, record->value, &state->arena, &version, &message);
    }
    if (err < 0) {
        fprintf(out, " key: Error at offset %lld, skipping.", (long long)record->offset);
        dump_problem(state->dump, "%s: the record at offset %lld cannot be decoded", state->path,
                     (long long)record->offset);
        return;
    }
    fprintf(out, "{\"version\":\"%d\",\"data\":", version);
    print_json(state, type->value, version, message);
    putc('}', out);
}

static void print_contents(struct record_dump *state, const struct record *record)
{
    FILE *out = state->dump->out;
    switch (state->dump->decoder) {
    case DECODE_METADATA:
        print_metadata(state, record);
        break;
    case DECODE_GROUP:
        print_coordinator(state, record, COORDINATOR_GROUP);
        break;
    case DECODE_TRANSACTION:
        print_coordinator(state, record, COORDINATOR_TRANSACTION);
        break;
    case DECODE_SHARE:
        print_coordinator(state, record, COORDINATOR_SHARE);
        break;
    default:
        if (record->key.data) {
            fputs(" key: ", out);
            print_text(out, record->key);
        }
        if (record->value.data) {
            fputs(" payload: ", out);
            print_text(out, record->value);
        }
    }
}

static void print_record_metadata(struct record_dump *state, const struct batch *batch,
                                  const struct record *record)
{
    FILE *out = state->dump->out;
    fprintf(out, " offset: %lld %s: %lld keySize: %d valueSize: %d", (long long)record->offset,
            timestamp_type(batch), (long long)record->timestamp,
            record->key.data ? record->key.size : -1, record->value.data ? record->value.size : -1);
    if (batch->magic >= 2) {
        fprintf(out, " sequence: %d headerKeys: [", record->sequence);
        for (int32_t i = 0; i < record->header_count; i++) {
            struct str key = record->headers[i].key;
            if (i > 0)
                putc(',', out);
            print_text(out, (struct bytes){(const uint8_t *)key.data, key.size});
        }
        putc(']', out);
    }
    if (batch_is_control(batch))
        print_control(state, record);
}

static void print_record(struct record_dump *state, const struct batch *batch,
                         const struct record *record)
{
    if (state->last_offset >= 0 && record->offset != state->last_offset + 1 && batch->magic < 2)
        fprintf(state->dump->err, "Non-consecutive offsets in %s\n  %lld is followed by %lld\n",
                state->path, (long long)state->last_offset, (long long)record->offset);
    state->last_offset = record->offset;
    putc('|', state->dump->out);
    if (!state->dump->skip_metadata)
        print_record_metadata(state, batch, record);
    if (state->dump->print && !batch_is_control(batch))
        print_contents(state, record);
    putc('\n', state->dump->out);
}

static int dump_batch(struct record_dump *state, const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    int err = record_reader_init(&reader, batch, RECORD_MAX_BYTES);
    while (err == 0) {
        arena_reset(&state->arena, 0);
        err = record_reader_next(&reader, &state->arena, &record);
        if (err == 0)
            print_record(state, batch, &record);
    }
    record_reader_close(&reader);
    if (err == -EBADMSG || err == -EFBIG) {
        dump_problem(state->dump, "%s: the records of the batch at offset %lld are malformed",
                     state->path, (long long)batch->base_offset);
        return 0;
    }
    return err == -ENODATA ? 0 : err;
}

static int dump_file(struct record_dump *state, int file, int64_t size)
{
    struct scan scan;
    struct batch batch;
    int64_t end = size < state->dump->max_bytes ? size : state->dump->max_bytes;
    int err = scan_init_large(&scan, state->dump->env, file, 0, end);
    if (err < 0)
        return err;
    while ((err = scan_next(&scan, &batch)) == 0) {
        int check = scan_check(&scan, &batch);
        if (check < 0 && check != -EBADMSG) {
            err = check;
            break;
        }
        print_batch(state->dump, &batch, scan.position - batch.size, check == 0);
        if (check < 0)
            dump_problem(state->dump, "%s: the checksum of the batch at offset %lld is wrong",
                         state->path, (long long)batch.base_offset);
        if (state->dump->deep && check == 0)
            err = scan_body(&scan, &batch);
        if (state->dump->deep && check == 0 && err == 0)
            err = dump_batch(state, &batch);
        if (err < 0)
            break;
    }
    if ((err == -EBADMSG || err == -ENODATA) && scan.position < end && end == size) {
        const char *name = strrchr(state->path, '/');
        fprintf(state->dump->out, "Found %lld invalid bytes at the end of %s\n",
                (long long)(end - scan.position), name ? name + 1 : state->path);
        state->dump->problems++;
    }
    scan_close(&scan);
    return err == -EBADMSG || err == -ENODATA ? 0 : err;
}

int dump_records(struct dump *dump, const char *path)
{
    struct record_dump state = {.dump = dump, .path = path, .last_offset = -1};
    int64_t size;
    int file = env_open(dump->env, path, ENV_READ);
    if (file < 0)
        return file;
    arena_init(&state.arena, 0);
    int err = env_size(dump->env, file, &size);
    if (err == 0)
        err = dump_file(&state, file, size);
    arena_close(&state.arena);
    (void)env_close(dump->env, file);
    return err;
}
