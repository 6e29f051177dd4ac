/* Following the metadata image: partitions that come, change and go.
 *
 * Every call is a step in one queue, and a step begins when its elders have ended: what a step
 * finds in the table is what all earlier metadata left there. So a topic which is deleted or
 * reconfigured while its logs are being made is so afterwards, and `applied` advances in the order
 * of the metadata log. A step that only changes what is there ends at once.
 *
 * A deletion marks the partition, then waits for the append lock: no append follows the rename.
 * Deletions that wait for the same elder become one step: a topic of a thousand partitions is gone
 * after two jobs. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"

#define VICTIMS_MAX 1000 /* of one step */

struct victim {
    struct uuid topic_id;
    int32_t index;
    struct partition *partition; /* NULL: it is not there */
    bool undisturbed;            /* no cleaning is under way: clean_lock is ours */
    char *retired;               /* the folder's new path, to be removed; NULL: there is none */
};

struct follow_step {
    struct pool_job job;
    struct follow_step *next;
    struct partition_set *set;
    int64_t metadata_offset; /* -1: a deletion */

    /* Of a deletion. */
    struct victim *victims; /* in the arena */
    int32_t victim_count, victim_capacity;
    int32_t victim_at; /* the locks of those before are ours */
    struct park_waiter park;
    struct loop_task locked;

    /* Of changes. */
    struct arena arena; /* for what the step keeps while it waits */
    const struct partition_assignment *items;
    int32_t item_count;
    struct partition **partitions; /* half-made; NULL where opening failed */
    int32_t partition_count;
};

static void steps_run(struct partition_set *set);

static struct follow_step *step_create(struct partition_set *set)
{
    struct follow_step *step = calloc(1, sizeof *step);
    must(step);
    step->set = set;
    arena_init(&step->arena, 0);
    return step;
}

/* The first one is over. */
static void step_remove(struct follow_step *step)
{
    struct partition_set *set = step->set;
    must(set->steps == step);
    set->steps = step->next;
    if (!set->steps)
        set->steps_last = NULL;
    arena_close(&step->arena);
    free(step);
}

static void step_end(struct follow_step *step)
{
    struct partition_set *set = step->set;
    step_remove(step);
    steps_run(set);
}

static void step_queue(struct follow_step *step)
{
    struct partition_set *set = step->set;
    if (set->steps_last) {
        set->steps_last->next = step;
        set->steps_last = step;
        return;
    }
    set->steps = set->steps_last = step;
    steps_run(set);
}

/* ---- new logs ---- */

static void create_run(struct pool_job *job)
{
    struct follow_step *step = container_of(job, struct follow_step, job);
    const struct found_log fresh = {.clean = true, .cleaned_to = -1};
    for (int32_t i = 0; i < step->partition_count; i++) {
        struct partition *partition = step->partitions[i];
        int err = set_partition_open(partition, &fresh);
        if (err < 0 && set_dir_fault(step->set, partition->dir, err) == 0)
            err = 0; /* it is there without a log, as any of its directory is now */
        if (err == 0)
            continue;
        partition_unref(step->partitions[i]);
        step->partitions[i] = NULL;
    }
}

static void create_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct follow_step *step = container_of(job, struct follow_step, job);
    struct partition_set *set = step->set;
    for (int32_t i = 0; i < step->partition_count; i++) {
        if (!step->partitions[i])
            continue;
        if (set_insert(set, step->partitions[i]) == 0)
            set_placed(step->partitions[i]);
        else
            partition_unref(step->partitions[i]);
    }
    watermark_advance(&set->applied, step->metadata_offset);
    if (set->placed_some && !list_empty(&set->placed))
        set->placed_some(set->placed_context);
    step_end(step);
}

/* ---- deletion ---- */

/* Removing the files of a large topic takes long, so it is no part of the step: later metadata does
 * not wait for it. One folder at a time goes on the pool. A stop waits for that one and leaves the
 * others to the next start, which removes whatever is called -delete. */
struct set_removal {
    struct pool_job job;
    struct set_removal *next;
    struct partition_set *set;
    char *path;
};

static void removal_free(struct set_removal *removal)
{
    free(removal->path);
    free(removal);
}

static void removal_run(struct pool_job *job)
{
    struct set_removal *removal = container_of(job, struct set_removal, job);
    int err = env_remove_tree(removal->set->env, removal->path);
    if (err < 0)
        say_warn(removal->set->say, "cannot remove a deleted log", kv_text("dir", removal->path),
                 kv_text("error", result_text(err)));
}

static void removal_done(struct loop *loop, struct pool_job *job)
{
    struct set_removal *removal = container_of(job, struct set_removal, job);
    struct partition_set *set = removal->set;
    must(set->removals == removal);
    set->removals = removal->next;
    removal_free(removal);
    if (set->removals)
        pool_submit(loop, &set->removals->job);
    else
        set->removals_last = NULL;
}

/* Takes the path over. Without memory the folder is left to the next start. */
static void removal_queue(struct partition_set *set, char *path)
{
    struct set_removal *removal = set->stopping ? NULL : calloc(1, sizeof *removal);
    if (!removal) {
        free(path);
        return;
    }
    *removal = (struct set_removal){
        .job.run = removal_run, .job.done = removal_done, .set = set, .path = path};
    if (set->removals_last) {
        set->removals_last->next = removal;
        set->removals_last = removal;
        return;
    }
    set->removals = set->removals_last = removal;
    pool_submit(set->home, &removal->job);
}

void set_removals_stop(struct partition_set *set)
{
    set->stopping = true;
    if (!set->removals)
        return;
    while (set->removals->next) {
        struct set_removal *removal = set->removals->next;
        set->removals->next = removal->next;
        removal_free(removal);
    }
    set->removals_last = set->removals;
}

static void victim_retire(struct victim *victim, const struct say *say)
{
    struct partition *partition = victim->partition;
    char path[LOG_PATH_MAX];
    if (atomic_load(&partition->dir->offline)) /* a start that finds the folder sets it aside */
        return;
    int err = log_dir_retire_folder(&partition->dir->dir, partition->topic, partition->index, path);
    if (err == 0)
        victim->retired = strdup(path);
    else if (err != -ENOENT) /* that one was never written to */
        say_warn(say, "cannot remove a deleted log", kv_str("topic", partition->topic),
                 kv_int("partition", partition->index), kv_text("dir", partition->dir->dir.path),
                 kv_text("error", result_text(err)));
}

/* The checkpoints name partitions, not topics' ids: what they say of a deleted one must not be
 * found by a topic of the same name, which would be taken for one that has lost records. They are
 * written before that can make its folder. */
static void victims_forget(struct follow_step *step, struct partition_dir *dir)
{
    bool recovery = false, start = false, cleaned = false;
    if (atomic_load(&dir->offline))
        return;
    for (int32_t i = 0; i < step->victim_count; i++) {
        const struct partition *partition = step->victims[i].partition;
        if (!partition || partition->dir != dir || !partition->log)
            continue;
        recovery |= log_recovery_point(partition->log) > 0;
        start |= log_start_offset(partition->log) > 0;
        cleaned |= log_cleaned_to(partition->log) > 0;
    }
    set_checkpoint_anew(step->set, dir, recovery, start, cleaned);
}

static void delete_run(struct pool_job *job)
{
    struct follow_step *step = container_of(job, struct follow_step, job);
    for (int32_t i = 0; i < step->victim_count; i++)
        if (step->victims[i].partition)
            victim_retire(&step->victims[i], step->set->say);
    for (int32_t d = 0; d < step->set->dir_count; d++)
        victims_forget(step, &step->set->dirs[d]);
}

static void victim_drop(struct epoch_entry *entry)
{
    partition_unref(container_of(entry, struct partition, retired));
}

static void delete_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct follow_step *step = container_of(job, struct follow_step, job);
    for (int32_t i = 0; i < step->victim_count; i++) {
        struct victim *victim = &step->victims[i];
        if (!victim->partition)
            continue;
        parklock_release(&victim->partition->append_lock);
        parklock_release(&victim->partition->clean_lock);
        epoch_retire(step->set->epochs, &victim->partition->retired, victim_drop);
        if (victim->retired)
            removal_queue(step->set, victim->retired);
    }
    step_end(step);
}

/* A cleaning gives up because the partition is marked; it writes to no folder that a topic of the
 * same name may have made meanwhile. */
static bool victim_lock(struct victim *victim, struct park_waiter *park)
{
    if (!victim->undisturbed && !parklock_take(&victim->partition->clean_lock, park))
        return false;
    victim->undisturbed = true;
    return parklock_take(&victim->partition->append_lock, park);
}

/* Whoever holds one of the locks waits for no other partition's, so several can be held. */
static void delete_take(struct follow_step *step)
{
    for (; step->victim_at < step->victim_count; step->victim_at++) {
        struct victim *victim = &step->victims[step->victim_at];
        if (victim->partition && !victim_lock(victim, &step->park))
            return;
    }
    pool_submit(step->set->home, &step->job);
}

static void delete_locked(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    delete_take(container_of(task, struct follow_step, locked));
}

static void delete_fire(struct park_waiter *park, struct wakes *wakes)
{
    struct follow_step *step = container_of(park, struct follow_step, park);
    loop_post_later(step->set->home, &step->locked, wakes);
}

/* Take the partition out of sight; false when it is not there. */
static bool victim_hide(struct partition_set *set, struct victim *victim)
{
    struct partition *partition = partition_find(set, victim->topic_id, victim->index);
    victim->partition = partition;
    if (!partition)
        return false;
    atomic_store_explicit(&partition->deleted, true, memory_order_release);
    atomic_fetch_add(&set->deleted_count, 1);
    set_remove(set, partition);
    watermark_reset(&partition->end, watermark_get(&partition->end), -1);
    watermark_reset(&partition->high_watermark, watermark_get(&partition->high_watermark), -1);
    watermark_reset(&partition->last_stable, watermark_get(&partition->last_stable), -1);
    watermark_reset(&partition->synced, watermark_get(&partition->synced), -1);
    return true;
}

/* False when there is nothing to delete. */
static bool delete_start(struct follow_step *step)
{
    bool some = false;
    for (int32_t i = 0; i < step->victim_count; i++)
        some |= victim_hide(step->set, &step->victims[i]);
    if (!some)
        return false;
    step->park.fire = delete_fire;
    step->locked.run = delete_locked;
    delete_take(step);
    return true;
}

static void victim_add(struct follow_step *step, struct uuid topic_id, int32_t index)
{
    if (step->victim_count == step->victim_capacity) {
        int32_t capacity = step->victim_capacity ? step->victim_capacity * 2 : 4;
        struct victim *grown = arena_array(&step->arena, (size_t)capacity, sizeof *grown);
        must(grown);
        if (step->victim_count)
            memcpy(grown, step->victims, (size_t)step->victim_count * sizeof *grown);
        step->victims = grown;
        step->victim_capacity = capacity;
    }
    step->victims[step->victim_count++] = (struct victim){.topic_id = topic_id, .index = index};
}

void partition_set_remove(struct partition_set *set, struct uuid topic_id, int32_t index)
{
    struct follow_step *last = set->steps_last;
    bool joins =
        last && last != set->steps && last->metadata_offset < 0 && last->victim_count < VICTIMS_MAX;
    struct follow_step *step = joins ? last : step_create(set);
    victim_add(step, topic_id, index);
    if (joins)
        return;
    step->metadata_offset = -1;
    step->job.run = delete_run;
    step->job.done = delete_done;
    step_queue(step);
}

/* ---- changes ---- */

static void settings_free(struct epoch_entry *entry)
{
    free(container_of(entry, struct partition_settings, retired));
}

static void settings_replace(struct partition *partition, const struct topic_settings *settings)
{
    struct partition_settings *old = atomic_load(&partition->settings);
    if (memcmp(&old->topic, settings, sizeof *settings) == 0)
        return;
    struct partition_settings *replacement = set_settings_create(settings);
    must(replacement);
    atomic_store_explicit(&partition->settings, replacement, memory_order_release);
    atomic_store_explicit(&partition->settings_changed, true, memory_order_release);
    epoch_retire(partition->set->epochs, &old->retired, settings_free);
    if (settings->cleanup_compact)
        partition_set_clean_soon(partition->set);
}

static void partition_change(struct partition *partition, const struct partition_assignment *item)
{
    settings_replace(partition, item->settings);
    atomic_store_explicit(&partition->isr_size, item->isr_size, memory_order_relaxed);
    atomic_store_explicit(&partition->replica_count, item->replica_count, memory_order_relaxed);
    int32_t epoch = atomic_load_explicit(&partition->leader_epoch, memory_order_relaxed);
    if (epoch == item->leader_epoch)
        return;
    atomic_store_explicit(&partition->leader_id, item->leader_id, memory_order_relaxed);
    atomic_store_explicit(&partition->leader_epoch, item->leader_epoch, memory_order_release);
    partition_reset_marks(partition);
}

struct dir_counts {
    struct partition_set *set;
    int32_t *counts;
};

static bool count_one(void *context, struct partition *partition)
{
    struct dir_counts *counts = context;
    counts->counts[partition->dir - counts->set->dirs]++;
    return true;
}

/* A partition that is not there: its half, to be opened on the pool. */
static void change_create(struct follow_step *step, const struct partition_assignment *item,
                          int32_t *counts)
{
    struct partition_set *set = step->set;
    struct partition_assignment placed = *item;
    if (placed.dir < 0)
        placed.dir = set_dir_for(set, item, counts);
    if (placed.dir < 0)
        return; /* every directory is offline */
    counts[placed.dir]++;
    struct partition *partition = set_partition_create(set, &placed);
    must(partition);
    step->partitions[step->partition_count++] = partition;
}

/* Change what is there, and make the halves of what is not. */
static void changes_begin(struct follow_step *step)
{
    struct partition_set *set = step->set;
    int32_t *counts = NULL;
    for (int32_t i = 0; i < step->item_count; i++) {
        const struct partition_assignment *item = &step->items[i];
        struct partition *known = partition_find(set, item->topic_id, item->index);
        if (known) {
            partition_change(known, item);
            continue;
        }
        if (!counts) {
            counts = arena_array(&step->arena, (size_t)set->dir_count, sizeof *counts);
            step->partitions =
                arena_array(&step->arena, (size_t)step->item_count, sizeof *step->partitions);
            must(counts && step->partitions);
            partition_set_each(set, count_one, &(struct dir_counts){set, counts});
        }
        change_create(step, item, counts);
    }
}

/* Keep copies of the items until the step begins. */
static void changes_keep(struct follow_step *step)
{
    struct partition_assignment *kept =
        arena_array(&step->arena, (size_t)step->item_count + 1, sizeof *kept);
    must(kept);
    for (int32_t i = 0; i < step->item_count; i++) {
        const struct partition_assignment *item = &step->items[i];
        kept[i] = *item;
        kept[i].topic = arena_str(&step->arena, item->topic);
        must(kept[i].topic.data);
        if (i > 0 && item->settings == step->items[i - 1].settings) { /* of one topic */
            kept[i].settings = kept[i - 1].settings;
            continue;
        }
        struct topic_settings *settings = arena_alloc(&step->arena, sizeof *settings);
        must(settings);
        *settings = *item->settings;
        kept[i].settings = settings;
    }
    step->items = kept;
}

void partition_set_apply(struct partition_set *set, const struct partition_assignment *items,
                         int32_t count, int64_t metadata_offset)
{
    struct follow_step *step = step_create(set);
    step->metadata_offset = metadata_offset;
    step->job.run = create_run;
    step->job.done = create_done;
    step->items = items;
    step->item_count = count;
    if (set->steps)
        changes_keep(step);
    step_queue(step);
}

/* ---- one after the other ---- */

/* Begin the first step; false when it is already over. */
static bool step_begin(struct follow_step *step)
{
    struct partition_set *set = step->set;
    if (step->metadata_offset < 0) {
        return delete_start(step);
    }
    changes_begin(step);
    if (step->partition_count > 0) {
        pool_submit(set->home, &step->job);
        return true;
    }
    watermark_advance(&set->applied, step->metadata_offset);
    return false;
}

static void steps_run(struct partition_set *set)
{
    while (set->steps && !step_begin(set->steps))
        step_remove(set->steps);
}
