/* 1. high watermark <= log end; last stable offset <= high watermark; each only rises in a term.
 * 2. Positions are published before the watermark of the same value advances, so that who is woken
 * by the mark finds the position.
 * 3. With one replica in sync the high watermark is the log end. */
#include "partition/partition.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "partition/set_private.h"

/* How long a directory counts as slow after a slow write. */
#define DIR_SLOW_NS INT64_C(1000000000)
#define SAY_AGAIN_NS INT64_C(60000000000)

static void position_publish(struct published_position *at, struct log_position value)
{
    uint32_t sequence = atomic_load_explicit(&at->sequence, memory_order_relaxed);
    atomic_store_explicit(&at->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&at->offset, value.offset, memory_order_relaxed);
    atomic_store_explicit(&at->segment_base, value.segment_base, memory_order_relaxed);
    atomic_store_explicit(&at->position, value.position, memory_order_relaxed);
    atomic_store_explicit(&at->sequence, sequence + 2, memory_order_release);
}

static struct log_position position_read(const struct published_position *at)
{
    for (;;) {
        uint32_t before = atomic_load_explicit(&at->sequence, memory_order_acquire);
        struct log_position value = {
            .offset = atomic_load_explicit(&at->offset, memory_order_relaxed),
            .segment_base = atomic_load_explicit(&at->segment_base, memory_order_relaxed),
            .position = atomic_load_explicit(&at->position, memory_order_relaxed),
        };
        atomic_thread_fence(memory_order_acquire);
        uint32_t after = atomic_load_explicit(&at->sequence, memory_order_relaxed);
        if (before == after && !(before & 1))
            return value;
    }
}

int partition_check_leader(const struct partition *partition, int32_t leader_epoch)
{
    if (atomic_load_explicit(&partition->deleted, memory_order_acquire))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (atomic_load_explicit(&partition->dir->offline, memory_order_relaxed))
        return KAFKA_KAFKA_STORAGE_ERROR;
    int32_t ours = atomic_load_explicit(&partition->leader_epoch, memory_order_acquire);
    if (leader_epoch >= 0 && leader_epoch < ours)
        return KAFKA_FENCED_LEADER_EPOCH;
    if (leader_epoch > ours)
        return KAFKA_UNKNOWN_LEADER_EPOCH;
    if (atomic_load_explicit(&partition->leader_id, memory_order_relaxed) !=
        partition->set->node_id)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    return 0;
}

static int compression_level(const struct topic_settings *settings)
{
    switch (settings->compression_type) {
    case COMPRESSION_SETTING_GZIP:
        return settings->compression_gzip_level;
    case COMPRESSION_SETTING_LZ4:
        return settings->compression_lz4_level;
    case COMPRESSION_SETTING_ZSTD:
        return settings->compression_zstd_level;
    default:
        return COMPRESSION_LEVEL_DEFAULT;
    }
}

void partition_validate_rules(const struct partition *partition, int64_t now_ms,
                              struct validate_rules *ret_rules)
{
    const struct topic_settings *settings = partition_settings(partition);
    bool recompress = settings->compression_type != COMPRESSION_SETTING_PRODUCER;
    *ret_rules = (struct validate_rules){
        .topic_partition = partition->name,
        .max_message_bytes = settings->max_message_bytes,
        .compacted = settings->cleanup_compact,
        .log_append_time = settings->log_append_time,
        .now_ms = now_ms,
        .before_max_ms = settings->message_timestamp_before_max_ms,
        .after_max_ms = settings->message_timestamp_after_max_ms,
        .recompress = recompress,
        .target = recompress ? (enum compression)settings->compression_type : COMPRESSION_NONE,
        .target_level = compression_level(settings),
        .decompress_max_bytes = (size_t)settings->max_decompressed_message_bytes,
    };
}

/* Compute and publish high watermark and last stable offset after the end moved. */
static void marks_advance(struct partition *partition, struct log_position end)
{
    struct log *log = partition->log;
    pthread_mutex_lock(&partition->replica_lock);
    struct log_position high = end;
    if (high.offset > watermark_get(&partition->high_watermark)) {
        position_publish(&partition->high_watermark_at, high);
        log_set_high_watermark(log, high.offset);
    }
    struct log_position stable = high;
    int64_t unstable = log_first_unstable(log);
    if (unstable < high.offset) {
        stable = (struct log_position){unstable, -1, 0};
        if (unstable !=
            atomic_load_explicit(&partition->last_stable_at.offset, memory_order_relaxed))
            log_locate_unstable(log, unstable, &stable);
    }
    if (stable.offset > watermark_get(&partition->last_stable))
        position_publish(&partition->last_stable_at, stable);
    watermark_advance(&partition->end, end.offset);
    watermark_advance(&partition->high_watermark, high.offset);
    watermark_advance(&partition->last_stable, stable.offset);
    pthread_mutex_unlock(&partition->replica_lock);
}

void partition_reset_marks(struct partition *partition)
{
    int32_t epoch = atomic_load_explicit(&partition->leader_epoch, memory_order_relaxed);
    if (!partition->log)
        return; /* in an offline directory: nobody gets as far as to wait */
    pthread_mutex_lock(&partition->replica_lock);
    /* Read under the lock: an append that is under way comes to marks_advance before or after. */
    struct log_position end = log_end(partition->log);
    log_set_high_watermark(partition->log, end.offset);
    struct log_position stable = end;
    int64_t unstable = log_first_unstable(partition->log);
    if (unstable < end.offset && log_locate_unstable(partition->log, unstable, &stable) != 0)
        stable = (struct log_position){unstable, -1, 0};
    position_publish(&partition->high_watermark_at, end);
    position_publish(&partition->last_stable_at, stable);
    watermark_reset(&partition->end, end.offset, epoch);
    watermark_reset(&partition->high_watermark, end.offset, epoch);
    watermark_reset(&partition->last_stable, stable.offset, epoch);
    watermark_reset(&partition->synced, log_recovery_point(partition->log), epoch);
    pthread_mutex_unlock(&partition->replica_lock);
}

void partition_start_raised(struct partition *partition)
{
    /* Where a transaction lay open the start is stable now: as far as readers may go at least. */
    marks_advance(partition, log_end(partition->log));
    partition_stir(partition);
}

void partition_stir(struct partition *partition)
{
    watermark_stir(&partition->end);
    watermark_stir(&partition->high_watermark);
    watermark_stir(&partition->last_stable);
}

void partition_epoch_end(const struct partition *partition, int32_t epoch, int32_t *ret_epoch,
                         int64_t *ret_end_offset)
{
    int32_t own = atomic_load_explicit(&partition->leader_epoch, memory_order_acquire);
    /* The end first: if an append comes between, its epoch is seen and the log is asked. */
    int64_t end = log_end_offset(partition->log);
    int32_t latest = log_latest_epoch(partition->log);
    if (latest >= own || epoch == -1 || epoch < latest || epoch > own) {
        log_epoch_end(partition->log, epoch, ret_epoch, ret_end_offset);
        return;
    }
    *ret_epoch = epoch == own || latest < 0 ? epoch : latest;
    *ret_end_offset = end;
}

int32_t partition_epoch_at(const struct partition *partition, int64_t offset)
{
    int32_t own = atomic_load_explicit(&partition->leader_epoch, memory_order_acquire);
    if (offset >= log_end_offset(partition->log))
        return own;
    return log_epoch_at(partition->log, offset);
}

/* min.insync.replicas, but never more than there are replicas. */
static bool enough_in_sync(const struct partition *partition)
{
    int32_t least = partition_settings(partition)->min_insync_replicas;
    int32_t replicas = atomic_load_explicit(&partition->replica_count, memory_order_relaxed);
    if (least > replicas)
        least = replicas;
    return atomic_load_explicit(&partition->isr_size, memory_order_relaxed) >= least;
}

void partition_sync_settings(struct partition *partition)
{
    if (!atomic_load_explicit(&partition->settings_changed, memory_order_relaxed) ||
        !atomic_exchange(&partition->settings_changed, false))
        return;
    struct log_settings settings;
    set_log_settings(partition_settings(partition), partition->set->producer_expiration_ms,
                     &settings);
    log_set_settings(partition->log, &settings);
}

/* Messages that the device may not have yet are as many as flush.messages allows, or more. */
static bool flush_due(const struct partition *partition)
{
    int64_t allowed = partition_settings(partition)->flush_messages;
    return log_end_offset(partition->log) - log_recovery_point(partition->log) >= allowed;
}

static void flush_run(struct env_job *job)
{
    struct partition *partition = container_of(job, struct partition, flush);
    if (atomic_load(&partition->deleted))
        return;
    int64_t end;
    int err = log_flush(partition->log, &end);
    if (err < 0 && atomic_load(&partition->deleted))
        return; /* its folder was renamed meanwhile; who waited for it knows */
    partition->flush_passed = err < 0 && log_error_passes(err);
    if (partition->flush_passed) {
        /* Nothing is lost, and nobody can be told that it is synced: who waits tries again. */
        say_warn(partition->set->say, "cannot sync a log now", kv_str("log", partition->name),
                 kv_text("error", result_text(err)));
        atomic_store(&partition->sync_asked_again, false);
        watermark_reset(&partition->synced, watermark_get(&partition->synced),
                        atomic_load(&partition->leader_epoch));
        return;
    }
    if (err < 0) {
        partition_dir_fail(partition->set, partition->dir, err, "flush");
        watermark_reset(&partition->synced, watermark_get(&partition->synced), -1);
        return;
    }
    watermark_advance(&partition->synced, end);
}

/* Somebody waits for more than is synced, and not for what was cut off since. */
static bool sync_missing(const struct partition *partition)
{
    int64_t asked = atomic_load(&partition->sync_asked), end = log_end_offset(partition->log);
    return (asked < end ? asked : end) > watermark_get(&partition->synced);
}

static void flush_finish(struct env_job *job)
{
    struct partition *partition = container_of(job, struct partition, flush);
    struct partition_set *set = partition->set;
    bool passed = partition->flush_passed;
    atomic_store(&partition->flushing, false);
    /* Who asked while the device was busy found `flushing` set and left it to this. If it came to
     * nothing those who waited were told so; who began to wait after that was not. */
    bool heard = passed && !atomic_exchange(&partition->sync_asked_again, false);
    if (!heard && !atomic_load(&partition->deleted) && !atomic_load(&partition->dir->offline) &&
        sync_missing(partition))
        partition_flush(partition);
    partition_unref(partition);
    atomic_fetch_sub(&set->flush_count, 1); /* last: now the set may close */
}

void partition_flush(struct partition *partition)
{
    struct env *env = partition->set->env;
    if (atomic_exchange(&partition->flushing, true))
        return; /* its end looks whether more is due */
    atomic_fetch_add(&partition->set->flush_count, 1);
    partition_ref(partition);
    atomic_store(&partition->flushed_ms, env_now_ns(env) / 1000000);
    partition->flush = (struct env_job){.run = flush_run, .finish = flush_finish};
    env_job_submit(env, &partition->flush);
}

bool partition_must_sync(struct partition *partition, int64_t end_offset)
{
    if (partition_settings(partition)->flush_messages == INT64_MAX ||
        watermark_get(&partition->synced) >= end_offset || !flush_due(partition))
        return false;
    int64_t asked = atomic_load(&partition->sync_asked);
    while (asked < end_offset &&
           !atomic_compare_exchange_weak(&partition->sync_asked, &asked, end_offset))
        ;
    atomic_store(&partition->sync_asked_again, true);
    partition_flush(partition);
    return true;
}

bool partition_is_slow(const struct partition *partition)
{
    int64_t until_ns = atomic_load_explicit(&partition->dir->slow_until_ns, memory_order_relaxed);
    return until_ns > 0 && env_now_ns(partition->set->env) < until_ns;
}

/* Clients try again at once: one line a minute says it all. */
static bool say_due(struct env *env, _Atomic int64_t *said_ns)
{
    int64_t now_ns = env_now_ns(env);
    int64_t before_ns = atomic_load(said_ns);
    return (before_ns == 0 || now_ns - before_ns >= SAY_AGAIN_NS) &&
           atomic_compare_exchange_strong(said_ns, &before_ns, now_ns);
}

/* log_append, on the clock. */
static int append_timed(struct partition *partition, struct validated *records,
                        const struct log_append_params *params,
                        struct log_append_result *ret_result)
{
    struct partition_set *set = partition->set;
    int64_t began_ns = env_now_ns(set->env);
    int err = log_append(partition->log, records, params, ret_result);
    int64_t now_ns = env_now_ns(set->env);
    if (now_ns - began_ns > atomic_load_explicit(&set->disk_slow_ns, memory_order_relaxed))
        atomic_store_explicit(&partition->dir->slow_until_ns, now_ns + DIR_SLOW_NS,
                              memory_order_relaxed);
    return err;
}

static int append_as(struct partition *partition, struct validated *records, int16_t acks,
                     struct log_append_params params, struct log_append_result *ret_result)
{
    if (acks == -1 && !enough_in_sync(partition))
        return KAFKA_NOT_ENOUGH_REPLICAS;
    partition_sync_settings(partition);
    params.leader_epoch = atomic_load_explicit(&partition->leader_epoch, memory_order_relaxed);
    struct log_append_result result;
    int err = append_timed(partition, records, &params, &result);
    if (err < 0) {
        /* Space, memory and descriptors may come back: nothing was written, the client tries again.
         */
        if (!log_error_passes(err))
            partition_dir_fail(partition->set, partition->dir, err, "append");
        else if (say_due(partition->set->env, &partition->dir->refused_said_ns))
            say_warn(partition->set->say, "cannot append: clients are told to try again",
                     kv_text("dir", partition->dir->dir.path), kv_str("log", partition->name),
                     kv_text("error", result_text(err)));
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    if (err != 0)
        return err;
    if (!result.duplicate) {
        if (!atomic_load_explicit(&partition->dir->dirty, memory_order_relaxed))
            atomic_store_explicit(&partition->dir->dirty, true, memory_order_relaxed);
        marks_advance(partition, log_end(partition->log));
        if (result.rolled) { /* recovery need not read a closed segment again */
            partition_flush(partition);
            if (partition_settings(partition)->cleanup_compact)
                partition_set_clean_soon(partition->set);
        }
    }
    *ret_result = result;
    return 0;
}

int partition_read_failed(struct partition *partition, int64_t offset, int err)
{
    struct partition_set *set = partition->set;
    bool gone = err == -ENODATA || err == -ENOENT, damaged = err == -EBADMSG;
    if (atomic_load(&partition->deleted))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (err >= 0 || log_error_passes(err))
        return err;
    if (gone || damaged) {
        if (say_due(set->env, &partition->damage_said_ns))
            say_error(set->say, "a log segment is damaged", kv_str("log", partition->name),
                      kv_text("dir", partition->dir->dir.path), kv_int("offset", offset),
                      kv_text("problem", gone ? "records are missing: the file was cut or removed"
                                              : "no record batch is where one was"));
        return KAFKA_CORRUPT_MESSAGE;
    }
    partition_dir_fail(set, partition->dir, err, "read");
    return KAFKA_KAFKA_STORAGE_ERROR;
}

int partition_append(struct partition *partition, struct validated *records, int16_t acks,
                     enum log_origin origin, struct log_append_result *ret_result)
{
    struct log_append_params params = {.origin = origin};
    return append_as(partition, records, acks, params, ret_result);
}

int partition_append_verified(struct partition *partition, struct validated *records, int16_t acks,
                              enum log_origin origin, int64_t verification,
                              struct log_append_result *ret_result)
{
    struct log_append_params params = {
        .origin = origin, .verify = true, .verification = verification};
    return append_as(partition, records, acks, params, ret_result);
}

int64_t partition_verification_begin(struct partition *partition, int64_t producer_id,
                                     int16_t producer_epoch, int32_t sequence, bool epochs_bump)
{
    return log_verification_begin(partition->log, producer_id, producer_epoch, sequence,
                                  epochs_bump);
}

int partition_append_marker(struct partition *partition, struct validated *records,
                            int16_t transaction_version, struct log_append_result *ret_result)
{
    struct log_append_params params = {.origin = LOG_ORIGIN_COORDINATOR,
                                       .transaction_version = transaction_version};
    return append_as(partition, records, -1, params, ret_result);
}

struct log_position partition_bound(const struct partition *partition, enum isolation isolation)
{
    switch (isolation) {
    case READ_UNCOMMITTED:
        return position_read(&partition->high_watermark_at);
    case READ_COMMITTED:
        return position_read(&partition->last_stable_at);
    default:
        return log_end(partition->log);
    }
}

struct watermark *partition_mark(struct partition *partition, enum isolation isolation)
{
    switch (isolation) {
    case READ_UNCOMMITTED:
        return &partition->high_watermark;
    case READ_COMMITTED:
        return &partition->last_stable;
    default:
        return &partition->end;
    }
}

void partition_dir_fail(struct partition_set *set, struct partition_dir *dir, int err,
                        const char *what)
{
    if (atomic_exchange(&dir->offline, true))
        return;
    say_error(set->say, "log directory offline", kv_text("dir", dir->dir.path),
              kv_text("during", what), kv_text("error", result_text(err)));
    if (set->dir_failed)
        set->dir_failed(set->dir_failed_context, dir);
}

void partition_destroy(struct partition *partition)
{
    log_destroy(partition->log);
    watermark_close(&partition->end);
    watermark_close(&partition->high_watermark);
    watermark_close(&partition->last_stable);
    watermark_close(&partition->synced);
    parklock_close(&partition->append_lock);
    parklock_close(&partition->clean_lock);
    pthread_mutex_destroy(&partition->replica_lock);
    free(atomic_load(&partition->settings));
    free((char *)(uintptr_t)partition->topic.data);
    free((char *)(uintptr_t)partition->name.data);
    free(partition);
}

static void burial_run(struct env_job *job)
{
    struct partition *partition = container_of(job, struct partition, burial);
    log_destroy(partition->log);
    partition->log = NULL;
}

static void burial_finish(struct env_job *job)
{
    struct partition *partition = container_of(job, struct partition, burial);
    struct partition_set *set = partition->set;
    partition_destroy(partition);
    atomic_fetch_sub(&set->deleted_count, 1);
}

void partition_unref(struct partition *partition)
{
    if (!partition || atomic_fetch_sub_explicit(&partition->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (!atomic_load(&partition->deleted)) {
        partition_destroy(partition);
        return;
    }
    partition->burial = (struct env_job){.run = burial_run, .finish = burial_finish};
    env_job_submit(partition->set->env, &partition->burial);
}
