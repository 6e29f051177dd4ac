/* Sending the answers of one connection in request order. */
#include "net/conn_private.h"

#include <errno.h>
#include <stdlib.h>

#define TURN_WRITE_BYTES (1024 * 1024)
#define SENDFILE_SLICE_BYTES (128 * 1024)
#define WRITE_PARTS 64

struct conn_warm {
    struct pool_job job;
    struct conn *conn;
    struct env *env;
    struct out_piece *piece; /* the exchange lasts until the job is done */
    int file;
    int64_t offset;
    size_t size;
    int result;
};

static void piece_drop(struct out_piece *piece)
{
    if (piece->release)
        piece->release(piece->owner);
    buf_unref(piece->buf);
    piece->release = NULL;
    piece->buf = NULL;
}

/* Bytes of an answer are held in memory (or, negative, not any more). */
static void held_add(struct conn *conn, int64_t bytes)
{
    conn->held_bytes += bytes;
    conn->set->held_bytes += bytes;
}

/* The exchange is over: sent, or dropped. */
static void exchange_end(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    for (int32_t i = exchange->piece_at; i < exchange->piece_count; i++) {
        if (exchange->pieces[i].buf)
            held_add(conn, -exchange->pieces[i].size);
        piece_drop(&exchange->pieces[i]);
    }
    exchange->piece_count = 0;
    list_remove(&exchange->link);
    conn->inflight--;
    exchange->done(exchange);
    if (conn->blocked && !conn->in_turn && !conn->closed)
        conn_deliver(conn);
    else
        conn->blocked = false;
    conn_unref(conn);
}

void conn_drop_answers(struct conn *conn)
{
    if (conn->warm) /* its job still reads the range; it comes back here */
        return;
    list_for_each_safe (pos, &conn->order) {
        struct exchange *exchange = container_of(pos, struct exchange, link);
        if (exchange->ready)
            exchange_end(exchange);
    }
}

static void warm_run(struct pool_job *job)
{
    struct conn_warm *warm = container_of(job, struct conn_warm, job);
    uint8_t *sink = malloc(warm->size);
    if (!sink) {
        warm->result = -ENOMEM;
        return;
    }
    ssize_t n = env_read(warm->env, warm->file, sink, warm->size, warm->offset);
    warm->result = n < 0 ? (int)n : 0;
    free(sink);
}

/* A file range cannot be sent: after a part of the answer there is no other way to say so than to
 * close. */
static void piece_unreadable(struct conn *conn, const struct out_piece *piece, int err)
{
    if (piece->unreadable)
        piece->unreadable(piece, err);
    else
        say_error(conn->set->say, "cannot read a log segment", kv_text("error", result_text(err)));
    conn_close(conn, "log segment unreadable");
}

static void warm_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct conn_warm *warm = container_of(job, struct conn_warm, job);
    struct conn *conn = warm->conn;
    const struct out_piece *piece = warm->piece;
    int result = warm->result;
    conn->warm = NULL;
    if (result == 0) /* send it now, even if it went cold again or cannot be probed */
        warm->piece->warm_end = warm->offset + (int64_t)warm->size;
    free(warm);
    if (conn->closed) {
        conn_drop_answers(conn);
    } else if (result == -ENOMEM) {
        conn_close(conn, "out of memory");
    } else if (result < 0) {
        piece_unreadable(conn, piece, result);
    } else {
        conn_flush(conn);
        conn_watch(conn);
    }
    conn_unref(conn);
}

static void warm_start(struct conn *conn, struct out_piece *piece, size_t size)
{
    struct conn_warm *warm = calloc(1, sizeof *warm);
    if (!warm) {
        conn_close(conn, "out of memory");
        return;
    }
    *warm = (struct conn_warm){.conn = conn,
                               .env = conn->set->loop->env,
                               .piece = piece,
                               .file = piece->file,
                               .offset = piece->offset,
                               .size = size};
    warm->job.run = warm_run;
    warm->job.done = warm_done;
    conn->warm = warm;
    conn->refs++;
    pool_submit(conn->set->loop, &warm->job);
}

/* Send one slice of a file range: bytes sent, 0 when it cannot go now or the connection was closed,
 * -errno when it is to be. */
static ssize_t piece_send_file(struct conn *conn, struct out_piece *piece)
{
    struct env *env = conn->set->loop->env;
    size_t slice = piece->size < SENDFILE_SLICE_BYTES ? (size_t)piece->size : SENDFILE_SLICE_BYTES;
    if (piece->stale && piece->stale(piece))
        return -ESTALE;
    int64_t end = piece->offset + (int64_t)slice;
    if (piece->maybe_cold && end > piece->warm_end) {
        uint8_t last;
        ssize_t n = env_read_nowait(env, piece->file, &last, 1, end - 1);
        if (n == -EAGAIN) {
            warm_start(conn, piece, slice);
            return 0;
        }
        if (n <= 0) {
            piece_unreadable(conn, piece, n < 0 ? (int)n : -ENODATA);
            return 0;
        }
    }
    ssize_t n = env->ops->sock_sendfile(env, conn->watch.sock, piece->file, piece->offset, slice);
    if (n == 0 || n == -EIO) {
        piece_unreadable(conn, piece, n < 0 ? -EIO : -ENODATA);
        return 0;
    }
    if (n == -EAGAIN || n == -EINTR)
        return 0;
    return n;
}

/* Send memory pieces from the first exchange on, across exchanges, in one call. */
static ssize_t conn_send_memory(struct conn *conn)
{
    struct iovec parts[WRITE_PARTS];
    int count = 0;
    bool more = false;
    list_for_each (pos, &conn->order) {
        struct exchange *exchange = container_of(pos, struct exchange, link);
        if (!exchange->ready)
            break;
        int32_t i = exchange->piece_at;
        for (; i < exchange->piece_count && count < WRITE_PARTS && exchange->pieces[i].buf; i++) {
            const struct out_piece *piece = &exchange->pieces[i];
            parts[count++] = (struct iovec){piece->buf->data + piece->offset, (size_t)piece->size};
        }
        if (i < exchange->piece_count) {
            more = true; /* a file range follows, or more parts */
            break;
        }
    }
    struct env *env = conn->set->loop->env;
    ssize_t n = env->ops->sock_write(env, conn->watch.sock, parts, count, more);
    return n == -EAGAIN || n == -EINTR ? 0 : n;
}

/* Account for `n` sent bytes and end the exchanges that are wholly sent. */
static void conn_sent(struct conn *conn, size_t n)
{
    conn->output_bytes -= (int64_t)n;
    conn->set->bytes_out += (int64_t)n;
    while (!list_empty(&conn->order)) {
        struct exchange *first = list_first(&conn->order, struct exchange, link);
        if (!first->ready)
            return;
        while (first->piece_at < first->piece_count) {
            struct out_piece *piece = &first->pieces[first->piece_at];
            size_t step = (uint64_t)piece->size < n ? (size_t)piece->size : n;
            if (piece->buf)
                held_add(conn, -(int64_t)step);
            piece->offset += (int64_t)step;
            piece->size -= (int64_t)step;
            n -= step;
            if (piece->size > 0)
                return;
            piece_drop(piece);
            first->piece_at++;
        }
        bool was_in_turn = conn->in_turn;
        conn->in_turn = true; /* delivery goes on after the whole flush */
        exchange_end(first);
        conn->in_turn = was_in_turn;
        if (conn->closed)
            return;
    }
}

/* Whose answer waits for its peer, the one that took nothing for the longest first. */
static struct conn *slowest(const struct conn_set *set)
{
    list_for_each (pos, &set->stalled) {
        struct conn *conn = container_of(pos, struct conn, stall);
        if (conn->held_bytes > 0 && conn->wants_out && !conn->in_turn && !conn->warm)
            return conn;
    }
    return NULL;
}

/* Peers that do not take their answers must not use up the memory. */
static void conn_set_shed(struct conn_set *set)
{
    struct conn *conn;
    while (set->limits.held_max_bytes && set->held_bytes > set->limits.held_max_bytes &&
           (conn = slowest(set))) {
        char peer[NET_ADDRESS_TEXT_SIZE];
        net_address_format(&conn->peer, peer);
        if (conn_set_may_say(set))
            say_warn(set->say, "closing connection: answers that are not taken use up the memory",
                     kv_text("peer", peer), kv_int("bytes", conn->held_bytes));
        conn_close(conn, "answers not taken");
    }
}

void conn_flush(struct conn *conn)
{
    if (conn->closed || conn->connecting || conn->in_turn || conn->warm)
        return;
    conn->refs++;
    int64_t before = conn->set->bytes_out;
    size_t left = TURN_WRITE_BYTES;
    conn->wants_out = false;
    int32_t inflight = conn->inflight;
    while (!conn->closed && !conn->warm && !list_empty(&conn->order)) {
        struct exchange *first = list_first(&conn->order, struct exchange, link);
        if (!first->ready)
            break;
        if (first->piece_at == first->piece_count) {
            conn_sent(conn, 0);
            continue;
        }
        if (left == 0) {
            conn->wants_out = true;
            break;
        }
        struct out_piece *piece = &first->pieces[first->piece_at];
        ssize_t n = piece->buf ? conn_send_memory(conn) : piece_send_file(conn, piece);
        if (n < 0) {
            conn_close(conn, n == -ESTALE ? "log truncated under an answer" : result_text((int)n));
            break;
        }
        if (n == 0) {
            conn->wants_out = true;
            break;
        }
        left -= (size_t)n < left ? (size_t)n : left;
        conn_sent(conn, (size_t)n);
    }
    if (!conn->closed) {
        if (conn->set->bytes_out != before || !conn->wants_out)
            conn_progress(conn);
        else
            conn_stalled(conn);
        conn_watch(conn);
        /* Answers went out: frames that waited for that may be delivered now. Without that they go
         * on waiting: delivering flushes, so the two would keep each other busy. */
        bool sent = conn->inflight < inflight || conn->set->bytes_out != before;
        bool whole = conn->frame && conn->frame->size == conn->frame_size;
        if (sent && (conn->pending || whole) && !conn->starved)
            conn_deliver_later(conn);
        if (conn->wants_out)
            conn_set_shed(conn->set);
    }
    conn_unref(conn);
}

void exchange_begin(struct conn *conn, struct exchange *exchange,
                    void (*done)(struct exchange *exchange))
{
    *exchange = (struct exchange){.conn = conn, .done = done};
    list_push_back(&conn->order, &exchange->link);
    conn->refs++;
    conn->inflight++;
}

void exchange_finish(struct exchange *exchange, struct out_piece *pieces, int32_t count)
{
    struct conn *conn = exchange->conn;
    must(!exchange->ready);
    exchange->pieces = pieces;
    exchange->piece_count = count;
    exchange->ready = true;
    for (int32_t i = 0; i < count; i++) {
        conn->output_bytes += pieces[i].size;
        if (pieces[i].buf)
            held_add(conn, pieces[i].size);
    }
    if (conn->closed) {
        exchange_end(exchange);
        return;
    }
    if (conn->order.next == &exchange->link)
        conn_flush(conn);
}

/* A frame of our own that takes no answer's place. */
struct sent_frame {
    struct exchange exchange;
    struct out_piece piece;
};

static void sent_frame_done(struct exchange *exchange)
{
    free(container_of(exchange, struct sent_frame, exchange));
}

int conn_send(struct conn *conn, struct buf *frame)
{
    struct sent_frame *sent = conn->closed ? NULL : calloc(1, sizeof *sent);
    if (!sent) {
        buf_unref(frame);
        return conn->closed ? -ENOTCONN : -ENOMEM;
    }
    sent->piece = (struct out_piece){.buf = frame, .size = frame->size};
    exchange_begin(conn, &sent->exchange, sent_frame_done);
    exchange_finish(&sent->exchange, &sent->piece, 1);
    return 0;
}
