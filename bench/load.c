/* bench/load: load on a broker from hand-written frames, one line of JSON as the result. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

static const char usage[] =
    "load produce  -b HOST:PORT -t TOPIC [-P partitions] [-c connections] [-k in flight]\n"
    "              [-r requests per s] [-n requests] [-w warm-up] [-s size] [-m records per "
    "request]\n"
    "              [-a acks]      open loop; -r 0: as fast as answers come\n"
    "load fetch    -b HOST:PORT -t TOPIC [-P partitions] -B bytes\n"
    "load tail     -b HOST:PORT -t TOPIC [-P partitions] -n records      in one fetch session\n"
    "load first    -b HOST:PORT [-t TOPIC -p partition [-g GROUP]] [-l log] -- PROGRAM ARGS…\n"
    "              time from exec to the first ApiVersions answer and first acknowledged record;\n"
    "              with a group to its first committed offset instead\n"
    "load members  -b HOST:PORT -t TOPIC [-P partitions] -g GROUP -c members [-D delay ms]\n"
    "              stable|death     a group comes to be; then one member dies\n"
    "load consumers -b HOST:PORT -t TOPIC -P partitions -g GROUP -c members -r heartbeats per s\n"
    "              a group of the consumer protocol comes to be; each line of standard input,\n"
    "              COUNT WARM-UP, then asks for so many heartbeats\n"
    "load idle     -b HOST:PORT -t TOPIC [-P partitions] -g GROUP -c groups\n"
    "              groups of one with nothing to do, until standard input ends\n"
    "load commits  -b HOST:PORT -t TOPIC [-P partitions] -g GROUP -c groups -r commits per s\n"
    "              each line of standard input, COUNT WARM-UP, asks for so many\n"
    "load fill     -b HOST:PORT -t TOPIC [-P partitions] -g GROUP -n groups [-c connections]\n"
    "              [-o partitions of __consumer_offsets -p the one that is to be filled]\n"
    "load txn      -b HOST:PORT -t TOPIC [-P partitions] -g ID -c producers -d seconds [-s size]\n"
    "              [-m records per transaction] [-r transactions per s]      open loop with a "
    "rate\n"
    "load connections -b HOST:PORT -c connections      hold them open until standard input ends\n"
    "load topic    -b HOST:PORT -t TOPIC [-P partitions] create|delete|wait [key=value…]\n";

#define LEADERS_WAIT_NS (180 * 1000000000ll)
#define ADMIN_TIMEOUT_MS 120000

/* Until every partition has a leader. */
static void await_leaders(struct peer *peer, const struct load_options *options)
{
    int64_t give_up_ns = now_ns() + LEADERS_WAIT_NS;
    struct topic_state state = {0};
    for (;;) {
        int err = peer_metadata(peer, options->topic, &state);
        if (err < 0)
            die("metadata: %s", strerror(-err));
        if (state.error == 0 && state.with_leader == options->partitions)
            return;
        if (now_ns() > give_up_ns)
            die("%d of %d partitions have a leader", state.with_leader, options->partitions);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

static int create_topic(struct peer *peer, const struct load_options *options)
{
    int configs = 0;
    while (options->words[1 + configs])
        configs++;
    struct writer *out = &peer->out;
    peer_begin(peer, WIRE_CREATE_TOPICS, WIRE_CREATE_TOPICS_VERSION, false);
    write_int32(out, 1);
    write_string(out, options->topic);
    write_int32(out, options->partitions);
    write_int16(out, 1);
    write_int32(out, 0);
    write_int32(out, configs);
    for (int i = 0; i < configs; i++) {
        char *key = strdup(options->words[1 + i]), *equals = key ? strchr(key, '=') : NULL;
        if (!equals)
            die("want key=value, not %s", options->words[1 + i]);
        *equals = 0;
        write_string(out, key);
        write_string(out, equals + 1);
        free(key);
    }
    write_int32(out, ADMIN_TIMEOUT_MS);
    write_int8(out, 0);
    struct reader body;
    int err = peer_call(peer, false, &body);
    if (err < 0)
        return err;
    read_int32(&body);
    int32_t count = read_int32(&body);
    int16_t name = read_int16(&body);
    reader_take(&body, name > 0 ? (size_t)name : 0);
    err = read_int16(&body);
    return body.failed || count != 1 ? -EBADMSG : err;
}

static int delete_topic(struct peer *peer, const struct load_options *options)
{
    struct reader body;
    peer_begin(peer, WIRE_DELETE_TOPICS, WIRE_DELETE_TOPICS_VERSION, false);
    write_int32(&peer->out, 1);
    write_string(&peer->out, options->topic);
    write_int32(&peer->out, ADMIN_TIMEOUT_MS);
    int err = peer_call(peer, false, &body);
    if (err < 0)
        return err;
    read_int32(&body);
    int32_t count = read_int32(&body);
    int16_t name = read_int16(&body);
    reader_take(&body, name > 0 ? (size_t)name : 0);
    err = read_int16(&body);
    return body.failed || count != 1 ? -EBADMSG : err;
}

int load_topic(const struct load_options *options)
{
    const char *what = options->words[0] ? options->words[0] : "";
    struct peer peer;
    int err = peer_open(&peer, &options->address);
    if (err == 0)
        err = peer_api_versions(&peer);
    if (err != 0)
        die("no connection: %s", err < 0 ? strerror(-err) : "refused");
    int64_t start_ns = now_ns();
    if (strcmp(what, "create") == 0)
        err = create_topic(&peer, options);
    else if (strcmp(what, "delete") == 0)
        err = delete_topic(&peer, options);
    else if (strcmp(what, "wait") != 0)
        die("%s", usage);
    if (err != 0)
        die("%s %s: %s %d", what, options->topic, err < 0 ? strerror(-err) : "error", err);
    double response_ms = (double)(now_ns() - start_ns) / 1e6;
    if (strcmp(what, "delete") != 0)
        await_leaders(&peer, options);
    printf("{\"mode\":\"topic\",\"response_ms\":%.3f,\"leaders_ms\":%.3f}\n", response_ms,
           (double)(now_ns() - start_ns) / 1e6);
    peer_close(&peer);
    return 0;
}

int load_connections(const struct load_options *options)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct peer *peers = calloc((size_t)options->connections, sizeof *peers);
    int64_t start_ns = now_ns();
    for (int i = 0; i < options->connections; i++) {
        int err = peer_open(&peers[i], &options->address);
        if (err == 0)
            err = peer_api_versions(&peers[i]);
        if (err != 0)
            die("connection %d: %s", i, err < 0 ? strerror(-err) : "refused");
    }
    printf("{\"mode\":\"connections\",\"open\":%d,\"open_ms\":%.3f}\n", options->connections,
           (double)(now_ns() - start_ns) / 1e6);
    fflush(stdout);
    char drop[64];
    while (read(0, drop, sizeof drop) > 0)
        ;
    for (int i = 0; i < options->connections; i++)
        peer_close(&peers[i]);
    free(peers);
    return 0;
}

static double number(const char *text, double least)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !isfinite(value) || value < least)
        die("not a possible number: %s", text);
    return value;
}

static void parse(int argc, char **argv, struct load_options *ret)
{
    const char *address = NULL;
    int option;
    while ((option = getopt(argc, argv, "+b:t:P:p:c:k:r:n:w:s:m:a:B:l:g:d:D:o:")) != -1) {
        switch (option) {
        case 'b':
            address = optarg;
            break;
        case 't':
            ret->topic = optarg;
            break;
        case 'P':
            ret->partitions = (int)number(optarg, 1);
            break;
        case 'p':
            ret->partition = (int)number(optarg, 0);
            break;
        case 'c':
            ret->connections = (int)number(optarg, 1);
            break;
        case 'k':
            ret->inflight = (int)number(optarg, 1);
            break;
        case 'r':
            ret->rate = number(optarg, 0);
            break;
        case 'n':
            ret->count = (int64_t)number(optarg, 1);
            break;
        case 'w':
            ret->warmup = (int64_t)number(optarg, 0);
            break;
        case 's':
            ret->size = (int)number(optarg, 0);
            break;
        case 'm':
            ret->records = (int)number(optarg, 1);
            break;
        case 'a':
            ret->acks = (int)number(strcmp(optarg, "all") == 0 ? "-1" : optarg, -1);
            break;
        case 'B':
            ret->bytes = (int64_t)number(optarg, 0);
            break;
        case 'l':
            ret->log = optarg;
            break;
        case 'g':
            ret->group = optarg;
            break;
        case 'd':
            ret->seconds = number(optarg, 0);
            break;
        case 'D':
            ret->delay_ms = number(optarg, 0);
            break;
        case 'o':
            ret->of_partitions = (int)number(optarg, 1);
            break;
        default:
            die("%s", usage);
        }
    }
    if (!address)
        die("%s", usage);
    ret->address = address_parse(address);
    ret->words = argv + optind;
}

int main(int argc, char **argv)
{
    enum { TOPIC = 1, WORDS = 2, GROUP = 4 };
    static const struct {
        const char *name;
        int (*run)(const struct load_options *options);
        int needs;
    } modes[] = {
        {"produce", load_produce, TOPIC},
        {"fetch", load_fetch, TOPIC},
        {"tail", load_tail, TOPIC},
        {"first", load_first, WORDS},
        {"connections", load_connections, 0},
        {"topic", load_topic, TOPIC | WORDS},
        {"members", load_members, TOPIC | WORDS | GROUP},
        {"consumers", load_consumers, TOPIC | GROUP},
        {"idle", load_idle, TOPIC | GROUP},
        {"commits", load_commits, TOPIC | GROUP},
        {"fill", load_fill, TOPIC | GROUP},
        {"txn", load_txn, TOPIC | GROUP},
    };
    struct load_options options = {
        .partitions = 1,
        .connections = 1,
        .inflight = 5,
        .count = 1000,
        .size = 100,
        .records = 1,
        .acks = -1,
    };
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        parse(argc - 1, argv + 1, &options);
        int needs = modes[i].needs;
        if ((needs & TOPIC && !options.topic) || (needs & WORDS && !options.words[0]) ||
            (needs & GROUP && !options.group))
            die("%s", usage);
        return modes[i].run(&options);
    }
    die("%s", usage);
}
