#include "quorum/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "quorum/control.h"

enum { PATH_SIZE = 4096 };

#define NAME_FORMAT "%020" PRId64 "-%010" PRId32 ".checkpoint"

void snapshot_name(struct snapshot_id id, char name[SNAPSHOT_NAME_SIZE])
{
    must(id.end_offset >= 0 && id.epoch >= 0);
    snprintf(name, SNAPSHOT_NAME_SIZE, NAME_FORMAT, id.end_offset, id.epoch);
}

static bool parse_digits(const char *text, int count, int64_t max, int64_t *ret_number)
{
    int64_t number = 0;
    for (int i = 0; i < count; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9 || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

bool snapshot_parse_name(const char *name, struct snapshot_id *ret_id)
{
    int64_t offset;
    int64_t epoch;
    if (strlen(name) != SNAPSHOT_NAME_SIZE - 1 || name[20] != '-' ||
        strcmp(name + 31, ".checkpoint") != 0)
        return false;
    if (!parse_digits(name, 20, INT64_MAX, &offset) ||
        !parse_digits(name + 21, 10, INT32_MAX, &epoch))
        return false;
    *ret_id = (struct snapshot_id){offset, (int32_t)epoch};
    return true;
}

struct snapshot_writer {
    struct env *env;
    char *dir;
    char part[PATH_SIZE];
    char path[PATH_SIZE];
    int file; /* -1: not open */
    int64_t size_bytes;
    int64_t next_offset; /* within the snapshot */
    int32_t epoch;
    int64_t timestamp;
    struct batch_builder batch; /* data records not yet written */
    bool batch_open;
    int error;
};

static void begin_batch(struct snapshot_writer *writer, int16_t attributes)
{
    batch_builder_init(&writer->batch, writer->next_offset);
    writer->batch.leader_epoch = writer->epoch;
    writer->batch.attributes = attributes;
    writer->batch_open = true;
}

/* Write the batch under construction, if there is one. */
static int end_batch(struct snapshot_writer *writer)
{
    if (!writer->batch_open)
        return 0;
    writer->batch_open = false;
    int32_t count = writer->batch.count;
    int err = batch_builder_finish(&writer->batch);
    if (!err)
        err = env_write_all(writer->env, writer->file, writer->batch.out.data,
                            writer->batch.out.size, writer->size_bytes);
    if (!err) {
        writer->size_bytes += (int64_t)writer->batch.out.size;
        writer->next_offset += count;
    }
    batch_builder_close(&writer->batch);
    return err;
}

static int write_header(struct snapshot_writer *writer, int64_t last_timestamp,
                        struct quorum_voters voters)
{
    begin_batch(writer, BATCH_CONTROL);
    control_add_snapshot_header(&writer->batch, writer->timestamp, last_timestamp);
    if (voters.kraft_version > 0)
        control_add_voters(&writer->batch, writer->timestamp, voters);
    return end_batch(writer);
}

static int open_file(struct snapshot_writer *writer, struct snapshot_id id)
{
    char name[SNAPSHOT_NAME_SIZE];
    snapshot_name(id, name);
    int size = snprintf(writer->path, PATH_SIZE, "%s/%s", writer->dir, name);
    int part = snprintf(writer->part, PATH_SIZE, "%s/%s.part", writer->dir, name);
    if (size < 0 || size >= PATH_SIZE || part < 0 || part >= PATH_SIZE)
        return -ENAMETOOLONG;
    writer->file = env_open(writer->env, writer->part, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE);
    return writer->file < 0 ? writer->file : 0;
}

int snapshot_writer_create(struct env *env, const char *dir, struct snapshot_id id,
                           int64_t last_timestamp, struct quorum_voters voters,
                           struct snapshot_writer **ret_writer)
{
    struct snapshot_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return -ENOMEM;
    writer->env = env;
    writer->file = -1;
    writer->epoch = id.epoch;
    writer->timestamp = env_wall_ms(env);
    writer->dir = strdup(dir);
    int err = writer->dir ? open_file(writer, id) : -ENOMEM;
    if (!err)
        err = write_header(writer, last_timestamp, voters);
    if (err) {
        snapshot_writer_abort(writer);
        return err;
    }
    *ret_writer = writer;
    return 0;
}

int snapshot_write_record(struct snapshot_writer *writer, struct bytes value)
{
    if (writer->error)
        return writer->error;
    if (!writer->batch_open)
        begin_batch(writer, 0);
    batch_builder_add(&writer->batch, writer->timestamp, (struct bytes){0}, value, NULL, 0);
    if (writer->batch.failed)
        writer->error = -ENOMEM;
    else if (writer->batch.count >= SNAPSHOT_BATCH_RECORDS ||
             batch_builder_size(&writer->batch) >= SNAPSHOT_BATCH_BYTES)
        writer->error = end_batch(writer);
    return writer->error;
}

static int write_footer(struct snapshot_writer *writer)
{
    begin_batch(writer, BATCH_CONTROL);
    control_add_snapshot_footer(&writer->batch, writer->timestamp);
    return end_batch(writer);
}

int snapshot_writer_finish(struct snapshot_writer *writer, int64_t *ret_size_bytes)
{
    int err = writer->error;
    if (!err)
        err = end_batch(writer);
    if (!err)
        err = write_footer(writer);
    if (!err)
        err = env_sync(writer->env, writer->file);
    if (!err)
        err = env_rename(writer->env, writer->part, writer->path);
    if (!err)
        err = env_sync_dir(writer->env, writer->dir);
    if (!err) {
        *ret_size_bytes = writer->size_bytes;
        writer->part[0] = '\0';
    }
    snapshot_writer_abort(writer);
    return err;
}

void snapshot_writer_abort(struct snapshot_writer *writer)
{
    if (!writer)
        return;
    if (writer->batch_open)
        batch_builder_close(&writer->batch);
    if (writer->file >= 0) {
        env_close(writer->env, writer->file);
        if (writer->part[0])
            env_unlink(writer->env, writer->part);
    }
    free(writer->dir);
    free(writer);
}
