/* Opening logs: all of them at start, several at a time, and new ones later.
 *
 * What goes wrong with one directory takes that one offline, as in Kafka, and the others are
 * served. A partition of an offline directory is there without a log: who asks for it is told
 * KAFKA_STORAGE_ERROR. So is one that was found nowhere while a directory is offline, because that
 * may be where it is. Memory or descriptors running out is no directory's fault and ends the start.
 */
#include "partition/set_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"

void set_log_settings(const struct topic_settings *topic, int64_t producer_expiration_ms,
                      struct log_settings *ret_settings)
{
    *ret_settings = (struct log_settings){
        .segment_bytes = topic->segment_bytes,
        .segment_ms = topic->segment_ms,
        .segment_jitter_ms = topic->segment_jitter_ms,
        .segment_index_bytes = topic->segment_index_bytes,
        .index_interval_bytes = topic->index_interval_bytes,
        .retention_ms = topic->retention_ms,
        .retention_bytes = topic->retention_bytes,
        .cleanup_delete = topic->cleanup_delete,
        .cleanup_compact = topic->cleanup_compact,
        .flush_messages = topic->flush_messages,
        .flush_ms = topic->flush_ms,
        .file_delete_delay_ms = topic->file_delete_delay_ms,
        .producer_expiration_ms = producer_expiration_ms,
    };
    /* Only closed segments are cleaned, so a lag that must not be passed bounds their age. */
    if (topic->cleanup_compact && topic->max_compaction_lag_ms < topic->segment_ms)
        ret_settings->segment_ms = topic->max_compaction_lag_ms;
}

struct partition_settings *set_settings_create(const struct topic_settings *topic)
{
    struct partition_settings *settings = calloc(1, sizeof *settings);
    if (settings)
        settings->topic = *topic;
    return settings;
}

struct partition *set_partition_create(struct partition_set *set,
                                       const struct partition_assignment *item)
{
    struct partition *partition = calloc(1, sizeof *partition);
    char *topic = malloc((size_t)item->topic.size + 1);
    char *name = malloc((size_t)item->topic.size + 13);
    struct partition_settings *settings = set_settings_create(item->settings);
    if (!partition || !topic || !name || !settings) {
        free(partition);
        free(topic);
        free(name);
        free(settings);
        return NULL;
    }
    memcpy(topic, item->topic.data, (size_t)item->topic.size);
    topic[item->topic.size] = '\0';
    int size = sprintf(name, "%s-%d", topic, item->index);
    atomic_init(&partition->refs, 1);
    partition->set = set;
    partition->dir = &set->dirs[item->dir];
    partition->topic_id = item->topic_id;
    partition->topic = (struct str){topic, item->topic.size};
    partition->name = (struct str){name, size};
    partition->index = item->index;
    partition->unassigned =
        item->has_directory &&
        !uuid_equal(item->directory, set->dirs[item->dir].dir.meta.directory_id);
    list_init(&partition->placed);
    atomic_init(&partition->settings, settings);
    atomic_init(&partition->leader_id, item->leader_id);
    atomic_init(&partition->leader_epoch, item->leader_epoch);
    atomic_init(&partition->isr_size, item->isr_size);
    atomic_init(&partition->replica_count, item->replica_count);
    parklock_init(&partition->append_lock);
    parklock_init(&partition->clean_lock);
    pthread_mutex_init(&partition->replica_lock, NULL);
    watermark_init(&partition->end, 0, item->leader_epoch);
    watermark_init(&partition->high_watermark, 0, item->leader_epoch);
    watermark_init(&partition->last_stable, 0, item->leader_epoch);
    watermark_init(&partition->synced, 0, item->leader_epoch);
    return partition;
}

/* The first few for all to see; thousands of lines would hide what matters. */
static void say_recovered(struct partition *partition, const char *path,
                          const struct log_open_report *report)
{
    struct partition_set *set = partition->set;
    bool few = atomic_fetch_add(&set->recovered_count, 1) < LOAD_LINES_MAX;
    atomic_fetch_add(&set->recovered_bytes, report->recovered_bytes);
    atomic_fetch_add(&set->dropped_bytes, report->dropped_bytes);
    say_at(set->say, few ? SAY_INFO : SAY_DEBUG, "recovered log", kv_text("dir", path),
           kv_int("end", log_end_offset(partition->log)),
           kv_int("read_bytes", report->recovered_bytes),
           kv_int("dropped_bytes", report->dropped_bytes), kv_int("segments", report->segments),
           kv_int("indexes_rebuilt", report->indexes_rebuilt));
}

static void say_recovered_all(struct partition_set *set)
{
    if (atomic_load(&set->recovered_count) > LOAD_LINES_MAX)
        say_info(set->say, "recovered logs", kv_int("count", atomic_load(&set->recovered_count)),
                 kv_int("read_bytes", atomic_load(&set->recovered_bytes)),
                 kv_int("dropped_bytes", atomic_load(&set->dropped_bytes)));
}

/* It was Apache Kafka that had the directory last, whatever the sign says: Jackdaw crashed before
 * that. The sign goes before the log is touched, so that after another crash this is known still.
 */
static int dir_unsign(struct partition_dir *dir)
{
    pthread_mutex_lock(&dir->checkpoint_lock);
    int err = log_dir_unsign(&dir->dir);
    pthread_mutex_unlock(&dir->checkpoint_lock);
    return err;
}

int set_partition_open(struct partition *partition, const struct found_log *found)
{
    struct partition_set *set = partition->set;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s-%d", partition->dir->dir.path, partition->topic.data,
                     partition->index);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    struct log_open_params params = {
        .env = set->env,
        .say = set->say,
        .files = set->files,
        .dir = path,
        .topic = partition->topic,
        .partition = partition->index,
        .topic_id = partition->topic_id,
        .clean = found->clean,
        .recovery_point = found->recovery_point,
        .gaps_stand = found->gaps_stand,
        .log_start_offset = found->log_start_offset,
    };
    set_log_settings(partition_settings(partition), set->producer_expiration_ms, &params.settings);
    struct log_open_report report = {0};
    int err = log_open(&params, &partition->log, &report);
    if (err == -ESTALE) {
        err = dir_unsign(partition->dir);
        params.gaps_stand = true;
        if (err == 0)
            err = log_open(&params, &partition->log, &report);
    }
    if (err != 0) {
        say_error(set->say, "cannot open log", kv_text("dir", path),
                  kv_text("error", err == -EUCLEAN
                                       ? "records that were on disk are missing or damaged"
                                       : result_text(err)));
        return err;
    }
    if (report.recovered_bytes > 0 || report.dropped_bytes > 0 || report.indexes_rebuilt > 0)
        say_recovered(partition, path, &report);
    if (report.gaps) { /* see set_dirs_sign */
        err = log_flush(partition->log, NULL);
        if (err < 0)
            return err;
    }
    log_set_cleaned_to(partition->log, found->cleaned_to);
    partition_reset_marks(partition);
    return 0;
}

void set_placed(struct partition *partition)
{
    if (!partition->unassigned || partition->set->stopping ||
        uuid_is_zero(partition->dir->dir.meta.directory_id))
        return; /* the id of a directory that could not be opened is not known */
    partition->unassigned = false;
    partition_ref(partition);
    list_push_back(&partition->set->placed, &partition->placed);
}

static int32_t emptiest_dir(const struct partition_set *set, const int32_t *counts)
{
    int32_t best = -1;
    for (int32_t i = 0; i < set->dir_count; i++) {
        if (atomic_load_explicit(&set->dirs[i].offline, memory_order_relaxed))
            continue;
        if (best < 0 || counts[i] < counts[best])
            best = i;
    }
    return best;
}

/* -1: it is not there, or offline. */
static int32_t dir_with_id(const struct partition_set *set, struct uuid id)
{
    for (int32_t i = 0; i < set->dir_count; i++)
        if (!atomic_load_explicit(&set->dirs[i].offline, memory_order_relaxed) &&
            uuid_equal(set->dirs[i].dir.meta.directory_id, id))
            return i;
    return -1;
}

int32_t set_dir_for(const struct partition_set *set, const struct partition_assignment *item,
                    const int32_t *counts)
{
    int32_t dir = item->has_directory ? dir_with_id(set, item->directory) : -1;
    return dir >= 0 ? dir : emptiest_dir(set, counts);
}

struct load_item {
    struct partition *partition;
    struct found_log found;
    int err; /* that ends the start */
};

int set_dir_fault(struct partition_set *set, struct partition_dir *dir, int err)
{
    if (err > 0 || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
        return err;
    partition_dir_fail(set, dir, err, "start");
    return 0;
}

struct load_work {
    struct env *env;
    struct load_item *items;
    int32_t count;
    _Atomic int32_t next;
};

static bool load_turn(void *context)
{
    struct load_work *work = context;
    int32_t i = atomic_fetch_add(&work->next, 1);
    if (i >= work->count)
        return false;
    struct load_item *item = &work->items[i];
    struct partition_dir *dir = item->partition->dir;
    env_allow_blocking(work->env, true);
    if (atomic_load(&dir->offline))
        return true;
    int err = set_partition_open(item->partition, &item->found);
    item->err = err == 0 ? 0 : set_dir_fault(item->partition->set, dir, err);
    if (item->err < 0) /* the node cannot start: thousands of lines of the same are no help */
        atomic_store(&work->next, work->count);
    return true;
}

/* -1: none is. */
static int32_t offline_dir(const struct partition_set *set)
{
    for (int32_t d = 0; d < set->dir_count; d++)
        if (atomic_load(&set->dirs[d].offline))
            return d;
    return -1;
}

/* Find the directory of each partition, or choose one, and make its half. */
static int load_prepare(struct partition_set *set, const struct partition_assignment *items,
                        int32_t count, const struct dir_content *contents, int32_t *counts,
                        struct load_item *ret_items)
{
    for (int32_t i = 0; i < count; i++) {
        struct partition_assignment item = items[i];
        struct found_log found = {.clean = true, .cleaned_to = -1};
        item.dir = -1;
        for (int32_t d = 0; d < set->dir_count; d++) {
            if (!dir_content_has(&contents[d], &item))
                continue;
            if (item.dir >= 0) {
                say_error(set->say, "partition lies in two log directories",
                          kv_str("topic", item.topic), kv_int("partition", item.index),
                          kv_text("one", set->dirs[item.dir].dir.path),
                          kv_text("other", set->dirs[d].dir.path));
                return -EUCLEAN;
            }
            item.dir = d;
            found.clean = set->dirs[d].dir.was_clean;
            found.gaps_stand = !set->dirs[d].dir.is_signed || !contents[d].recovery;
            found.recovery_point =
                set_entry_offset(contents[d].recovery, contents[d].recovery_count, &item, 0);
            found.log_start_offset =
                set_entry_offset(contents[d].starts, contents[d].start_count, &item, 0);
            found.cleaned_to =
                set_entry_offset(contents[d].cleaned, contents[d].cleaned_count, &item, -1);
        }
        if (item.dir < 0 && item.has_directory)
            item.dir = dir_with_id(set, item.directory); /* nothing was written to it yet */
        if (item.dir < 0)
            item.dir = offline_dir(set);
        if (item.dir < 0)
            item.dir = set_dir_for(set, &item, counts);
        counts[item.dir]++;
        ret_items[i] =
            (struct load_item){.partition = set_partition_create(set, &item), .found = found};
        if (!ret_items[i].partition)
            return -ENOMEM;
    }
    return 0;
}

int partition_set_load(struct partition_set *set, const struct partition_assignment *items,
                       int32_t count, int32_t threads)
{
    struct arena arena;
    arena_init(&arena, 0);
    int err = 0;
    struct dir_content *contents = arena_array(&arena, (size_t)set->dir_count, sizeof *contents);
    int32_t *counts = arena_array(&arena, (size_t)set->dir_count, sizeof *counts);
    struct load_item *loads = arena_array(&arena, (size_t)count + 1, sizeof *loads);
    if (!contents || !counts || !loads)
        err = -ENOMEM;
    if (err == 0)
        err = set_dirs_look(set, &arena, contents);
    if (err == 0)
        err = set_dirs_clear(set, &arena, contents, items, count);
    if (err == 0)
        err = load_prepare(set, items, count, contents, counts, loads);
    if (err == 0) {
        struct load_work work = {.env = set->env, .items = loads, .count = count};
        set_take_turns(set, "recovery", threads, count, load_turn, &work);
        say_recovered_all(set);
    }
    for (int32_t i = 0; loads && i < count; i++) {
        struct partition *partition = loads[i].partition;
        if (!partition)
            continue;
        if (err == 0)
            err = loads[i].err;
        if (err == 0)
            err = set_insert(set, partition);
        if (err == 0)
            set_placed(partition);
        else
            partition_unref(partition);
    }
    if (err == 0) {
        set_dirs_sign(set, contents);
        set_dirs_forget(set, contents);
    }
    arena_close(&arena);
    return err;
}
