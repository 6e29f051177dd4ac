/* Open-loop producing: request i is due at start + i / rate, whatever happened to those before it.
 *
 * Its latency counts from the moment it was due, so that a broker that stalls is charged for all
 * that had to wait (no coordinated omission). Request i goes to connection i % connections; each
 * connection keeps at most `inflight` unanswered requests and sends the rest as answers come. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agents.h"
#include "wire.h"

#define DRAIN_NS (10 * 1000000000ll) /* how long to wait for the last answers */
#define IN_BYTES 65536
#define OUT_REQUESTS 64 /* requests handed to one write at most */
#define EVENTS_MAX 256

struct lane {
    int sock;
    int64_t next;    /* index of the next request of this lane */
    int64_t *due_ns; /* ring of `inflight`: when the unanswered ones were due */
    int head, unanswered;
    int32_t correlation, answered;
    uint8_t *out; /* what a full socket did not take */
    size_t out_from, out_to, out_capacity;
    uint8_t *in;
    size_t in_size;
    bool wants_out;
};

struct run {
    const struct load_options *options;
    struct writer *templates; /* a whole request per partition */
    struct lane *lanes;
    int poller;
    int64_t start_ns;
    int64_t *latencies;
    int64_t sent, answered, recorded, refused, late_sends;
    int64_t last_due_ns, last_answer_ns;
    int first_error;
};

static int64_t due_of(const struct run *run, int64_t index)
{
    if (run->options->rate <= 0)
        return 0;
    return run->start_ns + (int64_t)((double)index * 1e9 / run->options->rate);
}

static void watch(struct run *run, struct lane *lane, bool out)
{
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = lane};
    if (epoll_ctl(run->poller, EPOLL_CTL_MOD, lane->sock, &event) < 0)
        die("epoll_ctl: %m");
    lane->wants_out = out;
}

static void flush(struct run *run, struct lane *lane)
{
    while (lane->out_from < lane->out_to) {
        ssize_t n = send(lane->sock, lane->out + lane->out_from, lane->out_to - lane->out_from,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR)
            die("send: %m");
        lane->out_from += n > 0 ? (size_t)n : 0;
    }
    if (lane->out_from == lane->out_to)
        lane->out_from = lane->out_to = 0;
    if (lane->wants_out != (lane->out_to > 0))
        watch(run, lane, lane->out_to > 0);
}

/* Append request `index` to what the lane sends next. */
static void queue(struct run *run, struct lane *lane, int64_t index, int64_t due_ns)
{
    const struct writer *request = &run->templates[index % run->options->partitions];
    memcpy(lane->out + lane->out_to, request->data, request->size);
    store_be32(lane->out + lane->out_to + FRAME_CORRELATION_AT, (uint32_t)lane->correlation++);
    lane->out_to += request->size;
    int slot = (lane->head + lane->unanswered) % run->options->inflight;
    lane->due_ns[slot] = due_ns;
    if (run->options->acks != 0)
        lane->unanswered++;
    else
        run->answered++;
    run->sent++;
}

/* Send what is due and may be sent. */
static void advance(struct run *run, struct lane *lane, int64_t now)
{
    const struct load_options *options = run->options;
    size_t request = run->templates[0].size;
    while (lane->next < options->count && lane->unanswered < options->inflight) {
        int64_t due_ns = due_of(run, lane->next);
        if (due_ns > now)
            break;
        if (lane->out_to + request > lane->out_capacity) {
            flush(run, lane);
            if (lane->out_to + request > lane->out_capacity)
                break;
        }
        run->late_sends += due_ns > 0 && now - due_ns > 1000000;
        queue(run, lane, lane->next, due_ns > 0 ? due_ns : now);
        run->last_due_ns = due_ns > 0 ? due_ns : now;
        lane->next += options->connections;
    }
    if (lane->out_to > lane->out_from && !lane->wants_out)
        flush(run, lane);
}

static void take_answer(struct run *run, struct lane *lane, struct reader frame, int64_t now)
{
    if (read_int32(&frame) != lane->answered)
        die("an answer out of order");
    lane->answered++;
    int error = read_uvarint(&frame) == 0 ? produce_answer(&frame) : -EBADMSG;
    if (lane->unanswered == 0)
        die("an answer to no request");
    int64_t due_ns = lane->due_ns[lane->head];
    lane->head = (lane->head + 1) % run->options->inflight;
    lane->unanswered--;
    run->answered++;
    run->last_answer_ns = now;
    if (error != 0) {
        run->refused++;
        run->first_error = run->first_error ? run->first_error : error;
    } else if (run->answered > run->options->warmup) {
        run->latencies[run->recorded++] = now - due_ns;
    }
}

static void receive(struct run *run, struct lane *lane)
{
    ssize_t n = recv(lane->sock, lane->in + lane->in_size, IN_BYTES - lane->in_size, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        die("the connection ended: %s", n == 0 ? "closed" : strerror(errno));
    lane->in_size += n > 0 ? (size_t)n : 0;
    int64_t now = now_ns();
    size_t at = 0;
    while (lane->in_size - at >= 4) {
        size_t size = load_be32(lane->in + at);
        if (size > IN_BYTES - 4)
            die("an answer of %zu bytes", size);
        if (lane->in_size - at - 4 < size)
            break;
        take_answer(run, lane, reader_of(lane->in + at + 4, size), now);
        at += 4 + size;
    }
    memmove(lane->in, lane->in + at, lane->in_size - at);
    lane->in_size -= at;
}

static void open_lanes(struct run *run)
{
    const struct load_options *options = run->options;
    run->lanes = calloc((size_t)options->connections, sizeof *run->lanes);
    for (int i = 0; i < options->connections; i++) {
        struct lane *lane = &run->lanes[i];
        struct peer peer;
        int err = peer_open(&peer, &options->address);
        if (err == 0)
            err = peer_api_versions(&peer);
        if (err != 0)
            die("connection %d: %s", i, err < 0 ? strerror(-err) : "refused");
        lane->sock = dup(peer.sock);
        peer_close(&peer);
        lane->next = i;
        lane->due_ns = calloc((size_t)options->inflight, sizeof *lane->due_ns);
        lane->out_capacity = run->templates[0].size * OUT_REQUESTS;
        lane->out = malloc(lane->out_capacity);
        lane->in = malloc(IN_BYTES);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
        if (!lane->due_ns || !lane->out || !lane->in ||
            epoll_ctl(run->poller, EPOLL_CTL_ADD, lane->sock, &event) < 0)
            die("connection %d: %m", i);
    }
}

static void wait_for_events(struct run *run, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t left = until_ns - now_ns();
    left = left > 0 ? left : 0;
    struct timespec timeout = {left / 1000000000, left % 1000000000};
    int n = epoll_pwait2(run->poller, events, EVENTS_MAX, &timeout, NULL);
    if (n < 0 && errno != EINTR)
        die("epoll_pwait2: %m");
    for (int i = 0; i < n; i++) {
        struct lane *lane = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            flush(run, lane);
        if (events[i].events & ~EPOLLOUT)
            receive(run, lane);
        advance(run, lane, now_ns());
    }
}

static void turn_until_done(struct run *run)
{
    const struct load_options *options = run->options;
    int64_t next = 0, give_up_ns = INT64_MAX; /* next: first request whose time has not come */
    while (run->answered < options->count) {
        int64_t now = now_ns();
        if (options->rate <= 0) {
            for (int i = 0; next == 0 && i < options->connections; i++)
                advance(run, &run->lanes[i], now);
            next = options->count;
        }
        while (next < options->count && due_of(run, next) <= now) {
            advance(run, &run->lanes[next % options->connections], now);
            next++;
        }
        if (next < options->count) {
            wait_for_events(run, due_of(run, next));
            continue;
        }
        if (options->rate > 0 && give_up_ns == INT64_MAX)
            give_up_ns = now + DRAIN_NS;
        if (now >= give_up_ns)
            break;
        wait_for_events(run, now + 100000000);
    }
}

static void report(struct run *run, double cpu_s)
{
    const struct load_options *options = run->options;
    int64_t end_ns = run->last_answer_ns ? run->last_answer_ns : now_ns();
    double wall_s = (double)(end_ns - run->start_ns) / 1e9;
    printf("{\"mode\":\"produce\",\"requests\":%ld,\"sent\":%ld,\"answered\":%ld,\"refused\":%ld,"
           "\"first_error\":%d,\"request_bytes\":%zu,\"wall_s\":%.4f,\"per_s\":%.1f,"
           "\"behind_ms\":%.3f,\"late_sends\":%ld,\"client_cpu_s\":%.4f",
           (long)options->count, (long)run->sent, (long)run->answered, (long)run->refused,
           run->first_error, run->templates[0].size, wall_s, (double)run->answered / wall_s,
           (double)(end_ns - run->last_due_ns) / 1e6, (long)run->late_sends, cpu_s);
    print_latencies(run->latencies, run->recorded);
    puts("}");
}

int load_produce(const struct load_options *options)
{
    struct run run = {.options = options, .poller = epoll_create1(EPOLL_CLOEXEC)};
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
    run.templates = calloc((size_t)options->partitions, sizeof *run.templates);
    run.latencies = malloc((size_t)options->count * sizeof *run.latencies);
    if (!run.templates || !run.latencies || run.poller < 0)
        die("no memory for %ld requests", (long)options->count);
    for (int i = 0; i < options->partitions; i++) {
        struct produce_spec spec = {options->topic, i, (int16_t)options->acks, options->records,
                                    options->size};
        write_produce(&run.templates[i], &spec);
    }
    open_lanes(&run);
    double cpu_s = own_cpu_s();
    run.start_ns = now_ns();
    turn_until_done(&run);
    report(&run, own_cpu_s() - cpu_s);
    return run.answered < options->count || run.refused > 0;
}
