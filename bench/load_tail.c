/* Following a topic in one fetch session over all its partitions: each request names what the last
 * answer moved and nothing else, as clients do, so what is left is what the broker does with the
 * partitions that nothing happens to. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire.h"

#define FETCH_MAX_BYTES (50 << 20)
#define PARTITION_MAX_BYTES (1 << 20)
#define FETCH_WAIT_MS 500
#define EMPTY_ANSWERS_MAX 40
#define BATCH_HEADER_BYTES 61
#define LEADERS_WAIT_NS (60 * 1000000000ll)

/* Of partitions that the broker does not serve yet although the metadata says so. */
enum { UNKNOWN_TOPIC_OR_PARTITION = 3, NOT_LEADER_OR_FOLLOWER = 6 };

struct tail {
    const struct load_options *options;
    int64_t *next_offset;
    int *moved; /* partitions to be named in the next request */
    int moved_count;
    int32_t session, epoch;
    int64_t records, answers;
    int not_yet; /* partitions in the last answer that are not served yet */
};

static void write_fetch(struct writer *out, const struct tail *tail)
{
    write_int32(out, -1);
    write_int32(out, FETCH_WAIT_MS);
    write_int32(out, 1);
    write_int32(out, FETCH_MAX_BYTES);
    write_int8(out, 0);
    write_int32(out, tail->session);
    write_int32(out, tail->epoch);
    write_int32(out, tail->moved_count > 0);
    if (tail->moved_count > 0) {
        write_string(out, tail->options->topic);
        write_int32(out, tail->moved_count);
    }
    for (int i = 0; i < tail->moved_count; i++) {
        write_int32(out, tail->moved[i]);
        write_int32(out, -1); /* leader epoch: unknown */
        write_int64(out, tail->next_offset[tail->moved[i]]);
        write_int64(out, -1);
        write_int32(out, PARTITION_MAX_BYTES);
    }
    write_int32(out, 0);
    write_string(out, "");
}

static void take_records(struct tail *tail, int partition, const uint8_t *data, int32_t size)
{
    int64_t *next = &tail->next_offset[partition], before = *next;
    for (int32_t at = 0; size - at >= BATCH_HEADER_BYTES;) {
        int64_t length = 12 + (int64_t)load_be32(data + at + 8);
        if (length > size - at || length < BATCH_HEADER_BYTES)
            break; /* the last one may be cut off */
        int64_t last = (int64_t)load_be64(data + at) + (int32_t)load_be32(data + at + 23);
        if (last >= *next) {
            *next = last + 1;
            tail->records += load_be32(data + at + 57);
        }
        at += (int32_t)length;
    }
    if (*next > before)
        tail->moved[tail->moved_count++] = partition;
}

static int take_topic(struct tail *tail, struct reader *body)
{
    int16_t name = read_int16(body);
    reader_take(body, name > 0 ? (size_t)name : 0);
    for (int32_t count = read_int32(body); count > 0 && !body->failed; count--) {
        int32_t partition = read_int32(body);
        int error = read_int16(body);
        reader_take(body, 24); /* high watermark, last stable offset, log start */
        int32_t aborted = read_int32(body);
        reader_take(body, aborted > 0 ? (size_t)aborted * 16 : 0);
        read_int32(body);
        int32_t size = read_int32(body);
        const uint8_t *data = reader_take(body, size > 0 ? (size_t)size : 0);
        if (error == UNKNOWN_TOPIC_OR_PARTITION || error == NOT_LEADER_OR_FOLLOWER) {
            tail->not_yet++;
            continue;
        }
        if (error != 0)
            return error;
        if (!data || partition < 0 || partition >= tail->options->partitions ||
            tail->moved_count == tail->options->partitions)
            return -EBADMSG;
        take_records(tail, partition, data, size > 0 ? size : 0);
    }
    return 0;
}

static int take_answer(struct tail *tail, struct reader *body)
{
    read_int32(body);
    int error = read_int16(body);
    tail->session = read_int32(body);
    tail->epoch++;
    tail->moved_count = tail->not_yet = 0;
    for (int32_t count = read_int32(body); error == 0 && count > 0 && !body->failed; count--)
        error = take_topic(tail, body);
    if (error == 0 && (body->failed || tail->session == 0))
        error = -EBADMSG;
    tail->answers++;
    return error;
}

int load_tail(const struct load_options *options)
{
    size_t partitions = (size_t)options->partitions;
    struct tail tail = {.options = options, .moved_count = options->partitions};
    struct peer peer;
    tail.next_offset = calloc(partitions, sizeof *tail.next_offset);
    tail.moved = calloc(partitions, sizeof *tail.moved);
    for (int i = 0; i < options->partitions; i++)
        tail.moved[i] = i;
    int err = peer_open(&peer, &options->address);
    if (err == 0)
        err = peer_api_versions(&peer);
    int64_t give_up_ns = now_ns() + LEADERS_WAIT_NS;
    bool told = false;
    for (int empty = 0; err == 0 && tail.records < options->count && empty < EMPTY_ANSWERS_MAX;) {
        struct reader body;
        int64_t before = tail.records;
        peer_begin(&peer, WIRE_FETCH, WIRE_FETCH_VERSION, false);
        write_fetch(&peer.out, &tail);
        err = peer_call(&peer, false, &body);
        if (err == 0)
            err = take_answer(&tail, &body);
        if (err == 0 && tail.not_yet > 0 && now_ns() < give_up_ns) {
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
            continue;
        }
        empty = tail.records == before ? empty + 1 : 0;
        if (err == 0 && !told &&
            tail.answers > 1) { /* all partitions have been told of, and wait */
            told = true;
            printf("{\"mode\":\"tail\",\"session\":%d}\n", (int)tail.session);
            fflush(stdout);
        }
    }
    if (err != 0)
        die("tail: %s %d", err < 0 ? strerror(-err) : "error", err);
    printf("{\"mode\":\"tail\",\"records\":%ld,\"answers\":%ld}\n", (long)tail.records,
           (long)tail.answers);
    peer_close(&peer);
    return tail.records < options->count;
}
