/* Following the metadata image: partitions that come, change and go.
 *
 * Every change is a step in one queue, worked off one after the other on the pool, so that a topic
 * which is deleted while its logs are being made is deleted afterwards, and `applied` advances in
 * the order of the metadata log. A deletion waits for the append lock, marks the partition deleted
 * under it, and so no append can follow the rename. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"

struct follow_step {
    struct pool_job job;
    struct follow_step *next;
    struct partition_set *set;
    int64_t metadata_offset; /* -1: a deletion */
    struct uuid job_topic;   /* of a deletion */
    int32_t job_index;
    struct partition *victim;
    struct park_waiter park;
    struct loop_task locked;
    int32_t count;
    struct partition *partitions[]; /* half-made; NULL where opening failed */
};

static void step_start(struct partition_set *set);

static void step_end(struct follow_step *step)
{
    struct partition_set *set = step->set;
    set->steps = step->next;
    if (!set->steps)
        set->steps_last = NULL;
    free(step);
    step_start(set);
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
    step_start(set);
}

/* ---- new logs ---- */

static void create_run(struct pool_job *job)
{
    struct follow_step *step = container_of(job, struct follow_step, job);
    const struct found_log fresh = {.clean = true};
    for (int32_t i = 0; i < step->count; i++) {
        if (set_partition_open(step->partitions[i], &fresh) == 0)
            continue;
        partition_unref(step->partitions[i]);
        step->partitions[i] = NULL;
    }
}

static void create_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct follow_step *step = container_of(job, struct follow_step, job);
    for (int32_t i = 0; i < step->count; i++)
        if (step->partitions[i] && set_insert(step->set, step->partitions[i]) != 0)
            partition_unref(step->partitions[i]);
    watermark_advance(&step->set->applied, step->metadata_offset);
    step_end(step);
}

/* ---- deletion ---- */

static void delete_run(struct pool_job *job)
{
    struct follow_step *step = container_of(job, struct follow_step, job);
    struct partition *victim = step->victim;
    struct env *env = step->set->env;
    char from[4096], to[4096 + 64], id[16], hex[33];
    env_random(env, id, sizeof id);
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)id[i]);
    int n = snprintf(from, sizeof from, "%s/%s-%d", victim->dir->dir.path, victim->topic.data,
                     victim->index);
    must(n > 0 && (size_t)n < sizeof from);
    snprintf(to, sizeof to, "%s.%s-delete", from, hex);
    int err = env_rename(env, from, to);
    if (err == 0)
        err = env_remove_tree(env, to);
    if (err < 0 && err != -ENOENT)
        say_warn(step->set->say, "cannot remove a deleted log", kv_text("dir", to),
                 kv_text("error", result_text(err)));
}

static void victim_drop(void *thing)
{
    partition_unref(thing);
}

static void delete_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct follow_step *step = container_of(job, struct follow_step, job);
    parklock_release(&step->victim->append_lock);
    partition_set_retire(step->set, step->victim, victim_drop);
    step_end(step);
}

static void delete_locked(struct loop *loop, struct loop_task *task)
{
    struct follow_step *step = container_of(task, struct follow_step, locked);
    pool_submit(loop, &step->job);
}

static void delete_fire(struct park_waiter *park, struct wakes *wakes)
{
    struct follow_step *step = container_of(park, struct follow_step, park);
    loop_post_later(step->set->home, &step->locked, wakes);
}

/* Take the partition out of sight and wait for its writer. */
static void delete_start(struct follow_step *step)
{
    struct partition *victim = step->victim;
    atomic_store_explicit(&victim->deleted, true, memory_order_release);
    set_remove(step->set, victim);
    watermark_reset(&victim->end, watermark_get(&victim->end), -1);
    watermark_reset(&victim->high_watermark, watermark_get(&victim->high_watermark), -1);
    watermark_reset(&victim->last_stable, watermark_get(&victim->last_stable), -1);
    step->park.fire = delete_fire;
    step->locked.run = delete_locked;
    if (parklock_try(&victim->append_lock, &step->park))
        pool_submit(step->set->home, &step->job);
}

static void step_start(struct partition_set *set)
{
    for (struct follow_step *step; (step = set->steps);) {
        if (step->metadata_offset < 0) {
            step->victim = partition_find(set, step->job_topic, step->job_index);
            if (step->victim) {
                delete_start(step);
                return;
            }
        } else if (step->count > 0) {
            pool_submit(set->home, &step->job);
            return;
        } else {
            watermark_advance(&set->applied, step->metadata_offset);
        }
        set->steps = step->next;
        if (!set->steps)
            set->steps_last = NULL;
        free(step);
    }
}

static struct follow_step *step_create(struct partition_set *set, int32_t count)
{
    struct follow_step *step = calloc(1, sizeof *step + (size_t)count * sizeof step->partitions[0]);
    must(step);
    step->set = set;
    return step;
}

void partition_set_remove(struct partition_set *set, struct uuid topic_id, int32_t index)
{
    struct follow_step *step = step_create(set, 0);
    step->metadata_offset = -1;
    step->job_topic = topic_id;
    step->job_index = index;
    step->job.run = delete_run;
    step->job.done = delete_done;
    step_queue(step);
}

/* ---- changes ---- */

static void settings_replace(struct partition *partition, const struct topic_settings *settings)
{
    const struct topic_settings *old = partition_settings(partition);
    if (memcmp(old, settings, sizeof *old) == 0)
        return;
    struct topic_settings *copy = malloc(sizeof *copy);
    must(copy);
    *copy = *settings;
    atomic_store_explicit(&partition->settings, copy, memory_order_release);
    atomic_store_explicit(&partition->min_isr, copy->min_insync_replicas, memory_order_relaxed);
    atomic_store_explicit(&partition->settings_changed, true, memory_order_release);
    partition_set_retire(partition->set, (void *)(uintptr_t)old, free);
}

static void partition_change(struct partition *partition, const struct partition_assignment *item)
{
    settings_replace(partition, item->settings);
    atomic_store_explicit(&partition->isr_size, item->isr_size, memory_order_relaxed);
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

void partition_set_apply(struct partition_set *set, const struct partition_assignment *items,
                         int32_t count, int64_t metadata_offset)
{
    struct follow_step *step = step_create(set, count);
    int32_t *counts = calloc((size_t)set->dir_count, sizeof *counts);
    must(counts);
    partition_set_each(set, count_one, &(struct dir_counts){set, counts});
    for (int32_t i = 0; i < count; i++) {
        struct partition *known = partition_find(set, items[i].topic_id, items[i].index);
        if (known) {
            partition_change(known, &items[i]);
            continue;
        }
        struct partition_assignment item = items[i];
        if (item.dir < 0)
            item.dir = set_emptiest_dir(set, counts);
        if (item.dir < 0)
            continue; /* every directory is offline */
        counts[item.dir]++;
        struct partition *partition = set_partition_create(set, &item);
        must(partition);
        step->partitions[step->count++] = partition;
    }
    free(counts);
    step->metadata_offset = metadata_offset;
    step->job.run = create_run;
    step->job.done = create_done;
    step_queue(step);
}
