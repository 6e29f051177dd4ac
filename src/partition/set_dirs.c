/* What the log directories hold when they are opened, and that they are Jackdaw's from then on.
 *
 * A folder that belongs to no partition of the image is set aside as a stray, so that its name is
 * free for a new topic; what earlier deletions left is removed in the background. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"

#define METADATA_TOPIC "__cluster_metadata"

static int folder_order(const void *a, const void *b)
{
    const struct partition_folder *x = a;
    const struct partition_folder *y = b;
    int order = str_compare(x->topic, y->topic);
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

int set_entry_order(const void *a, const void *b)
{
    const struct checkpoint_entry *x = a;
    const struct checkpoint_entry *y = b;
    int order = str_compare(x->topic, y->topic);
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* What cannot be read is not there: everything is recovered, or dirty, then. */
static int32_t entries_read(struct partition_dir *dir, const char *name, struct arena *arena,
                            struct checkpoint_entry **ret_entries)
{
    int32_t count = 0;
    if (checkpoint_read(&dir->dir, name, arena, ret_entries, &count) < 0)
        return 0;
    if (count > 0)
        qsort(*ret_entries, (size_t)count, sizeof **ret_entries, set_entry_order);
    return count;
}

static int dir_content_read(struct partition_dir *dir, struct arena *arena,
                            struct dir_content *ret_content)
{
    struct dir_content content = {0};
    int err = log_dir_list(&dir->dir, arena, &content.folders, &content.folder_count);
    if (err < 0)
        return err;
    if (content.folder_count)
        qsort(content.folders, (size_t)content.folder_count, sizeof *content.folders, folder_order);
    content.recovery_count = entries_read(dir, CHECKPOINT_RECOVERY_POINT, arena, &content.recovery);
    content.start_count = entries_read(dir, CHECKPOINT_LOG_START, arena, &content.starts);
    content.cleaned_count = entries_read(dir, CHECKPOINT_CLEANER, arena, &content.cleaned);
    atomic_store(&dir->has_cleaned, content.cleaned_count > 0);
    *ret_content = content;
    return 0;
}

int64_t set_entry_offset(const struct checkpoint_entry *entries, int32_t count,
                         const struct partition_assignment *item, int64_t otherwise)
{
    struct checkpoint_entry key = {.topic = item->topic, .partition = item->index};
    const struct checkpoint_entry *at =
        count ? bsearch(&key, entries, (size_t)count, sizeof key, set_entry_order) : NULL;
    return at ? at->offset : otherwise;
}

bool dir_content_has(const struct dir_content *content, const struct partition_assignment *item)
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

int set_dirs_look(struct partition_set *set, struct arena *arena, struct dir_content *contents)
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

int set_dirs_clear(struct partition_set *set, struct arena *arena, struct dir_content *contents,
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

/* ---- the sign ---- */

/* Kafka's cleaner leaves gaps above the recovery point, ours does not. So a directory is signed as
 * ours only when the written recovery points have passed all gaps in it: a crash before that leaves
 * it Kafka's, and nothing is taken for a lost tail. */
void set_dirs_sign(struct partition_set *set, const struct dir_content *contents)
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

/* ---- entries of what is not there ---- */

static bool names_missing(const struct dir_content *content, const struct checkpoint_entry *entries,
                          int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const struct partition_assignment item = {.topic = entries[i].topic,
                                                  .index = entries[i].partition};
        if (entries[i].offset > 0 && !dir_content_has(content, &item))
            return true;
    }
    return false;
}

/* A deletion that a crash cut short, or one that this node did not see, leaves entries that a topic
 * of the same name would find at the start after this one. */
void set_dirs_forget(struct partition_set *set, const struct dir_content *contents)
{
    for (int32_t d = 0; d < set->dir_count; d++) {
        const struct dir_content *at = &contents[d];
        if (!atomic_load(&set->dirs[d].offline))
            set_checkpoint_anew(set, &set->dirs[d],
                                names_missing(at, at->recovery, at->recovery_count),
                                names_missing(at, at->starts, at->start_count),
                                names_missing(at, at->cleaned, at->cleaned_count));
    }
}
