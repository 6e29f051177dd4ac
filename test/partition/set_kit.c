#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../log/follow.h"
#include "base/errors.h"
#include "log/log_dir.h"
#include "partition/set_private.h"
#include "record/batch.h"

#define NODE 1
#define DAY_NS (INT64_C(24) * 3600 * KIT_SECOND_NS)

static const char *const dir_names[KIT_DIRS_MAX] = {"/one", "/two"};

/* ---- an env of a RAM disk and a clock ---- */

static struct kit *the_kit;

static int64_t now_ns(struct env *env)
{
    (void)env;
    return the_kit->now_ns;
}

static int64_t wall_ms(struct env *env)
{
    (void)env;
    return KIT_WALL_MS + the_kit->now_ns / 1000000;
}

/* A sleep without an end, or beyond what the test waits for, is none: the test goes on. */
static int poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                       int64_t deadline_ns)
{
    (void)poller, (void)events, (void)max;
    struct kit *kit = the_kit;
    kit->slept = deadline_ns != 0;
    if (!kit->slept || !kit->may_sleep)
        return 0;
    bool beyond = deadline_ns < 0 || deadline_ns > kit->sleep_until_ns;
    int64_t until_ns = beyond ? kit->sleep_until_ns : deadline_ns;
    kit->slept = beyond;
    kit->sleeps += !beyond;
    if (until_ns > kit->now_ns)
        kit->now_ns = until_ns;
    ram_disk_set_time(kit->disk, wall_ms(kit->env));
    return 0;
}

/* None can be had: what would be theirs is done by who asked. */
static struct env_thread *thread_start(struct env *env, const char *name, struct env_poller *poller,
                                       bool (*turn)(void *context), void *context)
{
    (void)env, (void)name, (void)poller, (void)turn, (void)context;
    return NULL;
}

static int file_open(struct env *env, const char *path, unsigned flags)
{
    int file = the_kit->ram_ops->file_open(env, path, flags);
    if (file >= 0)
        the_kit->file_dirs[file] = strncmp(path, dir_names[1], strlen(dir_names[1])) == 0;
    return file;
}

static ssize_t file_write(struct env *env, int file, const struct iovec *parts, int count,
                          int64_t offset)
{
    if (the_kit->fail_error && the_kit->file_dirs[file] == the_kit->fail_dir)
        return the_kit->fail_error;
    return the_kit->ram_ops->file_write(env, file, parts, count, offset);
}

void kit_fail_dir(struct kit *kit, int dir, int error)
{
    kit->fail_dir = dir;
    kit->fail_error = error;
}

static void take_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)level;
    struct kit *kit = context;
    write_bytes(&kit->lines, line, size);
    write_int8(&kit->lines, '\n');
}

bool kit_said(const struct kit *kit, const char *text)
{
    return kit_said_times(kit, text) > 0;
}

int kit_said_times(const struct kit *kit, const char *text)
{
    int times = 0;
    const uint8_t *at = kit->lines.data, *end = at + kit->lines.size;
    while (at && (at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        times++;
        at++;
    }
    return times;
}

void kit_forget_lines(struct kit *kit)
{
    kit->lines.size = 0;
}

static void dirs_format(struct kit *kit)
{
    struct meta_properties meta = {.cluster_id = "cluster", .node_id = NODE};
    for (int i = 0; i < kit->dir_count; i++) {
        meta.directory_id = uuid_of(7, (uint64_t)i + 1);
        must(env_mkdir(kit->env, dir_names[i]) == 0);
        must(log_dir_format(kit->env, dir_names[i], &meta) == 0);
        must(env_sync_dir(kit->env, "") == 0);
    }
}

void kit_init(struct kit *kit, int dir_count)
{
    *kit = (struct kit){.now_ns = KIT_SECOND_NS, .dir_count = dir_count, .job_ns = 1000};
    the_kit = kit;
    kit->disk = ram_disk_create(7);
    kit->env = ram_disk_env(kit->disk);
    kit->ram_ops = kit->env->ops;
    kit->ops = *kit->env->ops;
    kit->ops.now_ns = now_ns;
    kit->ops.wall_ms = wall_ms;
    kit->ops.poller_wait = poller_wait;
    kit->ops.file_open = file_open;
    kit->ops.file_write = file_write;
    kit->ops.thread_start = thread_start;
    kit->env->ops = &kit->ops;
    ram_disk_set_time(kit->disk, wall_ms(kit->env));
    kit->say = (struct say){.level = SAY_DEBUG, .write = take_line, .context = kit};
    kit->broker = (struct broker_settings){
        .producer_id_expiration_ms = 86400000,
        .producer_id_expiration_check_interval_ms = INT32_MAX,
        .disk_slow_ms = 1000,
        .log_flush_offset_checkpoint_interval_ms = 60000,
        .log_retention_check_interval_ms = 300000,
        .log_initial_task_delay_ms = 30000,
        .log_flush_scheduler_interval_ms = INT64_MAX,
        .log_cleaner_enable = true,
        .log_cleaner_threads = 1,
        .log_cleaner_dedupe_buffer_size = 1 << 20,
        .log_cleaner_io_buffer_load_factor = 0.9,
        .log_cleaner_io_max_bytes_per_second = 1e300,
        .log_cleaner_backoff_ms = 15000,
    };
    dirs_format(kit);
    epoch_init(&kit->epochs);
    epoch_reader_add(&kit->epochs, &kit->reader);
    epoch_online(&kit->reader);
    must(loop_init(&kit->loop, kit->env, 0) == 0);
}

void kit_close(struct kit *kit)
{
    if (kit->up)
        kit_stop(kit, false);
    loop_close(&kit->loop);
    epoch_offline(&kit->reader);
    epoch_reader_remove(&kit->reader);
    epoch_close(&kit->epochs);
    writer_close(&kit->lines);
    kit->env->ops = kit->ram_ops;
    ram_disk_destroy(kit->disk);
}

/* ---- the set ---- */

static struct partition_assignment assignment(const struct kit *kit, int index)
{
    const struct kit_topic *topic = &kit->topics[index];
    return (struct partition_assignment){.topic_id = topic->id,
                                         .topic = str_of(topic->name),
                                         .leader_id = NODE,
                                         .isr_size = 1,
                                         .replica_count = 1,
                                         .dir = topic->dir,
                                         .settings = &topic->settings};
}

static int dirs_open(struct kit *kit, struct partition_dir *dirs)
{
    int err = 0;
    for (int i = 0; i < kit->dir_count && err == 0; i++) {
        err = log_dir_open(kit->env, dir_names[i], &dirs[i].dir);
        if (err == 0)
            err = log_dir_unmark_clean(&dirs[i].dir);
    }
    for (int i = 0; i < kit->dir_count && err < 0; i++)
        log_dir_close(&dirs[i].dir);
    return err;
}

int kit_try_start(struct kit *kit)
{
    struct partition_assignment items[KIT_TOPICS_MAX];
    int32_t count = 0;
    struct partition_dir *dirs = calloc((size_t)kit->dir_count, sizeof *dirs);
    must(dirs && !kit->up);
    int err = dirs_open(kit, dirs);
    if (err < 0) {
        free(dirs);
        return err;
    }
    kit->files = file_cache_create(kit->env, 64);
    must(partition_set_init(&kit->set, kit->env, &kit->loop, &kit->epochs, &kit->say, kit->files,
                            NODE, dirs, kit->dir_count, &kit->broker) == 0);
    for (int i = 0; i < KIT_TOPICS_MAX; i++)
        if (kit->topics[i].exists)
            items[count++] = assignment(kit, i);
    must(partition_set_load(&kit->set, items, count, 1) == 0);
    partition_set_start(&kit->set);
    kit->up = true;
    return 0;
}

void kit_start(struct kit *kit)
{
    must(kit_try_start(kit) == 0);
}

void kit_start_with(struct kit *kit, int topics)
{
    static const char *const names[KIT_TOPICS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (int i = 0; i < topics; i++) {
        struct kit_topic *topic = kit_topic(kit, i, names[i]);
        if (kit->dir_count > 1)
            topic->dir = i < kit->dir_count ? i : kit->dir_count - 1;
    }
    kit_start(kit);
    for (int i = 0; i < topics; i++)
        kit_make(kit, i);
}

static bool is_quiet(struct kit *kit)
{
    return partition_set_quiet(&kit->set);
}

void kit_stop(struct kit *kit, bool clean)
{
    partition_set_stop(&kit->set);
    kit_until(kit, is_quiet);
    while (ram_disk_has_jobs(kit->disk) ||
           atomic_load(&kit->loop.mailbox)) /* removed folders, wakes */
        kit_step(kit);
    int err = partition_set_close(&kit->set, clean, 1);
    if (clean)
        assert_int_equal(err, 0);
    file_cache_destroy(kit->files);
    kit->up = false;
}

void kit_crash(struct kit *kit, enum ram_crash how)
{
    if (kit->up)
        kit_stop(kit, false);
    ram_disk_crash(kit->disk, how);
}

struct kit_topic *kit_topic(struct kit *kit, int index, const char *name)
{
    struct kit_topic *topic = &kit->topics[index];
    *topic = (struct kit_topic){.id = uuid_of(9, ++kit->topics_made), .dir = -1};
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->settings = (struct topic_settings){
        .segment_bytes = 1000,
        .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 100,
        .retention_ms = -1,
        .retention_bytes = -1,
        .cleanup_compact = true,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .file_delete_delay_ms = 60000,
        .delete_retention_ms = 86400000,
        .max_compaction_lag_ms = INT64_MAX,
        .message_timestamp_before_max_ms = INT64_MAX,
        .message_timestamp_after_max_ms = INT64_MAX,
        .max_message_bytes = 10000,
        .max_decompressed_message_bytes = 1 << 20,
        .min_insync_replicas = 1,
        .compression_type = COMPRESSION_SETTING_PRODUCER,
    };
    return topic;
}

static bool is_applied(struct kit *kit)
{
    return watermark_get(&kit->set.applied) >= kit->metadata_offset;
}

void kit_change(struct kit *kit, int index)
{
    struct partition_assignment item = assignment(kit, index);
    partition_set_apply(&kit->set, &item, 1, ++kit->metadata_offset);
}

void kit_make(struct kit *kit, int index)
{
    kit_change(kit, index);
    kit->topics[index].exists = true;
    kit_until(kit, is_applied);
}

void kit_delete(struct kit *kit, int index)
{
    kit->topics[index].exists = false;
    partition_set_remove(&kit->set, kit->topics[index].id, 0);
}

void kit_configure(struct kit *kit)
{
    partition_set_configure(&kit->set, &kit->broker);
}

struct partition *kit_partition(struct kit *kit, int index)
{
    return partition_find(&kit->set, kit->topics[index].id, 0);
}

/* ---- records ---- */

static int append_batch(struct kit *kit, int index, const struct batch_builder *builder)
{
    struct partition *partition = kit_partition(kit, index);
    struct validated records;
    struct log_append_result result;
    struct arena arena;
    arena_init(&arena, 0);
    must(log_records_from(builder->out.data, builder->out.size, &arena, &records) == 0);
    while (!parklock_try(&partition->append_lock)) /* a cleaning has it for its next job */
        must(kit_step(kit));
    int err = partition_append(partition, &records, -1, LOG_ORIGIN_CLIENT, &result);
    parklock_release(&partition->append_lock);
    arena_close(&arena);
    return err;
}

int kit_append(struct kit *kit, int index, int key, const char *value, int64_t timestamp_ms)
{
    char name[16];
    struct batch_builder builder;
    must(key < KIT_KEYS_MAX);
    int size = snprintf(name, sizeof name, "k%d", key);
    batch_builder_init(&builder, 0);
    batch_builder_add_at(&builder, 0, timestamp_ms, (struct bytes){(const uint8_t *)name, size},
                         (struct bytes){(const uint8_t *)value, value ? (int32_t)strlen(value) : 0},
                         NULL, 0);
    must(batch_builder_finish(&builder) == 0);
    int err = append_batch(kit, index, &builder);
    batch_builder_close(&builder);
    if (err == 0)
        kit->topics[index].values[key] = value ? strtoll(value, NULL, 10) : 0;
    return err;
}

void kit_append_of(struct kit *kit, int index, int64_t producer_id)
{
    static const uint8_t text[] = "idempotent";
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.producer_id = producer_id;
    builder.producer_epoch = 0;
    builder.base_sequence = 0;
    batch_builder_add(&builder, wall_ms(kit->env), (struct bytes){text, sizeof text},
                      (struct bytes){text, sizeof text}, NULL, 0);
    must(batch_builder_finish(&builder) == 0);
    assert_int_equal(append_batch(kit, index, &builder), 0);
    batch_builder_close(&builder);
}

void kit_put(struct kit *kit, int index, int keys, int count)
{
    char value[32];
    for (int i = 0; i < count; i++) {
        snprintf(value, sizeof value, "%lld", (long long)++kit->next_value);
        assert_int_equal(kit_append(kit, index, i % keys, value, wall_ms(kit->env)), 0);
    }
}

void kit_sync(struct kit *kit, int index)
{
    int64_t synced;
    assert_int_equal(log_flush(kit_partition(kit, index)->log, &synced), 0);
}

struct visit {
    int64_t from;
    void (*each)(void *context, const struct record *record);
    void *context;
};

static void visit_batch(void *context, const struct batch *batch)
{
    const struct visit *visit = context;
    struct record_reader reader;
    struct record record;
    assert_int_equal(record_reader_init(&reader, batch, 1 << 20), 0);
    while (record_reader_next(&reader, NULL, &record) == 0)
        if (record.offset >= visit->from)
            visit->each(visit->context, &record);
    record_reader_close(&reader);
}

/* Calls `each` for every record of the log below its end. */
static void each_record(struct kit *kit, int index,
                        void (*each)(void *context, const struct record *record), void *context)
{
    struct log *log = kit_partition(kit, index)->log;
    struct visit visit = {log_start_offset(log), each, context};
    follow_log(kit->env, log, visit.from, log_end(log), 4000, visit_batch, &visit);
}

struct text {
    struct writer out;
    int64_t end;
};

static void add_text(void *context, const struct record *record)
{
    struct text *text = context;
    struct writer *out = &text->out;
    if (record->offset >= text->end)
        return;
    if (out->size > 0)
        write_int8(out, ' ');
    write_bytes(out, record->key.data, (size_t)record->key.size);
    write_int8(out, '=');
    if (record->value.data)
        write_bytes(out, record->value.data, (size_t)record->value.size);
    else
        write_int8(out, '~');
}

char *kit_text_below(struct kit *kit, int index, int64_t offset)
{
    struct text text = {.end = offset};
    each_record(kit, index, add_text, &text);
    write_int8(&text.out, 0);
    return (char *)text.out.data;
}

char *kit_text(struct kit *kit, int index)
{
    return kit_text_below(kit, index, INT64_MAX);
}

static void count_one(void *context, const struct record *record)
{
    (void)record;
    ++*(int *)context;
}

int kit_count(struct kit *kit, int index)
{
    int count = 0;
    each_record(kit, index, count_one, &count);
    return count;
}

static void take_value(void *context, const struct record *record)
{
    int64_t *values = context;
    char text[32] = "";
    memcpy(text, record->key.data, (size_t)record->key.size);
    int key = atoi(text + 1);
    memset(text, 0, sizeof text);
    if (record->value.data)
        memcpy(text, record->value.data, (size_t)record->value.size);
    values[key] = strtoll(text, NULL, 10);
}

void kit_check(struct kit *kit, int index)
{
    int64_t values[KIT_KEYS_MAX] = {0};
    each_record(kit, index, take_value, values);
    for (int i = 0; i < KIT_KEYS_MAX; i++)
        if (values[i] != kit->topics[index].values[i])
            fail_msg("key k%d of %s: %lld, not %lld", i, kit->topics[index].name,
                     (long long)values[i], (long long)kit->topics[index].values[i]);
}

int64_t kit_checkpoint(struct kit *kit, int dir, int index)
{
    struct arena arena;
    struct checkpoint_entry *entries;
    int32_t count;
    int64_t offset = -1;
    struct log_dir look = {.env = kit->env, .path = (char *)(uintptr_t)dir_names[dir]};
    arena_init(&arena, 0);
    must(checkpoint_read(&look, CHECKPOINT_CLEANER, &arena, &entries, &count) == 0);
    for (int32_t i = 0; i < count; i++)
        if (str_equal(entries[i].topic, str_of(kit->topics[index].name)))
            offset = entries[i].offset;
    arena_close(&arena);
    return offset;
}

/* ---- the cleaner ---- */

int64_t kit_cleanings(const struct kit *kit)
{
    return atomic_load(&kit->set.cleaner.cleaned_count);
}

bool kit_is_cleaning(struct kit *kit)
{
    return kit->set.cleaner.running > 0;
}

bool kit_one_is_cleaned(struct kit *kit)
{
    return kit_cleanings(kit) >= 1;
}

/* ---- running ---- */

static void run_job(struct kit *kit)
{
    kit->jobs_run++;
    kit->now_ns += kit->job_ns;
    ram_disk_set_time(kit->disk, wall_ms(kit->env));
    ram_disk_run_job(kit->disk);
}

bool kit_step(struct kit *kit)
{
    kit->may_sleep = !ram_disk_has_jobs(kit->disk);
    if (!kit->may_sleep)
        run_job(kit);
    kit->turns++;
    must(loop_turn(&kit->loop));
    epoch_offline(&kit->reader);
    epoch_online(&kit->reader);
    return ram_disk_has_jobs(kit->disk) || !kit->may_sleep || !kit->slept;
}

void kit_until(struct kit *kit, bool (*done)(struct kit *kit))
{
    kit->sleep_until_ns = kit->now_ns + DAY_NS;
    while (!done(kit))
        if (!kit_step(kit) && !done(kit))
            fail_msg("nothing is left that could happen");
}

void kit_run_for(struct kit *kit, int64_t for_ns)
{
    kit->sleep_until_ns = kit->now_ns + for_ns;
    while (kit_step(kit))
        ;
}
