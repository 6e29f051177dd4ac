/* See agents.h. */
#include "agents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define EVENTS_MAX 256
#define IN_BYTES 512           /* most answers are small */
#define IN_BYTES_MAX (8 << 20) /* no answer that is asked for here is larger */
#define DESCRIPTORS_BESIDE 64  /* standard files and the poller */
#define CORRELATION_MASK 0x7fffffff

void agents_init(struct agents *agents)
{
    *agents = (struct agents){.poller = epoll_create1(EPOLL_CLOEXEC)};
    if (agents->poller < 0)
        die("epoll_create1: %m");
    heap_init(&agents->timers);
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
}

void agents_watch_input(struct agents *agents)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(agents->poller, EPOLL_CTL_ADD, 0, &event) < 0)
        die("standard input is to be a pipe: %m");
}

void need_descriptors(int count)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < (rlim_t)count + DESCRIPTORS_BESIDE)
        die("%d connections need a higher limit of open files than %ld", count,
            (long)files.rlim_cur);
}

void agent_open(struct agents *agents, struct agent *agent, const struct sockaddr_in *address)
{
    struct peer peer;
    int err = peer_open(&peer, address);
    if (err == 0)
        err = peer_api_versions(&peer);
    if (err != 0)
        die("no connection: %s", err < 0 ? strerror(-err) : "refused");
    agent->all = agents;
    agent->sock = peer.sock;
    peer.sock = -1;
    peer_close(&peer);
    agent->in_capacity = IN_BYTES;
    agent->in = malloc(agent->in_capacity);
    heap_node_init(&agent->timer);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = agent};
    if (!agent->in || epoll_ctl(agents->poller, EPOLL_CTL_ADD, agent->sock, &event) < 0)
        die("no connection: %m");
}

void agent_close(struct agent *agent)
{
    agent_unset(agent);
    close(agent->sock);
    free(agent->in);
    writer_close(&agent->out);
    agent->sock = -1;
    agent->in = NULL;
}

void agent_begin(struct agent *agent, int16_t key, int16_t version, bool flexible)
{
    if (agent->asking)
        die("a request before the answer to the last one");
    agent->out.size = agent->out_from = 0;
    agent->flexible = flexible;
    agent->correlation = (agent->correlation + 1) & CORRELATION_MASK;
    frame_begin(&agent->out, key, version, agent->correlation, flexible);
}

static void flush(struct agent *agent)
{
    while (agent->out_from < agent->out.size) {
        ssize_t n = send(agent->sock, agent->out.data + agent->out_from,
                         agent->out.size - agent->out_from, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR)
            die("send: %m");
        agent->out_from += n > 0 ? (size_t)n : 0;
    }
    bool wants_out = agent->out_from < agent->out.size;
    if (wants_out == agent->wants_out)
        return;
    struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = agent};
    if (epoll_ctl(agent->all->poller, EPOLL_CTL_MOD, agent->sock, &event) < 0)
        die("epoll_ctl: %m");
    agent->wants_out = wants_out;
}

void agent_send(struct agent *agent)
{
    frame_end(&agent->out, 0);
    agent->asking = true;
    agent->asked_ns = now_ns();
    flush(agent);
}

void agent_unset(struct agent *agent)
{
    if (heap_contains(&agent->timer))
        heap_remove(&agent->all->timers, &agent->timer);
}

void agent_set(struct agent *agent, int64_t due_ns)
{
    agent_unset(agent);
    if (heap_insert(&agent->all->timers, &agent->timer, due_ns) < 0)
        die("out of memory");
}

/* The whole frame is there: at most one, because one request is under way. */
static void take_frame(struct agent *agent, int64_t now)
{
    struct reader body = reader_of(agent->in + 4, agent->in_size - 4);
    int32_t correlation = read_int32(&body);
    if (!agent->asking || correlation != agent->correlation ||
        (agent->flexible && read_uvarint(&body) != 0))
        die("an answer to no request");
    agent->asking = false;
    agent->in_size = 0;
    agent->answered(agent, &body, now);
}

static void receive(struct agent *agent)
{
    for (;;) {
        size_t wanted = agent->in_size < 4 ? 0 : 4 + (size_t)load_be32(agent->in);
        if (wanted > IN_BYTES_MAX)
            die("an answer of %zu bytes", wanted);
        if (wanted > 0 && wanted == agent->in_size) {
            take_frame(agent, now_ns());
            return;
        }
        if (wanted > agent->in_capacity) {
            agent->in = realloc(agent->in, wanted);
            agent->in_capacity = wanted;
            if (!agent->in)
                die("out of memory");
        }
        size_t most = (wanted > 0 ? wanted : agent->in_capacity) - agent->in_size;
        ssize_t n = recv(agent->sock, agent->in + agent->in_size, most, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n == 0 || (n < 0 && errno != EINTR))
            die("the connection ended: %s", n == 0 ? "closed" : strerror(errno));
        agent->in_size += n > 0 ? (size_t)n : 0;
        if (agent->in_size >= 4 && 4 + (size_t)load_be32(agent->in) < agent->in_size)
            die("more than an answer");
    }
}

static void take_input(struct agents *agents)
{
    char drop[64];
    if (read(0, drop, sizeof drop) > 0)
        return;
    agents->input_ended = true;
    epoll_ctl(agents->poller, EPOLL_CTL_DEL, 0, NULL);
}

static void run_timers(struct agents *agents)
{
    for (;;) {
        struct heap_node *first = heap_first(&agents->timers);
        int64_t now = now_ns();
        if (!first || first->key > now)
            return;
        struct agent *agent = owner_of(first, struct agent, timer);
        agent_unset(agent);
        agent->due(agent, now);
    }
}

void agents_turn(struct agents *agents, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    run_timers(agents);
    struct heap_node *first = heap_first(&agents->timers);
    if (first && first->key < until_ns)
        until_ns = first->key;
    int64_t left = until_ns - now_ns();
    left = left > 0 ? left : 0;
    struct timespec timeout = {left / 1000000000, left % 1000000000};
    int n = epoll_pwait2(agents->poller, events, EVENTS_MAX, &timeout, NULL);
    if (n < 0 && errno != EINTR)
        die("epoll_pwait2: %m");
    for (int i = 0; i < n; i++) {
        struct agent *agent = events[i].data.ptr;
        if (!agent) {
            take_input(agents);
            continue;
        }
        if (agent->sock >= 0 && events[i].events & EPOLLOUT)
            flush(agent);
        if (agent->sock >= 0 && events[i].events & ~(uint32_t)EPOLLOUT)
            receive(agent);
    }
}

static int compare_latencies(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void print_latencies(int64_t *latencies, int64_t count)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
    if (count == 0)
        return;
    qsort(latencies, (size_t)count, sizeof *latencies, compare_latencies);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        int64_t at = (int64_t)(points[i].share * (double)count);
        at = at < count ? at : count - 1;
        printf(",\"%s_us\":%.1f", points[i].name, (double)latencies[at] / 1e3);
    }
    printf(",\"max_us\":%.1f", (double)latencies[count - 1] / 1e3);
}
