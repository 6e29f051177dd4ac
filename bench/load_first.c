/* From exec to the first answer: start a program and try until it serves.
 *
 * Prints {"pid":…, "connect_ms":…, "api_versions_ms":…} and, with a topic, "produce_ms": the first
 * acknowledged record; or, with a group, "offset_ms": the first committed offset. Then it waits for
 * the program to end, and ends with its status. A program that daemonises is not meant. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "group_frames.h"
#include "wire.h"

#define TRY_EVERY_NS 200000
#define GIVE_UP_NS (180 * 1000000000ll)

static pid_t start(const struct load_options *options)
{
    pid_t pid = vfork();
    if (pid < 0)
        die("vfork: %m");
    if (pid == 0) {
        int log =
            open(options->log ? options->log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (log >= 0) {
            dup2(log, 1);
            dup2(log, 2);
        }
        execvp(options->words[0], options->words);
        _exit(127);
    }
    return pid;
}

static void pause_ns(int64_t ns)
{
    struct timespec pause = {ns / 1000000000, ns % 1000000000};
    nanosleep(&pause, NULL);
}

static void check_alive(pid_t pid, int64_t start_ns)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid)
        die("the program ended: status %d", status);
    if (now_ns() - start_ns > GIVE_UP_NS)
        die("no answer within %lld s", GIVE_UP_NS / 1000000000);
}

/* 0, Kafka's error, or -errno. */
static int produce_once(struct peer *peer, const struct load_options *options)
{
    struct produce_spec spec = {options->topic, options->partition, (int16_t)options->acks, 1,
                                options->size};
    struct reader body;
    peer->out.size = 0;
    write_produce(&peer->out, &spec);
    store_be32(peer->out.data + FRAME_CORRELATION_AT, (uint32_t)++peer->correlation);
    int err = peer_call(peer, true, &body);
    return err < 0 ? err : produce_answer(&body);
}

/* The same for the offset that a group has committed. */
static int fetch_offset_once(struct peer *peer, const struct load_options *options)
{
    struct reader body;
    int64_t offset;
    peer_begin(peer, WIRE_OFFSET_FETCH, WIRE_OFFSET_FETCH_VERSION, true);
    write_offset_fetch(&peer->out, options->group, options->topic, options->partition);
    int err = peer_call(peer, true, &body);
    if (err == 0)
        err = offset_fetch_answer(&body, &offset);
    return err == 0 && offset < 0 ? NOT_COORDINATOR : err;
}

int load_first(const struct load_options *options)
{
    struct peer peer = {.sock = -1};
    double connect_ms = 0, api_versions_ms = 0;
    bool answered = false, produced = !options->topic;
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
    int64_t start_ns = now_ns();
    pid_t pid = start(options);
    double produce_ms = 0;
    while (!answered || !produced) {
        int err = 0;
        if (peer.sock < 0) {
            err = peer_open(&peer, &options->address);
            if (err == 0 && connect_ms == 0)
                connect_ms = (double)(now_ns() - start_ns) / 1e6;
        }
        if (err == 0 && !answered) {
            err = peer_api_versions(&peer);
            answered = err == 0;
            api_versions_ms = (double)(now_ns() - start_ns) / 1e6;
        }
        if (err == 0 && !produced) {
            err = options->group ? fetch_offset_once(&peer, options) : produce_once(&peer, options);
            produced = err == 0;
            produce_ms = (double)(now_ns() - start_ns) / 1e6;
        }
        if (err < 0)
            peer_close(&peer);
        if (err != 0) {
            check_alive(pid, start_ns);
            pause_ns(TRY_EVERY_NS);
        }
    }
    peer_close(&peer);
    printf("{\"mode\":\"first\",\"pid\":%d,\"connect_ms\":%.3f,\"api_versions_ms\":%.3f", (int)pid,
           connect_ms, api_versions_ms);
    if (options->topic)
        printf(",\"%s_ms\":%.3f", options->group ? "offset" : "produce", produce_ms);
    puts("}");
    fflush(stdout);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
