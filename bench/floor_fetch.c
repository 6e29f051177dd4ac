#include "floor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>

#include "wire.h"

#define FETCH_PARTS_MAX 4096

struct fetch_part {
    struct str topic; /* data NULL: the same as the one before */
    int32_t partitions_of_topic;
    int32_t index;
    struct partition *partition;
    int64_t offset, max_bytes;
    int64_t position, size;
};

struct fetch {
    int32_t wait_ms, min_bytes, max_bytes, topics;
    int count;
    struct fetch_part parts[FETCH_PARTS_MAX];
};

static int64_t find_bytes(struct fetch *fetch)
{
    int64_t total = 0;
    for (int i = 0; i < fetch->count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        part->size = 0;
        if (!part->partition)
            continue;
        pthread_mutex_lock(&part->partition->lock);
        if (part->offset < part->partition->end_offset) {
            part->position = find_place(part->partition, part->offset);
            int64_t size = part->partition->end_position - part->position;
            size = size < part->max_bytes ? size : part->max_bytes;
            part->size = size < fetch->max_bytes - total ? size : fetch->max_bytes - total;
            total += part->size;
        }
        pthread_mutex_unlock(&part->partition->lock);
    }
    return total;
}

static void await_bytes(struct floor *floor, struct fetch *fetch)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += fetch->wait_ms / 1000;
    until.tv_nsec += fetch->wait_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&floor->appended_lock);
    atomic_fetch_add(&floor->waiting, 1);
    while (find_bytes(fetch) < fetch->min_bytes &&
           pthread_cond_timedwait(&floor->appended, &floor->appended_lock, &until) == 0)
        ;
    atomic_fetch_sub(&floor->waiting, 1);
    pthread_mutex_unlock(&floor->appended_lock);
}

static void read_fetch(struct floor *floor, int16_t version, struct reader *in, struct fetch *ret)
{
    read_int32(in);
    ret->wait_ms = read_int32(in);
    ret->min_bytes = read_int32(in);
    ret->max_bytes = read_int32(in);
    read_int8(in);
    if (version >= 7)
        reader_take(in, 8);
    ret->topics = read_int32(in);
    ret->count = 0;
    for (int32_t t = 0; t < ret->topics && !in->failed; t++) {
        struct str name = read_string(in);
        struct topic *topic = find_topic(floor, name);
        int32_t count = read_int32(in);
        for (int32_t i = 0; i < count && !in->failed && ret->count < FETCH_PARTS_MAX; i++) {
            struct fetch_part *part = &ret->parts[ret->count++];
            *part = (struct fetch_part){.index = read_int32(in), .partitions_of_topic = count};
            if (i == 0)
                part->topic = name;
            part->partition = find_partition(topic, part->index);
            if (version >= 9)
                read_int32(in);
            part->offset = read_int64(in);
            if (version >= 5)
                read_int64(in);
            part->max_bytes = read_int32(in);
        }
    }
}

static void send_part(struct connection *connection, const struct fetch_part *part)
{
    off_t at = part->position;
    for (int64_t left = part->size; left > 0;) {
        ssize_t n = sendfile(connection->sock, part->partition->file, &at, (size_t)left);
        if (n <= 0 && errno != EINTR) {
            shutdown(connection->sock, SHUT_RDWR);
            return;
        }
        left -= n > 0 ? n : 0;
    }
}

void answer_fetch(struct connection *connection, int16_t version, struct reader *in, size_t start)
{
    struct writer *out = &connection->out;
    struct fetch *fetch = malloc(sizeof *fetch);
    if (!fetch)
        die("out of memory");
    read_fetch(connection->floor, version, in, fetch);
    if (find_bytes(fetch) < fetch->min_bytes && fetch->wait_ms > 0)
        await_bytes(connection->floor, fetch);
    int64_t external = 0;
    for (int i = 0; i < fetch->count; i++)
        external += fetch->parts[i].size;
    /* The length is known before the first part is sent: fixed sizes, counted here. */
    size_t fixed = 4 + 4 + (version >= 7 ? 6 : 0) + 4;
    size_t per_part = 4 + 2 + 8 + 8 + (version >= 5 ? 8 : 0) + 4 + (version >= 11 ? 4 : 0) + 4;
    for (int i = 0; i < fetch->count; i++)
        fixed +=
            per_part + (fetch->parts[i].topic.data ? 6 + (size_t)fetch->parts[i].topic.size : 0);
    write_int32(out, 0);
    if (version >= 7) {
        write_int16(out, 0);
        write_int32(out, 0);
    }
    write_int32(out, fetch->topics);
    store_be32(out->data + start, (uint32_t)(fixed + (size_t)external));
    for (int i = 0; i < fetch->count; i++) {
        const struct fetch_part *part = &fetch->parts[i];
        int64_t end = part->partition ? part->partition->end_offset : -1;
        if (part->topic.data) {
            write_str(out, part->topic);
            write_int32(out, part->partitions_of_topic);
        }
        write_int32(out, part->index);
        write_int16(out, part->partition ? 0 : 3);
        write_int64(out, end);
        write_int64(out, end);
        if (version >= 5)
            write_int64(out, 0);
        write_int32(out, -1);
        if (version >= 11)
            write_int32(out, -1);
        write_int32(out, (int32_t)part->size);
        if (part->size > 0) {
            send_out(connection, true);
            send_part(connection, part);
        }
    }
    send_out(connection, false);
    free(fetch);
}
