/* Opening logs: all of them at start, several at a time, and new ones later.
 *
 * What goes wrong with one directory takes that one offline, as in Kafka, and the others are
 * served. A partition of an offline directory is there without a log: who asks for it is told
 * KAFKA_STORAGE_ERROR. So is one that was found nowhere while a directory is offline, because that
 * may be where it is. Memory or descriptors running out is no directory's fault and ends the start.
 *
 * At start a folder that belongs to no partition of the image is set aside as a stray, so that its
 * name is free for a new topic; what earlier deletions left is removed in the background. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"

#define METADATA_TOPIC "__cluster_metadata"

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
 * that. The sign goes before the log is touched, so that after another crash this is known still. */
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
    if (report.gaps) { /* see sign_dirs */
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

static int folder_order(const void *a, const void *b)
{
    const struct partition_folder *x = a;
    const struct partition_folder *y = b;
    int order = str_compare(x->topic, y->topic);
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static int entry_order(const void *a, const void *b)
{
    const struct checkpoint_entry *x = a;
    const struct checkpoint_entry *y = b;
    int order = str_compare(x->topic, y->topic);
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* What one directory holds, sorted for look-ups. */
struct dir_content {
    struct partition_folder *folders; /* of logs, all of the image once strays are set aside */
    int32_t folder_count;
    struct checkpoint_entry *recovery, *starts, *cleaned;
    int32_t recovery_count, start_count, cleaned_count;
};

static int dir_content_read(struct partition_dir *dir, struct arena *arena,
                            struct dir_content *ret_content)
{
    struct dir_content content = {0};
    int err = log_dir_list(&dir->dir, arena, &content.folders, &content.folder_count);
    if (err < 0)
        return err;
    err = checkpoint_read(&dir->dir, CHECKPOINT_RECOVERY_POINT, arena, &content.recovery,
                          &content.recovery_count);
    if (err < 0) { /* it only saves work: recover everything */
        content.recovery_count = 0;
    }
    err = checkpoint_read(&dir->dir, CHECKPOINT_LOG_START, arena, &content.starts,
                          &content.start_count);
    if (err < 0)
        content.start_count = 0;
    err = checkpoint_read(&dir->dir, CHECKPOINT_CLEANER, arena, &content.cleaned,
                          &content.cleaned_count);
    if (err < 0) /* then all of it is dirty */
        content.cleaned_count = 0;
    atomic_store(&dir->has_cleaned, content.cleaned_count > 0);
    if (content.folder_count)
        qsort(content.folders, (size_t)content.folder_count, sizeof *content.folders, folder_order);
    if (content.recovery_count)
        qsort(content.recovery, (size_t)content.recovery_count, sizeof *content.recovery,
              entry_order);
    if (content.start_count)
        qsort(content.starts, (size_t)content.start_count, sizeof *content.starts, entry_order);
    if (content.cleaned_count)
        qsort(content.cleaned, (size_t)content.cleaned_count, sizeof *content.cleaned, entry_order);
    *ret_content = content;
    return 0;
}

static int64_t entry_offset(const struct checkpoint_entry *entries, int32_t count,
                            const struct partition_assignment *item, int64_t otherwise)
{
    struct checkpoint_entry key = {.topic = item->topic, .partition = item->index};
    const struct checkpoint_entry *at =
        count ? bsearch(&key, entries, (size_t)count, sizeof key, entry_order) : NULL;
    return at ? at->offset : otherwise;
}

static bool dir_content_has(const struct dir_content *content,
                            const struct partition_assignment *item)
{
    struct partition_folder key = {.topic = item->topic, .partition = item->index};
    return content->folder_count &&
           bsearch(&key, content->folders, (size_t)content->folder_count, sizeof key, folder_order);
}

/* ---- folders that are no partition's ---- */

/* Folders that deletions left behind; freed by its own job. */
struct leftovers {
    struct env_job job;
    struct env *env;
    const struct say *say;
    struct arena arena;
    struct str *paths;
    int32_t count, capacity;
};

static void leftovers_run(struct env_job *job)
{
    struct leftovers *leftovers = container_of(job, struct leftovers, job);
    for (int32_t i = 0; i < leftovers->count; i++) {
        int err = env_remove_tree(leftovers->env, leftovers->paths[i].data);
        if (err < 0)
            say_warn(leftovers->say, "cannot remove a deleted log",
                     kv_str("dir", leftovers->paths[i]), kv_text("error", result_text(err)));
    }
}

static void leftovers_finish(struct env_job *job)
{
    struct leftovers *leftovers = container_of(job, struct leftovers, job);
    arena_close(&leftovers->arena);
    free(leftovers);
}

/* Running out of memory here leaves a folder to the next start. */
static void leftovers_add(struct leftovers *leftovers, const char *dir, struct str name)
{
    if (leftovers->count == leftovers->capacity) {
        int32_t capacity = leftovers->capacity ? leftovers->capacity * 2 : 16;
        struct str *grown = arena_array(&leftovers->arena, (size_t)capacity, sizeof *grown);
        if (!grown)
            return;
        if (leftovers->count)
            memcpy(grown, leftovers->paths, (size_t)leftovers->count * sizeof *grown);
        leftovers->paths = grown;
        leftovers->capacity = capacity;
    }
    const char *path = arena_printf(&leftovers->arena, "%s/%.*s", dir, name.size, name.data);
    if (path)
        leftovers->paths[leftovers->count++] = str_of(path);
}

static int item_order(const void *a, const void *b)
{
    const struct partition_assignment *x = *(const struct partition_assignment *const *)a;
    const struct partition_assignment *y = *(const struct partition_assignment *const *)b;
    int order = str_compare(x->topic, y->topic);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* The partitions to load, sorted for look-ups. */
struct wanted {
    const struct partition_assignment **items;
    int32_t count;
};

static bool is_wanted(const struct wanted *wanted, const struct partition_folder *folder)
{
    const struct partition_assignment key = {.topic = folder->topic, .index = folder->partition};
    const struct partition_assignment *at = &key;
    const struct partition_assignment **found =
        wanted->count ? bsearch(&at, wanted->items, (size_t)wanted->count, sizeof at, item_order)
                      : NULL;
    return found &&
           (uuid_is_zero(folder->topic_id) || uuid_equal(folder->topic_id, (*found)->topic_id));
}

static int wanted_init(struct wanted *wanted, struct arena *arena,
                       const struct partition_assignment *items, int32_t count)
{
    wanted->items = arena_array(arena, (size_t)count + 1, sizeof *wanted->items);
    if (!wanted->items)
        return -ENOMEM;
    for (int32_t i = 0; i < count; i++)
        wanted->items[i] = &items[i];
    wanted->count = count;
    if (count)
        qsort(wanted->items, (size_t)count, sizeof wanted->items[0], item_order);
    return 0;
}

/* The topic was deleted, or made anew under its name, while this node was down. */
static int stray_set_aside(struct partition_set *set, struct log_dir *dir,
                           const struct partition_folder *folder)
{
    char path[LOG_PATH_MAX];
    int err = log_dir_stray_folder(dir, folder->topic, folder->partition, path);
    say_warn(set->say, "partition folder is of no known topic: set aside",
             kv_text("dir", dir->path), kv_str("folder", folder->name),
             kv_text("result", result_text(err)));
    return err;
}

/* Leave the folders of wanted partitions alone in the content. */
static int dir_content_clear(struct partition_set *set, struct log_dir *dir,
                             struct dir_content *content, const struct wanted *wanted,
                             struct leftovers *leftovers)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < content->folder_count; i++) {
        const struct partition_folder *folder = &content->folders[i];
        if (folder->kind == FOLDER_DELETED)
            leftovers_add(leftovers, dir->path, folder->name);
        if (folder->kind != FOLDER_LOG || str_equal(folder->topic, STR(METADATA_TOPIC)))
            continue;
        if (is_wanted(wanted, folder)) {
            content->folders[kept++] = *folder;
            continue;
        }
        int err = stray_set_aside(set, dir, folder);
        if (err < 0)
            return err;
    }
    content->folder_count = kept;
    return 0;
}

/* Everything about one directory; its fault takes it offline. */
static int load_look(struct partition_set *set, struct arena *arena, struct dir_content *contents)
{
    int err = 0;
    for (int32_t d = 0; err == 0 && d < set->dir_count; d++) {
        struct partition_dir *dir = &set->dirs[d];
        contents[d] = (struct dir_content){0};
        if (atomic_load(&dir->offline))
            continue;
        err = dir_content_read(dir, arena, &contents[d]);
        if (err < 0)
            err = set_dir_fault(set, dir, err);
    }
    return err;
}

static int load_clear(struct partition_set *set, struct arena *arena, struct dir_content *contents,
                      const struct partition_assignment *items, int32_t count)
{
    struct wanted wanted;
    int err = wanted_init(&wanted, arena, items, count);
    struct leftovers *leftovers = err == 0 ? calloc(1, sizeof *leftovers) : NULL;
    if (!leftovers)
        return -ENOMEM;
    leftovers->job = (struct env_job){.run = leftovers_run, .finish = leftovers_finish};
    leftovers->env = set->env;
    leftovers->say = set->say;
    arena_init(&leftovers->arena, 0);
    for (int32_t d = 0; err == 0 && d < set->dir_count; d++) {
        err = dir_content_clear(set, &set->dirs[d].dir, &contents[d], &wanted, leftovers);
        if (err < 0)
            err = set_dir_fault(set, &set->dirs[d], err);
    }
    if (leftovers->count > 0)
        env_job_submit(set->env, &leftovers->job);
    else
        leftovers_finish(&leftovers->job);
    return err;
}

/* ---- opening ---- */

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
                entry_offset(contents[d].recovery, contents[d].recovery_count, &item, 0);
            found.log_start_offset =
                entry_offset(contents[d].starts, contents[d].start_count, &item, 0);
            found.cleaned_to =
                entry_offset(contents[d].cleaned, contents[d].cleaned_count, &item, -1);
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

/* Open all logs with this many threads; a thread that cannot be started is done without. */
static void load_run(struct partition_set *set, struct load_work *work, int32_t threads)
{
    enum { THREADS_MAX = 64 };
    struct env_thread *started[THREADS_MAX];
    int32_t count = 0;
    if (threads > work->count)
        threads = work->count;
    for (; count < threads - 1 && count < THREADS_MAX; count++) {
        started[count] = set->env->ops->thread_start(set->env, "recovery", NULL, load_turn, work);
        if (!started[count])
            break;
    }
    while (load_turn(work))
        ;
    for (int32_t i = 0; i < count; i++)
        set->env->ops->thread_join(started[i]);
}

/* Kafka's cleaner leaves gaps above the recovery point, ours does not. So a directory is signed as
 * ours only when the written recovery points have passed all gaps in it: a crash before that leaves
 * it Kafka's, and nothing is taken for a lost tail. */
static void sign_dirs(struct partition_set *set, const struct dir_content *contents)
{
    for (int32_t d = 0; d < set->dir_count; d++) {
        struct partition_dir *dir = &set->dirs[d];
        if (atomic_load(&dir->offline) || (dir->dir.is_signed && contents[d].recovery) ||
            set_checkpoint(set, dir, CHECKPOINT_RECOVERY_POINT) < 0)
            continue;
        int err = log_dir_sign(&dir->dir);
        if (err < 0 && !log_error_passes(err))
            partition_dir_fail(set, dir, err, "start");
        else if (err < 0)
            say_warn(set->say, "cannot sign a log directory", kv_text("dir", dir->dir.path),
                     kv_text("error", result_text(err)));
    }
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
        err = load_look(set, &arena, contents);
    if (err == 0)
        err = load_clear(set, &arena, contents, items, count);
    if (err == 0)
        err = load_prepare(set, items, count, contents, counts, loads);
    if (err == 0) {
        struct load_work work = {.env = set->env, .items = loads, .count = count};
        load_run(set, &work, threads);
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
    if (err == 0)
        sign_dirs(set, contents);
    arena_close(&arena);
    return err;
}
