/* Reading a topic from its start over one connection, with next to no work of the reader's own:
 * only batch headers are looked at, to learn the next offset. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

#define FETCH_MAX_BYTES (50 << 20) /* as Kafka's consumer asks by default */
#define PARTITION_MAX_BYTES (1 << 20)
#define FETCH_WAIT_MS 500
#define EMPTY_ANSWERS_MAX 20
#define BATCH_HEADER_BYTES 61

struct fetch {
    const struct load_options *options;
    int64_t *next_offset;
    int64_t bytes, batches, records, answers;
};

static void write_fetch(struct writer *out, const struct fetch *fetch)
{
    write_int32(out, -1);
    write_int32(out, FETCH_WAIT_MS);
    write_int32(out, 1);
    write_int32(out, FETCH_MAX_BYTES);
    write_int8(out, 0);
    write_int32(out, 0);  /* no session */
    write_int32(out, -1); /* and none wanted */
    write_int32(out, 1);
    write_string(out, fetch->options->topic);
    write_int32(out, fetch->options->partitions);
    for (int i = 0; i < fetch->options->partitions; i++) {
        write_int32(out, i);
        write_int32(out, -1); /* leader epoch: unknown */
        write_int64(out, fetch->next_offset[i]);
        write_int64(out, -1);
        write_int32(out, PARTITION_MAX_BYTES);
    }
    write_int32(out, 0);
    write_string(out, "");
}

static void take_records(struct fetch *fetch, int partition, const uint8_t *data, int32_t size)
{
    int32_t at = 0;
    while (size - at >= BATCH_HEADER_BYTES) {
        int64_t length = 12 + (int64_t)load_be32(data + at + 8);
        if (length > size - at || length < BATCH_HEADER_BYTES)
            break; /* the last one may be cut off */
        int64_t last = (int64_t)load_be64(data + at) + (int32_t)load_be32(data + at + 23);
        if (last >= fetch->next_offset[partition]) {
            fetch->next_offset[partition] = last + 1;
            fetch->records += load_be32(data + at + 57);
            fetch->batches++;
            fetch->bytes += length;
        }
        at += (int32_t)length;
    }
}

static int take_answer(struct fetch *fetch, struct reader *body)
{
    read_int32(body);
    int error = read_int16(body);
    read_int32(body);
    if (error != 0 || read_int32(body) != 1)
        return error ? error : -EBADMSG;
    int16_t name = read_int16(body);
    reader_take(body, name > 0 ? (size_t)name : 0);
    for (int32_t count = read_int32(body); count > 0 && !body->failed; count--) {
        int32_t partition = read_int32(body);
        error = read_int16(body);
        reader_take(body, 24); /* high watermark, last stable offset, log start */
        int32_t aborted = read_int32(body);
        reader_take(body, aborted > 0 ? (size_t)aborted * 16 : 0);
        read_int32(body);
        int32_t size = read_int32(body);
        const uint8_t *data = reader_take(body, size > 0 ? (size_t)size : 0);
        if (error != 0)
            return error;
        if (!data || partition < 0 || partition >= fetch->options->partitions)
            return -EBADMSG;
        take_records(fetch, partition, data, size > 0 ? size : 0);
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
