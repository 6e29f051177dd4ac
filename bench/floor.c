/* bench/floor: the least that a process must do to take Kafka's produce requests and to answer its
 * fetches: receive, checksum and append; or find and send from the cached file.
 *
 *   floor server [log.dirs=DIR] [listeners=PLAINTEXT://127.0.0.1:0] [append=false]
 *
 * It is what a broker's CPU time and latency are compared with, under the very same clients. One
 * blocking thread per connection, no validation beyond the checksum, nothing survives it. With
 * append=false records are received and dropped: the price of the sockets alone. It speaks old,
 * inflexible versions but for Produce 9; whoever speaks Kafka finds them. Hostile input ends a
 * connection; the rest of a broker's duties is left out on purpose. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define IN_BYTES (256 << 10)

struct str read_string(struct reader *in)
{
    int16_t size = read_int16(in);
    const uint8_t *data = size > 0 ? reader_take(in, (size_t)size) : NULL;
    return (struct str){(const char *)data, data ? size : 0};
}

static struct str read_compact_string(struct reader *in)
{
    uint32_t size = read_uvarint(in);
    const uint8_t *data = size > 1 ? reader_take(in, size - 1) : NULL;
    return (struct str){(const char *)data, data ? (int32_t)size - 1 : 0};
}

void write_str(struct writer *out, struct str text)
{
    write_int16(out, (int16_t)text.size);
    write_bytes(out, text.data, (size_t)text.size);
}

static void produce_partition(struct floor *floor, struct topic *topic, int16_t version,
                              struct reader *in, struct writer *out)
{
    bool flexible = version >= 9;
    int32_t index = read_int32(in);
    int32_t size = flexible ? (int32_t)read_uvarint(in) - 1 : read_int32(in);
    /* The frame is this thread's own: offsets are assigned in place. */
    uint8_t *batch = size > 0 ? (uint8_t *)(uintptr_t)reader_take(in, (size_t)size) : NULL;
    if (flexible)
        read_uvarint(in);
    struct partition *partition = find_partition(topic, index);
    int64_t offset = -1;
    int16_t error = !partition ? 3
                    : !batch   ? 2
                               : append_batch(floor, partition, batch, (size_t)size, &offset);
    write_int32(out, index);
    write_int16(out, error);
    write_int64(out, offset);
    write_int64(out, -1); /* no append time */
    if (version >= 5)
        write_int64(out, 0);
    if (version == 8) {
        write_int32(out, 0);
        write_int16(out, -1);
    } else if (flexible) {
        write_uvarint(out, 1);
        write_uvarint(out, 0);
        write_uvarint(out, 0);
    }
}

/* False for acks=0: then nothing is answered. */
static bool produce(struct floor *floor, int16_t version, struct reader *in, struct writer *out)
{
    bool flexible = version >= 9;
    if (flexible)
        read_compact_string(in);
    else
        read_string(in);
    int16_t acks = read_int16(in);
    read_int32(in);
    uint32_t topics = flexible ? read_uvarint(in) - 1 : (uint32_t)read_int32(in);
    if (flexible)
        write_uvarint(out, topics + 1);
    else
        write_int32(out, (int32_t)topics);
    while (topics-- > 0 && !in->failed) {
        struct str name = flexible ? read_compact_string(in) : read_string(in);
        struct topic *topic = find_topic(floor, name);
        uint32_t count = flexible ? read_uvarint(in) - 1 : (uint32_t)read_int32(in);
        if (flexible) {
            write_uvarint(out, (uint32_t)name.size + 1);
            write_bytes(out, name.data, (size_t)name.size);
            write_uvarint(out, count + 1);
        } else {
            write_str(out, name);
            write_int32(out, (int32_t)count);
        }
        while (count-- > 0 && !in->failed)
            produce_partition(floor, topic, version, in, out);
        if (flexible) {
            read_uvarint(in);
            write_uvarint(out, 0);
        }
    }
    write_int32(out, 0);
    if (flexible)
        write_uvarint(out, 0);
    return acks != 0;
}

void send_out(struct connection *connection, bool more)
{
    size_t sent = 0;
    while (sent < connection->out.size) {
        ssize_t n = send(connection->sock, connection->out.data + sent, connection->out.size - sent,
                         MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (n < 0 && errno != EINTR)
            break; /* the next read finds the connection closed */
        sent += n > 0 ? (size_t)n : 0;
    }
    connection->out.size = 0;
}

static void list_offsets(struct floor *floor, struct reader *in, struct writer *out)
{
    read_int32(in);
    int32_t topics = read_int32(in);
    write_int32(out, topics);
    while (topics-- > 0 && !in->failed) {
        struct str name = read_string(in);
        struct topic *topic = find_topic(floor, name);
        int32_t count = read_int32(in);
        write_str(out, name);
        write_int32(out, count);
        while (count-- > 0 && !in->failed) {
            int32_t index = read_int32(in);
            int64_t timestamp = read_int64(in);
            struct partition *partition = find_partition(topic, index);
            write_int32(out, index);
            write_int16(out, partition ? 0 : 3);
            write_int64(out, -1);
            write_int64(out, partition && timestamp == -1 ? partition->end_offset : 0);
        }
    }
}

static void metadata_topic(struct floor *floor, struct str name, int16_t version,
                           struct writer *out)
{
    struct topic *topic = find_topic(floor, name);
    write_int16(out, topic ? 0 : 3);
    write_str(out, name);
    write_int8(out, 0);
    write_int32(out, topic ? topic->partition_count : 0);
    for (int32_t i = 0; topic && i < topic->partition_count; i++) {
        write_int16(out, 0);
        write_int32(out, i);
        write_int32(out, 1); /* leader */
        if (version >= 7)
            write_int32(out, 0);
        for (int lists = 0; lists < 2; lists++) { /* replicas, in sync */
            write_int32(out, 1);
            write_int32(out, 1);
        }
        if (version >= 5)
            write_int32(out, 0);
    }
    if (version >= 8)
        write_int32(out, INT32_MIN);
}

static void metadata(struct floor *floor, int16_t version, struct reader *in, struct writer *out)
{
    int32_t count = read_int32(in);
    write_int32(out, 0);
    write_int32(out, 1);
    write_int32(out, 1);
    write_str(out, STR("127.0.0.1"));
    write_int32(out, floor->port);
    write_int16(out, -1);
    write_str(out, STR("floor"));
    write_int32(out, 1);
    write_int32(out, count > 0 ? count : 0); /* a request for all topics is answered by none */
    while (count-- > 0 && !in->failed)
        metadata_topic(floor, read_string(in), version, out);
    if (version >= 8)
        write_int32(out, INT32_MIN);
}

static void skip_configs(struct reader *in)
{
    for (int32_t count = read_int32(in); count > 0 && !in->failed; count--) {
        read_int32(in);
        for (int32_t replicas = read_int32(in); replicas > 0 && !in->failed; replicas--)
            read_int32(in);
    }
    for (int32_t count = read_int32(in); count > 0 && !in->failed; count--) {
        read_string(in);
        read_string(in);
    }
}

static void create_topics(struct floor *floor, struct reader *in, struct writer *out)
{
    int32_t count = read_int32(in);
    write_int32(out, 0);
    write_int32(out, count);
    while (count-- > 0 && !in->failed) {
        struct str name = read_string(in);
        int32_t partitions = read_int32(in);
        read_int16(in);
        skip_configs(in);
        write_str(out, name);
        write_int16(out,
                    in->failed ? 42 : create_topic(floor, name, partitions > 0 ? partitions : 1));
        write_int16(out, -1);
    }
}

static void delete_topics(struct floor *floor, struct reader *in, struct writer *out)
{
    int32_t count = read_int32(in);
    write_int32(out, 0);
    write_int32(out, count);
    while (count-- > 0 && !in->failed) {
        struct str name = read_string(in);
        write_str(out, name);
        write_int16(out, delete_topic(floor, name));
    }
}

static const struct {
    int16_t key, min, max;
} served[] = {
    {WIRE_PRODUCE, 3, 9},       {WIRE_FETCH, 4, 11},           {WIRE_LIST_OFFSETS, 1, 1},
    {WIRE_METADATA, 4, 8},      {WIRE_API_VERSIONS, 0, 3},     {WIRE_CREATE_TOPICS, 2, 4},
    {WIRE_DELETE_TOPICS, 1, 3}, {WIRE_INIT_PRODUCER_ID, 0, 1},
};
#define SERVED_COUNT (int)(sizeof served / sizeof *served)

static void api_versions(int16_t version, struct writer *out)
{
    bool known = version >= 0 && version <= 3, flexible = version == 3;
    write_int16(out, known ? 0 : 35);
    if (flexible)
        write_uvarint(out, SERVED_COUNT + 1);
    else
        write_int32(out, SERVED_COUNT);
    for (int i = 0; i < SERVED_COUNT; i++) {
        write_int16(out, served[i].key);
        write_int16(out, served[i].min);
        write_int16(out, served[i].max);
        if (flexible)
            write_uvarint(out, 0);
    }
    if (known && version >= 1)
        write_int32(out, 0);
    if (flexible)
        write_uvarint(out, 0);
}

static bool is_served(int16_t key, int16_t version)
{
    for (int i = 0; i < SERVED_COUNT; i++)
        if (served[i].key == key)
            return key == WIRE_API_VERSIONS ||
                   (version >= served[i].min && version <= served[i].max);
    return false;
}

/* Handle one frame, appending its answer to `out`. False ends the connection. */
static bool handle(struct connection *connection, struct reader in)
{
    struct floor *floor = connection->floor;
    struct writer *out = &connection->out;
    int16_t key = read_int16(&in), version = read_int16(&in);
    int32_t correlation = read_int32(&in);
    read_string(&in);
    if (in.failed || !is_served(key, version))
        return false;
    size_t start = out->size;
    write_int32(out, 0);
    write_int32(out, correlation);
    switch (key) {
    case WIRE_PRODUCE:
        if (version >= 9) {
            read_uvarint(&in);
            write_uvarint(out, 0);
        }
        if (!produce(floor, version, &in, out)) {
            out->size = start;
            return !in.failed;
        }
        break;
    case WIRE_FETCH:
        if (start > 0) { /* answers of elders go first */
            store_be32(out->data + start, 0);
            out->size = start;
            send_out(connection, true);
            write_int32(out, 0);
            write_int32(out, correlation);
        }
        answer_fetch(connection, version, &in, 0);
        return !in.failed;
    case WIRE_LIST_OFFSETS:
        list_offsets(floor, &in, out);
        break;
    case WIRE_METADATA:
        metadata(floor, version, &in, out);
        break;
    case WIRE_API_VERSIONS:
        api_versions(version, out);
        break;
    case WIRE_CREATE_TOPICS:
        create_topics(floor, &in, out);
        break;
    case WIRE_DELETE_TOPICS:
        delete_topics(floor, &in, out);
        break;
    case WIRE_INIT_PRODUCER_ID:
        write_int32(out, 0);
        write_int16(out, 0);
        write_int64(out, (int64_t)(uintptr_t)connection); /* different for each that is open */
        write_int16(out, 0);
        break;
    default:
        return false;
    }
    frame_end(out, start);
    return !in.failed;
}

/* Room for the frame whose beginning stands at the front of `in`. */
static bool make_room(struct connection *connection)
{
    size_t wanted = connection->in_size >= 4 ? (size_t)load_be32(connection->in) + 4 : 0;
    if (wanted > WIRE_FRAME_MAX)
        return false;
    if (wanted <= connection->in_capacity)
        return true;
    uint8_t *in = realloc(connection->in, wanted + IN_BYTES);
    if (!in)
        return false;
    connection->in = in;
    connection->in_capacity = wanted + IN_BYTES;
    return true;
}

static void *serve(void *argument)
{
    struct connection *connection = argument;
    connection->in = malloc(IN_BYTES);
    connection->in_capacity = connection->in ? IN_BYTES : 0;
    bool open = connection->in != NULL;
    while (open && make_room(connection)) {
        ssize_t n = read(connection->sock, connection->in + connection->in_size,
                         connection->in_capacity - connection->in_size);
        if (n <= 0)
            break;
        connection->in_size += (size_t)n;
        size_t at = 0;
        while (open && connection->in_size - at >= 4) {
            size_t size = load_be32(connection->in + at);
            if (connection->in_size - at - 4 < size)
                break;
            open = handle(connection, reader_of(connection->in + at + 4, size));
            at += 4 + size;
        }
        if (connection->out.size > 0)
            send_out(connection, false);
        memmove(connection->in, connection->in + at, connection->in_size - at);
        connection->in_size -= at;
    }
    close(connection->sock);
    writer_close(&connection->out);
    free(connection->in);
    free(connection);
    return NULL;
}

static int open_listener(struct floor *floor, const char *address)
{
    struct sockaddr_in at = address_parse(address);
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, 1024) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &size) < 0)
        die("cannot listen on %s: %m", address);
    floor->port = ntohs(at.sin_port);
    return listener;
}

static void accept_all(struct floor *floor, int listener)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&small, 128 << 10);
    for (;;) {
        int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
        struct connection *connection = sock >= 0 ? calloc(1, sizeof *connection) : NULL;
        pthread_t thread;
        if (!connection) {
            if (sock >= 0)
                close(sock);
            continue;
        }
        setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        *connection = (struct connection){.floor = floor, .sock = sock};
        if (pthread_create(&thread, &small, serve, connection) != 0) {
            close(sock);
            free(connection);
        }
    }
}

int main(int argc, char **argv)
{
    static struct floor floor = {.dir = "/tmp", .append = true};
    const char *address = "127.0.0.1:0";
    if (argc < 2 || strcmp(argv[1], "server") != 0)
        die("usage: floor server [log.dirs=DIR] [listeners=PLAINTEXT://HOST:PORT] [append=false]");
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "log.dirs=", 9) == 0)
            snprintf(floor.dir, sizeof floor.dir, "%s", argv[i] + 9);
        else if (strncmp(argv[i], "listeners=PLAINTEXT://", 22) == 0)
            address = argv[i] + 22;
        else if (strcmp(argv[i], "append=false") == 0)
            floor.append = false;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&floor.appended, &monotonic);
    pthread_mutex_init(&floor.lock, NULL);
    pthread_mutex_init(&floor.appended_lock, NULL);
    int listener = open_listener(&floor, address);
    printf("ready 127.0.0.1:%u\n", floor.port);
    fflush(stdout);
    accept_all(&floor, listener);
}
