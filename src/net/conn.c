/* Reading and writing of one connection.
 *
 * 1. `pending` and `frame` hold everything read and not delivered: first `frame` (the frame under
 *    way), then `pending` (raw bytes after it). Both are NULL for an idle connection.
 * 2. Frames are delivered only while deliverable() says so. When it does not, `blocked` is set and
 *    the socket is not read; whoever makes room (an answer sent, conn_resume, the mute timer) takes
 *    up delivery again.
 * 3. Answers leave in the order in which their exchanges began. While frames are being delivered
 *    nothing is sent, so that the answers to pipelined requests go out in one call.
 * 4. File ranges go out by sendfile in slices. A range that may be cold is probed at the slice's
 * last byte; on a miss the slice is read on a pool thread first, so that no loop waits for a disk.
 */
#include "net/conn_private.h"

#include <errno.h>
#include <stdlib.h>

#define SCRATCH_BYTES (64 * 1024)
#define TURN_READ_BYTES (1024 * 1024)
#define TURN_FRAMES 64
#define SPARE_MIN_BYTES (256 * 1024)
#define SPARE_MAX_BYTES (2 * 1024 * 1024)
#define FRAME_HEAD_BYTES 8
#define LINE_TURN_NS (50 * INT64_C(1000000))
#define LINE_TURN_BYTES (16 * 1024) /* fewer in a turn are no progress */

void conn_unref(struct conn *conn)
{
    must(conn->refs > 0);
    if (--conn->refs > 0)
        return;
    must(conn->closed && list_empty(&conn->order));
    if (conn->set->ops->freed)
        conn->set->ops->freed(conn);
    conn->set->count--;
    free(conn);
}

bool conn_set_may_say(struct conn_set *set)
{
    int64_t now = set->loop->now_ns;
    if (set->said == 0 || now - set->said_second_ns >= INT64_C(1000000000)) {
        if (set->unsaid > 0)
            say_warn(set->say, "lines about bad clients were left out",
                     kv_int("count", set->unsaid));
        set->said_second_ns = now;
        set->said = set->unsaid = 0;
    }
    if (set->said == CONN_LINES_PER_SECOND) {
        set->unsaid++;
        return false;
    }
    set->said++;
    return true;
}

/* The sweep timer is armed for the earliest of the idle and stall deadlines. */
static void sweep_arm(struct conn_set *set)
{
    int64_t due = INT64_MAX;
    if (set->limits.idle_ns && !list_empty(&set->by_activity))
        due = list_first(&set->by_activity, struct conn, activity)->active_ns + set->limits.idle_ns;
    if (set->limits.stall_ns && !list_empty(&set->stalled)) {
        int64_t stall =
            list_first(&set->stalled, struct conn, stall)->progress_ns + set->limits.stall_ns;
        if (stall < due)
            due = stall;
    }
    if (due == INT64_MAX)
        loop_timer_cancel(set->loop, &set->sweep);
    else if (!heap_contains(&set->sweep.node) || due < set->sweep.due_ns)
        loop_timer_set(set->loop, &set->sweep, due);
}

static void sweep_fire(struct loop *loop, struct loop_timer *timer)
{
    struct conn_set *set = container_of(timer, struct conn_set, sweep);
    /* A stopped process must not lose everybody: its clients had no chance to show progress. */
    int64_t now = loop->now_ns - loop->gap_ns;
    while (set->limits.idle_ns && !list_empty(&set->by_activity)) {
        struct conn *conn = list_first(&set->by_activity, struct conn, activity);
        if (conn->active_ns + set->limits.idle_ns > now)
            break;
        if (conn->inflight > 0) { /* a parked request is not idleness */
            conn->active_ns = now;
            list_remove(&conn->activity);
            list_push_back(&set->by_activity, &conn->activity);
            continue;
        }
        conn_close(conn, "idle");
    }
    while (set->limits.stall_ns && !list_empty(&set->stalled)) {
        struct conn *conn = list_first(&set->stalled, struct conn, stall);
        if (conn->progress_ns + set->limits.stall_ns > now)
            break;
        conn_close(conn, "no progress");
    }
    sweep_arm(set);
}

static bool starved_first(const struct conn *conn)
{
    return conn->starved && conn->set->starved.next == &conn->starve;
}

/* Note progress, and whether the connection owes more of a frame or of an answer. */
void conn_progress(struct conn *conn)
{
    struct conn_set *set = conn->set;
    int64_t now = set->loop->now_ns;
    conn->active_ns = now;
    list_remove(&conn->activity);
    list_push_back(&set->by_activity, &conn->activity);
    bool waits = conn->blocked || (conn->starved && !starved_first(conn));
    bool owes = (conn->frame && !waits) || conn->wants_out;
    list_remove(&conn->stall);
    conn->progress_ns = now;
    if (owes)
        list_push_back(&set->stalled, &conn->stall);
    if (!heap_contains(&set->sweep.node) || owes)
        sweep_arm(set);
}

void conn_stalled(struct conn *conn)
{
    if (!list_empty(&conn->stall))
        return;
    conn->progress_ns = conn->set->loop->now_ns;
    list_push_back(&conn->set->stalled, &conn->stall);
    sweep_arm(conn->set);
}

void conn_watch(struct conn *conn)
{
    if (conn->closed || conn->connecting)
        return;
    unsigned events = 0;
    bool muted = conn->muted_until_ns > conn->set->loop->now_ns;
    if (!conn->blocked && (!conn->starved || starved_first(conn)) && !muted && !conn->again_queued)
        events |= ENV_POLL_IN;
    if (conn->wants_out && !conn->warm)
        events |= ENV_POLL_OUT;
    if (events != conn->watch.events)
        loop_sock_change(conn->set->loop, &conn->watch, events);
}

/* ---- memory ---- */

static bool budget_full(const struct conn_set *set)
{
    return atomic_load_explicit(&set->budget->used_bytes, memory_order_relaxed) >=
           set->budget->limit_bytes;
}

/* Charge bytes about to be held, whether there is room or not. */
static void budget_charge(struct conn_set *set, size_t bytes)
{
    atomic_fetch_add_explicit(&set->budget->used_bytes, (int64_t)bytes, memory_order_relaxed);
}

/* Charge bytes about to be held. The first in line may pass the limit, so that somebody can always
 * finish; it stays first until its frame is whole. */
static bool budget_take(struct conn *conn, size_t bytes)
{
    struct memory_budget *budget = conn->set->budget;
    int64_t used =
        atomic_fetch_add_explicit(&budget->used_bytes, (int64_t)bytes, memory_order_relaxed);
    if (used + (int64_t)bytes <= budget->limit_bytes || used == 0 || starved_first(conn))
        return true;
    atomic_fetch_sub_explicit(&budget->used_bytes, (int64_t)bytes, memory_order_relaxed);
    return false;
}

static void budget_give(struct conn_set *set, size_t bytes)
{
    atomic_fetch_sub_explicit(&set->budget->used_bytes, (int64_t)bytes, memory_order_relaxed);
}

void conn_deliver_later(struct conn *conn)
{
    if (conn->again_queued)
        return;
    conn->again_queued = true;
    loop_defer(conn->set->loop, &conn->again);
}

static void starved_wake_first(struct conn_set *set)
{
    if (!list_empty(&set->starved))
        conn_deliver_later(list_first(&set->starved, struct conn, starve));
}

/* Measure the turn of the first in line, if somebody waits behind it. */
static void turn_begin(struct conn_set *set)
{
    if (list_empty(&set->starved) || set->starved.next->next == &set->starved) {
        set->turn_of = NULL;
        loop_timer_cancel(set->loop, &set->turn);
        return;
    }
    struct conn *first = list_first(&set->starved, struct conn, starve);
    if (set->turn_of == first)
        return;
    set->turn_of = first;
    set->turn_frame_size = first->frame ? first->frame->size : 0;
    loop_timer_set(set->loop, &set->turn, set->loop->now_ns + LINE_TURN_NS);
}

static void conn_starve(struct conn *conn)
{
    if (conn->starved)
        return;
    conn->starved = true;
    list_push_back(&conn->set->starved, &conn->starve);
    if (starved_first(conn))
        conn_deliver_later(conn); /* nothing else on this loop would wake it */
    turn_begin(conn->set);
}

static void conn_feed(struct conn *conn)
{
    if (!conn->starved)
        return;
    conn->starved = false;
    list_remove(&conn->starve);
    starved_wake_first(conn->set);
    turn_begin(conn->set);
}

/* The turn of the first in line brought next to nothing. It may try again, unless it had its time,
 * or those who began in their turns and did not finish hold a whole frame beyond the limit. */
static bool turn_is_last(const struct conn_set *set, const struct conn *first)
{
    int64_t used = atomic_load_explicit(&set->budget->used_bytes, memory_order_relaxed);
    return used > set->budget->limit_bytes + set->limits.frame_max_bytes ||
           (set->limits.stall_ns && first->frame_ns + set->limits.stall_ns < set->loop->now_ns);
}

/* A peer that sends its frame a byte at a time must not keep the others from theirs. */
static void turn_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct conn_set *set = container_of(timer, struct conn_set, turn);
    struct conn *first = set->turn_of;
    set->turn_of = NULL;
    if (list_empty(&set->starved) || list_first(&set->starved, struct conn, starve) != first ||
        !first->frame || first->frame->size >= set->turn_frame_size + LINE_TURN_BYTES) {
        turn_begin(set);
        return;
    }
    if (turn_is_last(set, first)) {
        char peer[NET_ADDRESS_TEXT_SIZE];
        net_address_format(&first->peer, peer);
        if (conn_set_may_say(set))
            say_warn(set->say, "closing connection: too slow while others wait for memory",
                     kv_text("peer", peer), kv_int("received", first->frame->size),
                     kv_int("size", first->frame_size));
        conn_close(first, "too slow while others wait for memory");
        return;
    }
    list_remove(&first->starve);
    list_push_back(&set->starved, &first->starve);
    conn_progress(first); /* it waits now */
    conn_watch(first);
    starved_wake_first(set);
    turn_begin(set);
}

static struct buf *frame_buf(struct conn_set *set, size_t size)
{
    struct buf *spare = set->spare;
    if (spare && size <= spare->capacity && size >= spare->capacity / 2) {
        set->spare = NULL;
        spare->size = 0;
        return spare;
    }
    return buf_create(size);
}

void conn_set_charge(struct conn_set *set, size_t bytes)
{
    budget_charge(set, bytes);
}

void conn_set_discharge(struct conn_set *set, size_t bytes)
{
    budget_give(set, bytes);
    if (!list_empty(&set->starved) && !budget_full(set))
        conn_feed(list_first(&set->starved, struct conn, starve));
}

void conn_set_release(struct conn_set *set, struct buf *frame)
{
    if (!frame)
        return;
    size_t size = frame->size;
    if (!set->spare && frame->capacity >= SPARE_MIN_BYTES && frame->capacity <= SPARE_MAX_BYTES &&
        atomic_load_explicit(&frame->refs, memory_order_acquire) == 1)
        set->spare = frame;
    else
        buf_unref(frame);
    conn_set_discharge(set, size);
}

/* ---- frames in ---- */

static bool deliverable(struct conn *conn, const uint8_t *head, int32_t size)
{
    struct conn_set *set = conn->set;
    if (conn->inflight >= set->limits.inflight_max ||
        conn->output_bytes > set->limits.output_max_bytes ||
        conn->muted_until_ns > set->loop->now_ns)
        return false;
    return !set->ops->may_deliver || set->ops->may_deliver(conn, head, size);
}

static void frame_deliver(struct conn *conn, struct buf *frame)
{
    if (!conn->set->ops->frame(conn, frame))
        conn_close(conn, "request refused");
}

/* The frame under way is whole: deliver it, or stay blocked. Either way it wants no more memory, so
 * others may take its place in line. */
static bool frame_finish(struct conn *conn)
{
    struct buf *frame = conn->frame;
    conn_feed(conn);
    if (!deliverable(conn, frame->data, (int32_t)frame->size)) {
        conn->blocked = true;
        return false;
    }
    conn->frame = NULL;
    frame_deliver(conn, frame);
    return true;
}

/* Parse raw bytes; returns how many were consumed. Stops when blocked, starved, closed or when the
 * turn's share of frames is used up. */
static size_t conn_parse(struct conn *conn, const uint8_t *data, size_t size, int *frames_left)
{
    size_t at = 0;
    while (!conn->closed && *frames_left > 0) {
        if (conn->frame) {
            struct buf *frame = conn->frame;
            size_t want = conn->frame_size - frame->size;
            size_t step = want < size - at ? want : size - at;
            if (step == want) { /* held already, as raw bytes: refusing would save nothing */
                budget_charge(conn->set, step);
            } else if (step > 0 && !budget_take(conn, step)) {
                conn_starve(conn);
                break;
            }
            memcpy(frame->data + frame->size, data + at, step);
            frame->size += (uint32_t)step;
            at += step;
            if (frame->size < conn->frame_size || !frame_finish(conn))
                break;
            --*frames_left;
            continue;
        }
        if (size - at < 4)
            break;
        int32_t length = (int32_t)load_be32(data + at);
        if (length < 0 || length > conn->set->limits.frame_max_bytes) {
            char peer[NET_ADDRESS_TEXT_SIZE];
            net_address_format(&conn->peer, peer);
            if (conn_set_may_say(conn->set))
                say_warn(conn->set->say, "closing connection: invalid frame size",
                         kv_text("peer", peer), kv_int("size", length),
                         kv_int("max", conn->set->limits.frame_max_bytes));
            conn_close(conn, "invalid frame size");
            break;
        }
        size_t left = size - at - 4;
        if (left >= FRAME_HEAD_BYTES && left >= (size_t)length &&
            !deliverable(conn, data + at + 4, length)) {
            conn->blocked = true;
            break;
        }
        struct buf *frame = frame_buf(conn->set, (size_t)length);
        if (!frame) {
            conn_close(conn, "out of memory");
            break;
        }
        conn->frame = frame;
        conn->frame_size = (uint32_t)length;
        conn->frame_ns = conn->set->loop->now_ns;
        at += 4;
        if (length == 0) {
            if (!frame_finish(conn))
                break;
            --*frames_left;
        }
    }
    return at;
}

static void pending_free(struct conn_set *set, struct buf *pending)
{
    if (!pending)
        return;
    budget_give(set, pending->size);
    buf_unref(pending);
}

/* Keep what was not consumed. */
static void conn_keep(struct conn *conn, const uint8_t *data, size_t size)
{
    if (size == 0 || conn->closed)
        return;
    struct buf *keep = buf_create(size);
    if (!keep) {
        conn_close(conn, "out of memory");
        return;
    }
    memcpy(keep->data, data, size);
    keep->size = (uint32_t)size;
    must(!conn->pending);
    budget_charge(conn->set, size); /* never refused: no more was read than might be kept */
    conn->pending = keep;
    conn->pending_at = 0;
}

/* Parse what was kept; true when nothing is left of it. */
static bool conn_parse_pending(struct conn *conn, int *frames_left)
{
    struct buf *pending = conn->pending;
    if (!pending)
        return true;
    conn->pending = NULL; /* conn_close inside must not free it under us */
    size_t left = pending->size - conn->pending_at;
    size_t used = conn_parse(conn, pending->data + conn->pending_at, left, frames_left);
    if (used == left || conn->closed) {
        pending_free(conn->set, pending);
        return true;
    }
    conn->pending = pending;
    conn->pending_at += (uint32_t)used;
    return left - used < 4 && !conn->frame; /* a cut size: more must be read */
}

/* Read the socket once. Returns false when nothing more is to be had now. */
static bool conn_read(struct conn *conn, int *frames_left, size_t *bytes_left)
{
    struct conn_set *set = conn->set;
    struct env *env = set->loop->env;
    struct buf *frame = conn->frame;
    ssize_t n;
    if (frame && !conn->pending) { /* straight into the frame */
        size_t want = conn->frame_size - frame->size;
        if (want > *bytes_left)
            want = *bytes_left;
        if (!budget_take(conn, want)) {
            conn_starve(conn);
            return false;
        }
        n = env->ops->sock_read(env, conn->watch.sock, frame->data + frame->size, want);
        if (n < (ssize_t)want)
            budget_give(set, want - (n > 0 ? (size_t)n : 0));
        if (n > 0) {
            frame->size += (uint32_t)n;
            set->bytes_in += n;
            *bytes_left -= (size_t)n;
            if (frame->size == conn->frame_size && frame_finish(conn))
                --*frames_left;
            return (size_t)n == want;
        }
    } else {
        size_t kept = conn->pending ? conn->pending->size - conn->pending_at : 0;
        size_t room = budget_full(set) ? CONN_SMALL_BYTES : SCRATCH_BYTES;
        must(kept < 4);
        n = env->ops->sock_read(env, conn->watch.sock, set->scratch + kept, room - kept);
        if (n > 0) {
            if (kept) {
                memcpy(set->scratch, conn->pending->data + conn->pending_at, kept);
                pending_free(set, conn->pending);
                conn->pending = NULL;
            }
            set->bytes_in += n;
            *bytes_left -= (size_t)n < *bytes_left ? (size_t)n : *bytes_left;
            size_t size = kept + (size_t)n;
            size_t used = conn_parse(conn, set->scratch, size, frames_left);
            conn_keep(conn, set->scratch + used, size - used);
            return size == room || conn->frame;
        }
    }
    if (n == -EAGAIN || n == -EINTR)
        return false;
    conn_close(conn, n == 0 ? "closed by peer" : result_text((int)n));
    return false;
}

/* Deliver what is there and may be delivered, read on while the turn's share lasts, then send. */
void conn_deliver(struct conn *conn)
{
    if (conn->closed || conn->in_turn || conn->connecting)
        return;
    conn->in_turn = true;
    conn->refs++;
    conn->blocked = false;
    int frames_left = TURN_FRAMES;
    size_t bytes_left = TURN_READ_BYTES;
    if (conn->frame && conn->frame->size == conn->frame_size && frame_finish(conn))
        frames_left--;
    bool more = true;
    while (!conn->closed && !conn->blocked && more && frames_left > 0 && bytes_left > 0) {
        if (!conn_parse_pending(conn, &frames_left)) {
            more = false;
            break;
        }
        if (conn->closed || conn->blocked || (conn->starved && !starved_first(conn)) ||
            frames_left == 0)
            break;
        more = conn_read(conn, &frames_left, &bytes_left);
    }
    conn->in_turn = false;
    if (!conn->closed) {
        conn_progress(conn);
        /* Kept bytes make no socket ready: come back for them. */
        if (frames_left == 0 && conn->pending && !conn->blocked)
            conn_deliver_later(conn);
        conn_flush(conn);
        conn_watch(conn);
    }
    conn_unref(conn);
}

static void conn_again(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct conn *conn = container_of(task, struct conn, again);
    conn->again_queued = false;
    if (conn->closed) {
        conn_unref(conn);
        return;
    }
    conn_deliver(conn);
}

void conn_resume(struct conn *conn)
{
    if (conn->closed || !conn->blocked) /* nothing is held back: the socket tells of more */
        return;
    conn->blocked = false;
    if (!conn->in_turn)
        conn_deliver(conn);
}

static void unmute_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct conn *conn = container_of(timer, struct conn, unmute);
    conn->muted_until_ns = 0;
    conn_watch(conn);
    conn_resume(conn);
}

void conn_mute(struct conn *conn, int64_t until_ns)
{
    if (conn->closed || until_ns <= conn->muted_until_ns)
        return;
    conn->muted_until_ns = until_ns;
    loop_timer_set(conn->set->loop, &conn->unmute, until_ns);
    conn_watch(conn);
}

/* ---- life ---- */

static void conn_connected(struct conn *conn)
{
    struct env *env = conn->set->loop->env;
    int result = env->ops->sock_error(env, conn->watch.sock);
    conn->connecting = false;
    if (result == 0)
        conn_watch(conn);
    if (conn->set->ops->connected)
        conn->set->ops->connected(conn, result);
    if (result < 0) {
        conn_close(conn, result_text(result));
        return;
    }
    conn_flush(conn);
}

static void conn_ready(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    (void)loop;
    struct conn *conn = container_of(watch, struct conn, watch);
    conn->refs++;
    if (conn->connecting) {
        conn_connected(conn);
    } else {
        if (events & ENV_POLL_OUT)
            conn_flush(conn);
        if (!conn->closed && (events & ENV_POLL_IN))
            conn_deliver(conn);
        else if (!conn->closed && (events & ENV_POLL_HUP))
            conn_close(conn, "closed by peer");
    }
    conn_unref(conn);
}

static int conn_create(struct conn_set *set, int sock, const struct net_address *peer, void *owner,
                       unsigned events, struct conn **ret_conn)
{
    if (!set->scratch) {
        set->scratch = malloc(SCRATCH_BYTES);
        if (!set->scratch)
            return -ENOMEM;
    }
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return -ENOMEM;
    conn->watch = (struct loop_sock){.sock = sock, .ready = conn_ready};
    int err = loop_sock_add(set->loop, &conn->watch, events);
    if (err < 0) {
        free(conn);
        return err;
    }
    struct env *env = set->loop->env;
    if (set->limits.send_buffer_bytes > 0 || set->limits.receive_buffer_bytes > 0)
        env->ops->sock_buffers(env, sock, set->limits.send_buffer_bytes,
                               set->limits.receive_buffer_bytes);
    conn->set = set;
    conn->refs = 1;
    conn->owner = owner;
    conn->peer = *peer;
    conn->again.run = conn_again;
    list_init(&conn->activity);
    list_init(&conn->stall);
    list_init(&conn->starve);
    list_init(&conn->order);
    loop_timer_init(&conn->unmute, unmute_fire);
    set->count++;
    *ret_conn = conn;
    conn_progress(conn);
    return 0;
}

int conn_accept(struct conn_set *set, int sock, const struct net_address *peer, void *owner,
                struct conn **ret_conn)
{
    return conn_create(set, sock, peer, owner, ENV_POLL_IN, ret_conn);
}

int conn_connect(struct conn_set *set, const struct net_address *address, void *owner,
                 struct conn **ret_conn)
{
    struct env *env = set->loop->env;
    int sock = env->ops->sock_connect(env, address);
    if (sock < 0)
        return sock;
    struct conn *conn;
    int err = conn_create(set, sock, address, owner, ENV_POLL_OUT, &conn);
    if (err < 0) {
        env->ops->sock_close(env, sock);
        return err;
    }
    conn->connecting = true;
    *ret_conn = conn;
    return 0;
}

void conn_close(struct conn *conn, const char *reason)
{
    if (conn->closed)
        return;
    conn->closed = true;
    struct conn_set *set = conn->set;
    struct env *env = set->loop->env;
    conn->refs++;
    list_remove(&conn->activity);
    list_remove(&conn->stall);
    conn_feed(conn);
    loop_timer_cancel(set->loop, &conn->unmute);
    loop_sock_remove(set->loop, &conn->watch);
    env->ops->sock_close(env, conn->watch.sock);
    conn_set_release(set, conn->frame);
    conn->frame = NULL;
    pending_free(set, conn->pending);
    conn->pending = NULL;
    if (set->ops->closed)
        set->ops->closed(conn, reason);
    conn_drop_answers(conn);
    /* A queued `again` keeps the connection's own reference until it ran. */
    if (!conn->again_queued)
        conn_unref(conn);
    conn_unref(conn);
}

int conn_set_init(struct conn_set *set, struct loop *loop, const struct conn_ops *ops,
                  const struct conn_limits *limits, struct memory_budget *budget,
                  const struct say *say)
{
    *set = (struct conn_set){
        .loop = loop, .ops = ops, .limits = *limits, .budget = budget, .say = say};
    list_init(&set->by_activity);
    list_init(&set->stalled);
    list_init(&set->starved);
    loop_timer_init(&set->sweep, sweep_fire);
    loop_timer_init(&set->turn, turn_fire);
    return 0;
}

void conn_set_shutdown(struct conn_set *set, const char *reason)
{
    while (!list_empty(&set->by_activity))
        conn_close(list_first(&set->by_activity, struct conn, activity), reason);
}

void conn_set_close(struct conn_set *set)
{
    must(set->count == 0);
    loop_timer_cancel(set->loop, &set->sweep);
    loop_timer_cancel(set->loop, &set->turn);
    free(set->scratch);
    set->scratch = NULL;
    buf_unref(set->spare);
    set->spare = NULL;
}
