/* Reading a topic from its start over one connection, with next to no work of the reader's own:
 * only batch headers are looked at, to learn the next offset. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch_frames.h"

#define EMPTY_ANSWERS_MAX 20

struct fetch {
    const struct load_options *options;
    int64_t *next_offset;
    int64_t bytes, batches, records, answers;
};

static void write_fetch(struct writer *out, const struct fetch *fetch)
{
    const struct load_options *options = fetch->options;
    fetch_write_begin(out, (struct fetch_session){0, -1}, options->topic, options->partitions);
    for (int i = 0; i < options->partitions; i++)
        fetch_write_partition(out, i, fetch->next_offset[i]);
    fetch_write_end(out);
}

static void take_records(struct fetch *fetch, const struct fetched *fetched)
{
    int64_t *next = &fetch->next_offset[fetched->partition];
    struct fetched_batch batch;
    for (int32_t at = 0; fetched_batch(fetched, at, &batch); at += batch.bytes) {
        if (batch.last_offset < *next)
            continue;
        *next = batch.last_offset + 1;
        fetch->records += batch.records;
        fetch->batches++;
        fetch->bytes += batch.bytes;
    }
}

static int take_answer(struct fetch *fetch, struct reader *body)
{
    read_int32(body);
    int error = read_int16(body);
    read_int32(body);
    if (error != 0 || read_int32(body) != 1)
        return error ? error : -EBADMSG;
    for (int32_t count = fetched_begin(body); count > 0 && !body->failed; count--) {
        struct fetched fetched = fetched_read(body);
        if (fetched.error != 0)
            return fetched.error;
        if (!fetched.data || fetched.partition < 0 ||
            fetched.partition >= fetch->options->partitions)
            return -EBADMSG;
        take_records(fetch, &fetched);
    }
    fetch->answers++;
    return body->failed ? -EBADMSG : 0;
}

int load_fetch(const struct load_options *options)
{
    struct fetch fetch = {.options = options};
    struct peer peer;
    fetch.next_offset = calloc((size_t)options->partitions, sizeof *fetch.next_offset);
    int err = peer_open(&peer, &options->address);
    if (err == 0)
        err = peer_api_versions(&peer);
    double cpu_s = own_cpu_s();
    int64_t start_ns = now_ns();
    for (int empty = 0; err == 0 && fetch.bytes < options->bytes && empty < EMPTY_ANSWERS_MAX;) {
        struct reader body;
        int64_t before = fetch.bytes;
        peer_begin(&peer, WIRE_FETCH, WIRE_FETCH_VERSION, false);
        write_fetch(&peer.out, &fetch);
        err = peer_call(&peer, false, &body);
        if (err == 0)
            err = take_answer(&fetch, &body);
        empty = fetch.bytes == before ? empty + 1 : 0;
    }
    if (err != 0)
        die("fetch: %s %d", err < 0 ? strerror(-err) : "error", err);
    double wall_s = (double)(now_ns() - start_ns) / 1e9;
    printf("{\"mode\":\"fetch\",\"bytes\":%ld,\"batches\":%ld,\"records\":%ld,\"answers\":%ld,"
           "\"wall_s\":%.4f,\"MB_s\":%.2f,\"client_cpu_s\":%.4f}\n",
           (long)fetch.bytes, (long)fetch.batches, (long)fetch.records, (long)fetch.answers, wall_s,
           (double)fetch.bytes / wall_s / 1e6, own_cpu_s() - cpu_s);
    peer_close(&peer);
    return fetch.bytes < options->bytes;
}
