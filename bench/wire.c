/* See wire.h. */
#include "wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"

#define CLIENT_ID "jackdaw-bench"

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

double own_cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

struct sockaddr_in address_parse(const char *text)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (!colon || (size_t)(colon - text) >= sizeof host)
        die("want HOST:PORT, not %s", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        die("no such address: %s", text);
    struct sockaddr_in address;
    memcpy(&address, found->ai_addr, sizeof address);
    freeaddrinfo(found);
    return address;
}

int dial(const struct sockaddr_in *address)
{
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (sock < 0)
        return -errno;
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(sock, (const struct sockaddr *)address, sizeof *address) < 0) {
        int err = -errno;
        close(sock);
        return err;
    }
    return sock;
}

void write_string(struct writer *out, const char *text)
{
    write_int16(out, text ? (int16_t)strlen(text) : -1);
    if (text)
        write_bytes(out, text, strlen(text));
}

void write_compact_string(struct writer *out, const char *text)
{
    write_uvarint(out, text ? (uint32_t)strlen(text) + 1 : 0);
    if (text)
        write_bytes(out, text, strlen(text));
}

void frame_begin(struct writer *out, int16_t key, int16_t version, int32_t correlation,
                 bool flexible)
{
    write_int32(out, 0);
    write_int16(out, key);
    write_int16(out, version);
    write_int32(out, correlation);
    write_string(out, CLIENT_ID);
    if (flexible)
        write_uvarint(out, 0);
}

void frame_end(struct writer *out, size_t start)
{
    if (out->failed)
        die("out of memory");
    store_be32(out->data + start, (uint32_t)(out->size - start - 4));
}

int peer_open(struct peer *peer, const struct sockaddr_in *address)
{
    *peer = (struct peer){.sock = dial(address)};
    return peer->sock < 0 ? peer->sock : 0;
}

void peer_close(struct peer *peer)
{
    if (peer->sock >= 0)
        close(peer->sock);
    writer_close(&peer->out);
    free(peer->in);
    *peer = (struct peer){.sock = -1};
}

void peer_begin(struct peer *peer, int16_t key, int16_t version, bool flexible)
{
    peer->out.size = 0;
    frame_begin(&peer->out, key, version, ++peer->correlation, flexible);
}

static int receive_all(int sock, void *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(sock, (char *)data + got, size - got, MSG_WAITALL);
        if (n == 0)
            return -ECONNRESET;
        if (n < 0 && errno != EINTR)
            return -errno;
        got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int send_all(int sock, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(sock, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -errno;
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int peer_call(struct peer *peer, bool flexible_answer, struct reader *ret_body)
{
    uint8_t length[4];
    frame_end(&peer->out, 0);
    int err = send_all(peer->sock, peer->out.data, peer->out.size);
    if (err == 0)
        err = receive_all(peer->sock, length, sizeof length);
    if (err < 0)
        return err;
    size_t size = load_be32(length);
    if (size < 4 || size > WIRE_FRAME_MAX)
        return -EBADMSG;
    if (size > peer->in_capacity) {
        free(peer->in);
        peer->in = malloc(size);
        peer->in_capacity = peer->in ? size : 0;
        if (!peer->in)
            return -ENOMEM;
    }
    err = receive_all(peer->sock, peer->in, size);
    if (err < 0)
        return err;
    struct reader body = reader_of(peer->in, size);
    if (read_int32(&body) != peer->correlation)
        return -EBADMSG;
    if (flexible_answer && read_uvarint(&body) != 0)
        return -EBADMSG; /* no header tags are defined */
    *ret_body = body;
    return 0;
}

int peer_api_versions(struct peer *peer)
{
    struct reader body;
    peer_begin(peer, WIRE_API_VERSIONS, WIRE_API_VERSIONS_VERSION, false);
    int err = peer_call(peer, false, &body);
    if (err < 0)
        return err;
    err = read_int16(&body);
    int32_t count = read_int32(&body);
    return body.failed || count <= 0 ? -EBADMSG : err;
}

static void skip_string(struct reader *reader)
{
    int16_t size = read_int16(reader);
    if (size > 0)
        reader_take(reader, (size_t)size);
}

static void skip_int32s(struct reader *reader)
{
    int32_t count = read_int32(reader);
    if (count > 0)
        reader_take(reader, (size_t)count * 4);
}

int peer_metadata(struct peer *peer, const char *topic, struct topic_state *ret_state)
{
    struct reader body;
    peer_begin(peer, WIRE_METADATA, WIRE_METADATA_VERSION, false);
    write_int32(&peer->out, 1);
    write_string(&peer->out, topic);
    write_int8(&peer->out, 0); /* do not create it */
    write_int8(&peer->out, 0);
    write_int8(&peer->out, 0);
    int err = peer_call(peer, false, &body);
    if (err < 0)
        return err;
    read_int32(&body); /* throttled */
    for (int32_t brokers = read_int32(&body); brokers > 0 && !body.failed; brokers--) {
        read_int32(&body);
        skip_string(&body);
        read_int32(&body);
        skip_string(&body);
    }
    skip_string(&body);
    read_int32(&body); /* controller */
    struct topic_state state = {0};
    if (read_int32(&body) != 1)
        return -EBADMSG;
    state.error = read_int16(&body);
    skip_string(&body);
    read_int8(&body);
    state.partitions = read_int32(&body);
    for (int i = 0; i < state.partitions && !body.failed; i++) {
        int16_t error = read_int16(&body);
        read_int32(&body);
        int32_t leader = read_int32(&body);
        state.with_leader += error == 0 && leader >= 0;
        read_int32(&body); /* leader epoch */
        skip_int32s(&body);
        skip_int32s(&body);
        skip_int32s(&body);
    }
    if (body.failed)
        return -EBADMSG;
    *ret_state = state;
    return 0;
}

/* Text like log events, so that it compresses like real payloads do. */
static void fill_payload(uint8_t *data, int32_t size, uint32_t seed)
{
    static const char *actions[] = {"view", "click", "search", "order", "login"};
    char line[128];
    for (int32_t at = 0; at < size;) {
        seed = seed * 1664525u + 1013904223u;
        int n =
            snprintf(line, sizeof line, "{\"user\":%u,\"action\":\"%s\",\"page\":\"/item/%u\"}\n",
                     seed >> 8, actions[(seed >> 16) % 5], (seed >> 20) % 1000);
        n = n < size - at ? n : size - at;
        memcpy(data + at, line, (size_t)n);
        at += n;
    }
}

static void write_record(struct writer *out, int32_t delta, int32_t size)
{
    int32_t body = 1 + varlong_size(0) + varint_size(delta) + varint_size(-1) + varint_size(size) +
                   size + varint_size(0);
    write_varint(out, body);
    write_int8(out, 0);
    write_varlong(out, 0);
    write_varint(out, delta);
    write_varint(out, -1); /* no key */
    write_varint(out, size);
    uint8_t *value = writer_add(out, (size_t)size);
    if (value)
        fill_payload(value, size, (uint32_t)delta + 1);
    write_varint(out, 0); /* headers */
}

#define TRANSACTIONAL 0x10 /* in a batch's attributes */

static void write_batch(struct writer *out, int32_t records, int32_t size,
                        const struct producer_state *producer)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t now_ms = wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    size_t start = out->size;
    write_int64(out, 0); /* base offset: the broker's */
    write_int32(out, 0); /* length, below */
    write_int32(out, -1);
    write_int8(out, 2);
    write_int32(out, 0); /* checksum, below */
    write_int16(out, producer ? TRANSACTIONAL : 0);
    write_int32(out, records - 1);
    write_int64(out, now_ms);
    write_int64(out, now_ms);
    write_int64(out, producer ? producer->producer_id : -1);
    write_int16(out, producer ? producer->epoch : -1);
    write_int32(out, producer ? producer->sequence : -1);
    write_int32(out, records);
    for (int32_t i = 0; i < records; i++)
        write_record(out, i, size);
    if (out->failed)
        die("out of memory");
    store_be32(out->data + start + 8, (uint32_t)(out->size - start - 12));
    store_be32(out->data + start + 17, crc32c(0, out->data + start + 21, out->size - start - 21));
}

void write_produce_body(struct writer *out, const struct produce_spec *spec,
                        const struct producer_state *producer)
{
    struct writer batch = {0};
    write_batch(&batch, spec->records, spec->size, producer);
    write_compact_string(out, producer ? producer->transactional_id : NULL);
    write_int16(out, spec->acks);
    write_int32(out, 30000);
    write_uvarint(out, 2); /* one topic */
    write_compact_string(out, spec->topic);
    write_uvarint(out, 2); /* one partition */
    write_int32(out, spec->partition);
    write_uvarint(out, (uint32_t)batch.size + 1);
    write_bytes(out, batch.data, batch.size);
    write_uvarint(out, 0);
    write_uvarint(out, 0);
    write_uvarint(out, 0);
    writer_close(&batch);
}

void write_produce(struct writer *out, const struct produce_spec *spec)
{
    size_t start = out->size;
    frame_begin(out, WIRE_PRODUCE, WIRE_PRODUCE_VERSION, 0, true);
    write_produce_body(out, spec, NULL);
    frame_end(out, start);
}

int produce_answer(struct reader *body)
{
    if (read_uvarint(body) != 2)
        return -EBADMSG;
    uint32_t name = read_uvarint(body);
    if (name == 0 || !reader_take(body, name - 1) || read_uvarint(body) != 2)
        return -EBADMSG;
    read_int32(body);
    int16_t error = read_int16(body);
    return body->failed ? -EBADMSG : error < 0 ? 1000 - error : error;
}
