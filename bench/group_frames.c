/* See group_frames.h. */
#include "group_frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COORDINATOR_WAIT_NS (60 * 1000000000ll)
#define ASK_AGAIN_NS 20000000

static int find_coordinator(struct peer *peer, enum coordinator_type type, const char *key)
{
    struct reader body;
    int32_t size;
    peer_begin(peer, WIRE_FIND_COORDINATOR, WIRE_FIND_COORDINATOR_VERSION, true);
    write_int8(&peer->out, (int8_t)type);
    write_uvarint(&peer->out, 2); /* one key */
    write_compact_string(&peer->out, key);
    write_uvarint(&peer->out, 0);
    int err = peer_call(peer, true, &body);
    if (err < 0)
        return err;
    read_int32(&body);
    if (read_uvarint(&body) != 2)
        return -EBADMSG;
    read_compact(&body, &size);
    read_int32(&body);
    read_compact(&body, &size);
    read_int32(&body);
    int error = read_int16(&body);
    return body.failed ? -EBADMSG : error;
}

void await_coordinator(const struct sockaddr_in *address, enum coordinator_type type,
                       const char *key)
{
    struct peer peer;
    int64_t give_up_ns = now_ns() + COORDINATOR_WAIT_NS;
    int err = peer_open(&peer, address);
    while (err == 0) {
        err = find_coordinator(&peer, type, key);
        if (err == 0)
            break;
        if (err > 0 && coordinator_comes(err) && now_ns() < give_up_ns)
            err = nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_NS}, NULL);
    }
    if (err != 0)
        die("no coordinator for %s: %s %d", key, err < 0 ? strerror(-err) : "error", err);
    peer_close(&peer);
}

const uint8_t *read_compact(struct reader *reader, int32_t *ret_size)
{
    uint32_t size = read_uvarint(reader);
    *ret_size = size > 0 ? (int32_t)size - 1 : 0;
    return size > 0 ? reader_take(reader, size - 1) : NULL;
}

int32_t offsets_partition(const char *id, int32_t count)
{
    uint32_t hash = 0;
    for (const char *at = id; *at; at++)
        hash = hash * 31 + (uint8_t)*at;
    int32_t value = (int32_t)hash;
    return (value == INT32_MIN ? 0 : value < 0 ? -value : value) % count;
}

void write_commit(struct writer *out, const struct commit_spec *spec)
{
    int32_t first = spec->partition >= 0 ? spec->partition : 0;
    int32_t count = spec->partition >= 0 ? 1 : spec->partitions;
    write_compact_string(out, spec->group);
    write_int32(out, spec->generation);
    write_compact_string(out, spec->member);
    write_compact_string(out, NULL); /* no static member */
    write_uvarint(out, 2);           /* one topic */
    write_compact_string(out, spec->topic);
    write_uvarint(out, (uint32_t)count + 1);
    for (int32_t i = first; i < first + count; i++) {
        write_int32(out, i);
        write_int64(out, spec->offset);
        write_int32(out, -1); /* leader epoch */
        write_compact_string(out, "");
        write_uvarint(out, 0);
    }
    write_uvarint(out, 0);
    write_uvarint(out, 0);
}

int commit_answer(struct reader *body)
{
    int32_t size;
    int first_error = 0;
    read_int32(body);
    if (read_uvarint(body) != 2)
        return -EBADMSG;
    read_compact(body, &size);
    for (uint32_t count = read_uvarint(body); count > 1 && !body->failed; count--) {
        read_int32(body);
        int error = read_int16(body);
        read_uvarint(body);
        first_error = first_error ? first_error : error;
    }
    return body->failed ? -EBADMSG : first_error;
}

void write_offset_fetch(struct writer *out, const char *group, const char *topic, int32_t partition)
{
    write_uvarint(out, 2); /* one group */
    write_compact_string(out, group);
    write_compact_string(out, NULL); /* no member */
    write_int32(out, -1);
    write_uvarint(out, 2); /* one topic */
    write_compact_string(out, topic);
    write_uvarint(out, 2); /* one partition */
    write_int32(out, partition);
    write_uvarint(out, 0);
    write_uvarint(out, 0);
    write_int8(out, 1); /* only what is stable */
    write_uvarint(out, 0);
}

int offset_fetch_answer(struct reader *body, int64_t *ret_offset)
{
    int32_t size;
    int64_t offset = -1;
    int error = 0;
    read_int32(body);
    if (read_uvarint(body) != 2)
        return -EBADMSG;
    read_compact(body, &size);
    for (uint32_t topics = read_uvarint(body); topics > 1 && !body->failed; topics--) {
        read_compact(body, &size);
        for (uint32_t count = read_uvarint(body); count > 1 && !body->failed; count--) {
            read_int32(body);
            offset = read_int64(body);
            read_int32(body);
            read_compact(body, &size);
            error = read_int16(body);
            read_uvarint(body);
        }
        read_uvarint(body);
    }
    int of_group = read_int16(body);
    if (body->failed)
        return -EBADMSG;
    *ret_offset = offset;
    return of_group ? of_group : error;
}
