/* Following a topic in one fetch session over all its partitions: each request names what the last
 * answer moved and nothing else, as clients do, so what is left is what the broker does with the
 * partitions that nothing happens to. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fetch_frames.h"

#define EMPTY_ANSWERS_MAX 40
#define LEADERS_WAIT_NS (60 * 1000000000ll)

/* Of partitions that the broker does not serve yet although the metadata says so. */
enum { UNKNOWN_TOPIC_OR_PARTITION = 3, NOT_LEADER_OR_FOLLOWER = 6 };

struct tail {
    const struct load_options *options;
    int64_t *next_offset;
    int *moved; /* partitions to be named in the next request */
    int moved_count;
    struct fetch_session session;
    int64_t records, answers;
    int not_yet; /* partitions in the last answer that are not served yet */
};

static void write_fetch(struct writer *out, const struct tail *tail)
{
    fetch_write_begin(out, tail->session, tail->options->topic, tail->moved_count);
    for (int i = 0; i < tail->moved_count; i++)
        fetch_write_partition(out, tail->moved[i], tail->next_offset[tail->moved[i]]);
    fetch_write_end(out);
}

static void take_records(struct tail *tail, const struct fetched *fetched)
{
    int64_t *next = &tail->next_offset[fetched->partition], before = *next;
    struct fetched_batch batch;
    for (int32_t at = 0; fetched_batch(fetched, at, &batch); at += batch.bytes) {
        if (batch.last_offset < *next)
            continue;
        *next = batch.last_offset + 1;
        tail->records += batch.records;
    }
    if (*next > before)
        tail->moved[tail->moved_count++] = fetched->partition;
}

static int take_topic(struct tail *tail, struct reader *body)
{
    for (int32_t count = fetched_begin(body); count > 0 && !body->failed; count--) {
        struct fetched fetched = fetched_read(body);
        if (fetched.error == UNKNOWN_TOPIC_OR_PARTITION ||
            fetched.error == NOT_LEADER_OR_FOLLOWER) {
            tail->not_yet++;
            continue;
        }
        if (fetched.error != 0)
            return fetched.error;
        if (!fetched.data || fetched.partition < 0 ||
            fetched.partition >= tail->options->partitions ||
            tail->moved_count == tail->options->partitions)
            return -EBADMSG;
        take_records(tail, &fetched);
    }
    return 0;
}

static int take_answer(struct tail *tail, struct reader *body)
{
    read_int32(body);
    int error = read_int16(body);
    tail->session.id = read_int32(body);
    tail->session.epoch++;
    tail->moved_count = tail->not_yet = 0;
    for (int32_t count = read_int32(body); error == 0 && count > 0 && !body->failed; count--)
        error = take_topic(tail, body);
    if (error == 0 && (body->failed || tail->session.id == 0))
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
            printf("{\"mode\":\"tail\",\"session\":%d}\n", (int)tail.session.id);
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
