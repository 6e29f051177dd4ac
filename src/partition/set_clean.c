/* Which compacted log is cleaned when: the work of Kafka's LogCleanerManager.
 *
 * 1. Nothing wakes up while nothing is dirty. A look is asked for when a segment of a compacted log
 *    was closed, at the start, and when settings change; it comes log.cleaner.backoff.ms later.
 *    After a look the timer is armed again only if some log may become due by time alone: a lag has
 *    to pass, or a transaction to end.
 * 2. A look measures every compacted log in a pool job and begins with the dirtiest that is due, as
 *    long as fewer than log.cleaner.threads are being cleaned.
 * 3. All cleanings share one rate of bytes. Who is over it waits, on the loop.
 * 4. A log whose cleaning was given up is left alone for a while, so that others come to their
 * turn.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "partition/set_private.h"

/* Looks that nothing has asked for are no closer than this, whatever log.cleaner.backoff.ms says.
 */
#define LOOK_AGAIN_MIN_NS (1000 * NS_PER_MS)

/* A log that may be cleaned. */
struct clean_candidate {
    struct partition *partition; /* a reference */
    struct log_clean_rules rules;
    struct log_dirt dirt;
    int err; /* of measuring */
};

struct clean_look {
    struct pool_job job;
    struct partition_set *set;
    struct clean_candidate *items;
    int32_t count, capacity;
    int32_t best; /* -1: none is due */
    int32_t due_count;
    int64_t wait_ms; /* until another may be due */
};

static void look_start(struct partition_set *set);

static bool timer_armed(const struct loop_timer *timer)
{
    return timer->node.index != HEAP_NONE;
}

/* Look no later than that. */
static void look_within(struct partition_set *set, int64_t wait_ns)
{
    struct set_cleaner *cleaner = &set->cleaner;
    int64_t due_ns = set->home->now_ns + wait_ns;
    if (!cleaner->started || cleaner->stopping || !cleaner->enabled || cleaner->threads < 1)
        return;
    if (!timer_armed(&cleaner->timer) || cleaner->timer.due_ns > due_ns)
        loop_timer_set(set->home, &cleaner->timer, due_ns);
}

static int64_t again_ns(const struct set_cleaner *cleaner)
{
    return cleaner->backoff_ns > LOOK_AGAIN_MIN_NS ? cleaner->backoff_ns : LOOK_AGAIN_MIN_NS;
}

static void wake_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct partition_set *set = container_of(task, struct partition_set, cleaner.wake);
    atomic_store(&set->cleaner.woken, false);
    look_within(set, set->cleaner.backoff_ns);
}

void partition_set_clean_soon(struct partition_set *set)
{
    if (!atomic_exchange(&set->cleaner.woken, true))
        loop_post(set->home, &set->cleaner.wake);
}

static void timer_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    look_start(container_of(timer, struct partition_set, cleaner.timer));
}

/* ---- looking ---- */

static bool may_be_cleaned(const struct partition *partition)
{
    return partition_settings(partition)->cleanup_compact && partition->log &&
           !atomic_load(&partition->deleted) && !atomic_load(&partition->dir->offline) &&
           !atomic_load(&partition->cleaning) && !atomic_load(&partition->uncleanable);
}

static struct log_clean_rules rules_for(const struct partition *partition)
{
    const struct topic_settings *topic = partition_settings(partition);
    const struct set_cleaner *cleaner = &partition->set->cleaner;
    return (struct log_clean_rules){
        .min_dirty_ratio = topic->min_cleanable_dirty_ratio,
        .min_lag_ms = topic->min_compaction_lag_ms,
        .max_lag_ms = topic->max_compaction_lag_ms,
        .delete_retention_ms = topic->delete_retention_ms,
        .record_max_bytes = topic->max_decompressed_message_bytes,
        .map_bytes = cleaner->map_bytes / cleaner->threads,
        .map_load_factor = cleaner->load_factor,
    };
}

static bool collect_one(void *context, struct partition *partition)
{
    struct clean_look *look = context;
    if (!may_be_cleaned(partition))
        return true;
    int64_t left_alone_ns = partition->clean_after_ns - partition->set->home->now_ns;
    if (left_alone_ns > 0) {
        look_within(partition->set, left_alone_ns);
        return true;
    }
    if (look->count == look->capacity) {
        int32_t capacity = look->capacity ? look->capacity * 2 : 16;
        void *grown = realloc(look->items, (size_t)capacity * sizeof *look->items);
        if (!grown)
            return false;
        look->items = grown;
        look->capacity = capacity;
    }
    look->items[look->count++] = (struct clean_candidate){.partition = partition_ref(partition),
                                                          .rules = rules_for(partition)};
    return true;
}

static void look_free(struct clean_look *look)
{
    for (int32_t i = 0; i < look->count; i++)
        partition_unref(look->items[i].partition);
    free(look->items);
    free(look);
}

static void look_run(struct pool_job *job)
{
    struct clean_look *look = container_of(job, struct clean_look, job);
    int64_t now_ms = env_wall_ms(look->set->env);
    look->best = -1;
    look->wait_ms = INT64_MAX;
    for (int32_t i = 0; i < look->count; i++) {
        struct clean_candidate *item = &look->items[i];
        item->err = log_measure_dirt(item->partition->log, &item->rules, now_ms, &item->dirt);
        if (item->err < 0) {
            set_clean_fault(item->partition, item->err);
            look->wait_ms = 0;
            continue;
        }
        if (!item->dirt.due) {
            look->wait_ms = item->dirt.wait_ms < look->wait_ms ? item->dirt.wait_ms : look->wait_ms;
            continue;
        }
        look->due_count++;
        if (look->best < 0 || item->dirt.ratio > look->items[look->best].dirt.ratio)
            look->best = i;
    }
}

static void look_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct clean_look *look = container_of(job, struct clean_look, job);
    struct partition_set *set = look->set;
    struct set_cleaner *cleaner = &set->cleaner;
    cleaner->looking = false;
    bool more = look->due_count > 1;
    if (look->best >= 0 && !cleaner->stopping) {
        struct clean_candidate *best = &look->items[look->best];
        if (!set_clean_run(partition_ref(best->partition), &best->rules, &best->dirt)) {
            look_within(set, again_ns(cleaner));
            more = false;
        }
    }
    if (look->wait_ms < INT64_MAX / NS_PER_MS) {
        int64_t wait_ns = look->wait_ms * NS_PER_MS;
        look_within(set, wait_ns > again_ns(cleaner) ? wait_ns : again_ns(cleaner));
    }
    look_free(look);
    if (more || cleaner->look_again)
        look_start(set);
}

static void look_start(struct partition_set *set)
{
    struct set_cleaner *cleaner = &set->cleaner;
    if (cleaner->stopping || !cleaner->enabled || cleaner->running >= cleaner->threads)
        return; /* the end of a cleaning looks again */
    cleaner->look_again = cleaner->looking;
    if (cleaner->looking)
        return;
    struct clean_look *look = calloc(1, sizeof *look);
    if (look) {
        look->set = set;
        look->job.run = look_run;
        look->job.done = look_done;
        partition_set_each(set, collect_one, look);
    }
    if (!look || look->count == 0) {
        free(look);
        return;
    }
    cleaner->looking = true;
    pool_submit(set->home, &look->job);
}

/* ---- what others tell ---- */

void set_clean_ended(struct partition *partition, bool completed)
{
    struct partition_set *set = partition->set;
    set->cleaner.running--;
    if (set->cleaner.stopping)
        return;
    if (completed) {
        atomic_fetch_add(&set->cleaner.cleaned_count, 1);
    } else {
        partition->clean_after_ns = set->home->now_ns + again_ns(&set->cleaner);
        look_within(set, again_ns(&set->cleaner));
    }
    look_start(set);
}

void set_clean_fault(struct partition *partition, int err)
{
    struct partition_set *set = partition->set;
    if (err == -ECANCELED || err == -ENOENT || err == -EAGAIN) /* the log changed */
        return;
    if (log_error_passes(err)) {
        say_warn(set->say, "cannot clean a log now", kv_str("log", partition->name),
                 kv_text("error", result_text(err)));
        return;
    }
    if (err != -EBADMSG) {
        if (!atomic_load(&partition->deleted))
            partition_dir_fail(set, partition->dir, err, "cleaning");
        return;
    }
    if (atomic_exchange(&partition->uncleanable, true))
        return;
    atomic_fetch_add(&set->cleaner.uncleanable_count, 1);
    say_error(set->say, "a log cannot be cleaned: it is damaged", kv_str("log", partition->name),
              kv_text("dir", partition->dir->dir.path));
}

static void configure(struct set_cleaner *cleaner, const struct broker_settings *settings)
{
    cleaner->enabled = settings->log_cleaner_enable;
    cleaner->threads = settings->log_cleaner_threads;
    cleaner->map_bytes = settings->log_cleaner_dedupe_buffer_size;
    cleaner->load_factor = settings->log_cleaner_io_buffer_load_factor;
    if (cleaner->bytes_per_second != settings->log_cleaner_io_max_bytes_per_second)
        cleaner->throttled_until_ns = 0; /* the wait was for another rate */
    cleaner->bytes_per_second = settings->log_cleaner_io_max_bytes_per_second;
    cleaner->backoff_ns = settings->log_cleaner_backoff_ms < INT64_MAX / NS_PER_MS / 2
                              ? settings->log_cleaner_backoff_ms * NS_PER_MS
                              : INT64_MAX / 2;
}

void set_clean_configure(struct partition_set *set, const struct broker_settings *settings)
{
    configure(&set->cleaner, settings);
    partition_set_clean_soon(set);
}

void set_clean_init(struct partition_set *set, const struct broker_settings *settings)
{
    configure(&set->cleaner, settings);
    set->cleaner.wake.run = wake_run;
    loop_timer_init(&set->cleaner.timer, timer_fire);
}
