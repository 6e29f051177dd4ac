/* Drives a log by commands from standard input, one a line, for test/log/differential. Each is
 * answered by lines and then one with a single dot.
 *
 *   open DIR CLEAN RECOVERY START SEGMENT_BYTES SEGMENT_MS INTERVAL INDEX_BYTES RETENTION_BYTES
 *   append ORIGIN EPOCH VERSION HEX        ORIGIN: client, coordinator, replication
 *   epoch N                                a new leader epoch starts at the end
 *   roll                                   close the active segment now
 *   hw N | truncate N | raise N LIMIT | retention LIMIT | flush | remove
 *   summary TIME…
 *   close | drop */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "log/log.h"
#include "log/log_internal.h"
#include "os/linux_env.h"

struct peer {
    struct env *env;
    struct say say;
    struct file_cache *files;
    struct log *log;
    struct arena arena;
};

static int64_t next_number(void)
{
    const char *word = strtok(NULL, " \n");
    must(word);
    return strtoll(word, NULL, 10);
}

static void answer(int result)
{
    printf("result %d\n", result);
}

static void do_open(struct peer *peer)
{
    struct log_open_params params = {
        .env = peer->env, .say = &peer->say, .files = peer->files, .topic_id = uuid_of(77, 1234)};
    struct log_open_report report;
    must(!peer->log);
    params.dir = strtok(NULL, " \n");
    params.clean = next_number();
    params.recovery_point = next_number();
    params.log_start_offset = next_number();
    params.settings.segment_bytes = (int32_t)next_number();
    params.settings.segment_ms = next_number();
    params.settings.index_interval_bytes = (int32_t)next_number();
    params.settings.segment_index_bytes = (int32_t)next_number();
    params.settings.retention_bytes = next_number();
    params.settings.retention_ms = -1;
    params.settings.cleanup_delete = true;
    params.settings.file_delete_delay_ms = 0;
    params.settings.producer_expiration_ms = 86400000;
    int err = log_open(&params, &peer->log, &report);
    if (err == 0)
        printf("report recovered=%" PRId64 " dropped=%" PRId64 " rebuilt=%d\n",
               report.recovered_bytes, report.dropped_bytes, report.indexes_rebuilt);
    answer(err);
}

static size_t unhex(const char *text, uint8_t *data)
{
    size_t size = strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        must(sscanf(text + i * 2, "%2x", &byte) == 1);
        data[i] = (uint8_t)byte;
    }
    return size;
}

static void do_append(struct peer *peer)
{
    struct log_append_params params = {0};
    struct log_append_result result;
    struct validated records;
    const char *origin = strtok(NULL, " \n");
    params.origin = origin[0] == 'r'   ? LOG_ORIGIN_REPLICATION
                    : origin[1] == 'l' ? LOG_ORIGIN_CLIENT
                                       : LOG_ORIGIN_COORDINATOR;
    params.leader_epoch = (int32_t)next_number();
    params.transaction_version = (int16_t)next_number();
    const char *hex = strtok(NULL, " \n");
    uint8_t *data = malloc(strlen(hex) / 2 + 1);
    size_t size = unhex(hex, data);
    int err = log_records_from(data, size, &peer->arena, &records);
    if (err == 0)
        err = log_append(peer->log, &records, &params, &result);
    if (err == 0)
        printf("appended %" PRId64 " %" PRId64 " %d\n", result.base_offset, result.last_offset,
               result.duplicate);
    answer(err);
    free(data);
    arena_reset(&peer->arena, 0);
}

static void print_batches(struct peer *peer)
{
    struct log_position end = log_end(peer->log), hint = {-1, -1, 0, 0};
    int64_t offset = log_start_offset(peer->log), bytes = 0;
    uint32_t crc = 0;
    while (offset < end.offset) {
        struct log_span span;
        struct log_read_params params = {.offset = offset,
                                         .hint = &hint,
                                         .bound = end,
                                         .max_bytes = 20000,
                                         .min_one_batch = true,
                                         .may_block = true};
        must(log_read(peer->log, &params, &span) == 0);
        if (span.size == 0)
            break;
        uint8_t *data = malloc((size_t)span.size);
        must(env_read_all(peer->env, file_ref_descriptor(span.file), data, (size_t)span.size,
                          span.position) == 0);
        crc = crc32c(crc, data, (size_t)span.size);
        bytes += span.size;
        offset = span.next.offset;
        hint = span.next;
        free(data);
        log_span_close(&span);
    }
    printf("batches %" PRId64 " %u\n", bytes, crc);
}

static void print_state(struct peer *peer)
{
    struct producer_view *views;
    struct aborted_transaction *aborted;
    int32_t count;
    must(log_producers(peer->log, &peer->arena, &views, &count) == 0);
    for (int32_t i = 0; i < count; i++)
        printf("producer %" PRId64 " %d %d %" PRId64 " %d %" PRId64 "\n", views[i].producer_id,
               views[i].producer_epoch, views[i].last_sequence, views[i].last_timestamp,
               views[i].coordinator_epoch, views[i].current_txn_start_offset);
    must(log_aborted_transactions(peer->log, log_start_offset(peer->log), log_end_offset(peer->log),
                                  true, &peer->arena, &aborted, &count) == 0);
    for (int32_t i = 0; i < count; i++)
        printf("aborted %" PRId64 " %" PRId64 "\n", aborted[i].producer_id,
               aborted[i].first_offset);
    for (int32_t i = 0; i < peer->log->epochs.count; i++)
        printf("epoch %d %" PRId64 "\n", peer->log->epochs.items[i].epoch,
               peer->log->epochs.items[i].start_offset);
    for (int32_t i = 0; i < peer->log->segment_count; i++)
        printf("segment %" PRId64 " %d\n", peer->log->segments[i]->base_offset,
               segment_size(peer->log->segments[i]));
    int64_t unstable = log_first_unstable(peer->log);
    printf("unstable %" PRId64 "\n", unstable == INT64_MAX ? -1 : unstable);
}

static void do_summary(struct peer *peer)
{
    struct log_time_result found;
    printf("start %" PRId64 "\nend %" PRId64 "\n", log_start_offset(peer->log),
           log_end_offset(peer->log));
    print_batches(peer);
    print_state(peer);
    for (const char *word = strtok(NULL, " \n"); word; word = strtok(NULL, " \n")) {
        int64_t time = strtoll(word, NULL, 10);
        must(log_find_by_time(peer->log, time, INT64_MAX, NULL, &found) == 0);
        printf("time %" PRId64 " %" PRId64 " %" PRId64 " %d\n", time, found.offset, found.timestamp,
               found.leader_epoch);
    }
    must(log_find_max_timestamp(peer->log, INT64_MAX, NULL, &found) == 0);
    printf("max %" PRId64 " %" PRId64 " %d\n", found.offset, found.timestamp, found.leader_epoch);
    for (int32_t epoch = 0; epoch < 8; epoch++) {
        int32_t known;
        int64_t end;
        log_epoch_end(peer->log, epoch, &known, &end);
        printf("epochend %d %d %" PRId64 "\n", epoch, known, end);
    }
    arena_reset(&peer->arena, 0);
}

static void drop(struct peer *peer)
{
    log_destroy(peer->log);
    peer->log = NULL;
}

static void obey(struct peer *peer, const char *command)
{
    int64_t number;
    if (strcmp(command, "open") == 0) {
        do_open(peer);
    } else if (strcmp(command, "append") == 0) {
        do_append(peer);
    } else if (strcmp(command, "summary") == 0) {
        do_summary(peer);
    } else if (strcmp(command, "hw") == 0) {
        log_set_high_watermark(peer->log, next_number());
    } else if (strcmp(command, "epoch") == 0) {
        answer(log_assign_epoch(peer->log, (int32_t)next_number()));
    } else if (strcmp(command, "roll") == 0) {
        struct file_ref *file;
        int err = log_roll(peer->log, log_end_offset(peer->log));
        if (err == 0)
            err = segment_file_make(peer->log, log_active(peer->log), SEGMENT_LOG, &file);
        if (err == 0)
            file_ref_drop(file);
        if (err == 0)
            log_publish_end(peer->log, log_end_offset(peer->log));
        answer(err);
    } else if (strcmp(command, "truncate") == 0) {
        answer(log_truncate(peer->log, next_number()));
    } else if (strcmp(command, "raise") == 0) {
        number = next_number();
        answer(log_raise_start(peer->log, number, next_number()));
    } else if (strcmp(command, "retention") == 0) {
        answer(log_apply_retention(peer->log, env_wall_ms(peer->env), next_number()));
    } else if (strcmp(command, "remove") == 0) {
        log_remove_deleted(peer->log, 0, true);
    } else if (strcmp(command, "flush") == 0) {
        answer(log_flush(peer->log, &number));
    } else if (strcmp(command, "close") == 0) {
        answer(log_close_clean(peer->log));
        drop(peer);
    } else {
        must(strcmp(command, "drop") == 0);
        drop(peer);
    }
}

int main(void)
{
    struct peer peer = {.env = linux_env_create(NULL)};
    char *line = NULL;
    size_t capacity = 0;
    must(peer.env);
    env_say_init(peer.env, SAY_ERROR, &peer.say);
    peer.files = file_cache_create(peer.env, 8);
    arena_init(&peer.arena, 0);
    while (getline(&line, &capacity, stdin) > 0) {
        const char *command = strtok(line, " \n");
        if (!command)
            continue;
        obey(&peer, command);
        puts(".");
        fflush(stdout);
    }
    free(line);
    if (peer.log)
        drop(&peer);
    file_cache_destroy(peer.files);
    arena_close(&peer.arena);
    linux_env_destroy(peer.env);
    return 0;
}
