/* One connection, for servers and for outgoing links: frames in, answers out in request order.
 *
 * A frame is int32 size and that many bytes (Kafka protocol guide, "Network"). Everything here
 * belongs to the connection's loop; no call may be made from another thread.
 *
 * Life. conn_accept and conn_connect give one reference, the connection's own, which conn_close
 * drops. Every exchange that was begun holds one more until its `done` ran. So a closed connection
 * drains: its exchanges are completed by their owners, their answers are thrown away.
 *
 * Memory. An idle connection holds no buffer. Small frames are read through the loop's shared
 * scratch and copied out; a large frame is read straight into a buf of its size, whose bytes are
 * charged to the shared budget as they arrive. Over the budget a connection reads CONN_SMALL_BYTES
 * at a time, so that small requests still come through; one with more of a frame to come waits in
 * line, and the first in line may go on; if nothing comes of it for a moment, the next is first.
 * Answers in memory are limited for the whole set: above it the connection is closed whose peer has
 * taken nothing for the longest. */
#ifndef JACKDAW_NET_CONN_H
#define JACKDAW_NET_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/errors.h"
#include "base/say.h"
#include "os/loop.h"
#include "os/pool.h"

struct conn;
struct conn_set;

/* What a connection without a frame under way may read while the budget is used up: the most that
 * it passes the budget by. */
#define CONN_SMALL_BYTES 4096

/* Lines about bad peers that a set logs in a second. */
#define CONN_LINES_PER_SECOND 50

/* Received bytes that all connections of a node may hold at once. */
struct memory_budget {
    _Atomic int64_t used_bytes;
    int64_t limit_bytes;
};

struct conn_limits {
    int32_t frame_max_bytes;  /* socket.request.max.bytes: larger frames close the connection */
    int32_t inflight_max;     /* exchanges begun and not done, per connection */
    int64_t output_max_bytes; /* answers waiting to be sent; above it nothing more is delivered */
    int64_t held_max_bytes;   /* the same of all connections of the set, in memory; 0: no limit */
    int64_t idle_ns;          /* connections.max.idle.ms; 0: none */
    int64_t stall_ns;         /* a frame or answer under way without progress for this long */
    int send_buffer_bytes;    /* SO_SNDBUF, -1: the system's */
    int receive_buffer_bytes;
};

/* What the owner of a set of connections answers to. */
struct conn_ops {
    /* Whether the next frame may be delivered now; `head` are its first bytes (at most 8 after the
     * size: api key, version, correlation id). If not, conn_resume must be called later. NULL: yes.
     */
    bool (*may_deliver)(struct conn *conn, const uint8_t *head, int32_t size);
    /* One frame. The buf holds exactly it (data[0] is the first byte after the size) and one
     * reference to it is the callee's. Returns false to close the connection. */
    bool (*frame)(struct conn *conn, struct buf *frame);
    /* An outgoing connection is established (0) or failed (-errno; conn_close follows by itself).
     */
    void (*connected)(struct conn *conn, int result);
    /* The connection is closed now, for this reason; exchanges still drain. */
    void (*closed)(struct conn *conn, const char *reason);
    /* The last reference is gone; `conn` is freed after this returns. NULL: nothing to do. */
    void (*freed)(struct conn *conn);
};

/* The connections of one loop. */
struct conn_set {
    struct loop *loop;
    const struct conn_ops *ops;
    const struct say *say;
    struct conn_limits limits;
    struct memory_budget *budget;
    uint8_t *scratch;        /* while a turn reads; shared by all connections of the loop */
    struct list by_activity; /* least recently active first */
    struct list stalled;     /* frame or answer under way, least recent progress first */
    struct list starved;     /* waiting for the memory budget */
    struct loop_timer sweep;
    struct loop_timer turn;   /* of the first in line, while others wait behind it */
    struct conn *turn_of;     /* whose turn is measured, only to compare */
    uint32_t turn_frame_size; /* what had come of its frame then */
    struct buf *spare;        /* one large buf kept for the next large frame */
    int32_t count;
    int64_t bytes_in, bytes_out;
    int64_t held_bytes;     /* of answers in memory, not yet sent */
    int64_t said_second_ns; /* lines about bad peers: when this second began */
    int32_t said, unsaid;   /* in it */
    void *owner;
};

int conn_set_init(struct conn_set *set, struct loop *loop, const struct conn_ops *ops,
                  const struct conn_limits *limits, struct memory_budget *budget,
                  const struct say *say);
/* Close every connection; they are freed once drained. */
void conn_set_shutdown(struct conn_set *set, const char *reason);
void conn_set_close(struct conn_set *set); /* no connection may be left */

/* Give back the memory of a frame's buf: unref it and wake starved connections. */
void conn_set_release(struct conn_set *set, struct buf *frame);

/* Count memory of the owner's in the budget: what was decoded from a frame may be many times its
 * size. Never refused; it holds back the frames of others. */
void conn_set_charge(struct conn_set *set, size_t bytes);
void conn_set_discharge(struct conn_set *set, size_t bytes);

/* Whether a line about a bad peer may be logged. So many a second are; of the others one line tells
 * the number, so that an enemy does not fill the disk with the log. */
bool conn_set_may_say(struct conn_set *set);

/* A piece of an answer: bytes in a buf, or a range of a file. */
struct out_piece {
    struct buf *buf; /* a reference of the piece's own, or NULL for a file range */
    int file;
    int64_t offset; /* in buf->data or the file */
    int64_t size;
    void (*release)(void *owner); /* file ranges: called once when sent or dropped */
    void *owner;
    /* File ranges: false when the bytes are known to be in the page cache (just appended). */
    bool maybe_cold;
    int64_t warm_end; /* the connection's: read ahead up to here */
    /* File ranges: answers true when the range was truncated away; then the connection closes. */
    bool (*stale)(const struct out_piece *piece);
    uint32_t file_epoch;
    /* File ranges: told why the range cannot be sent, before the connection closes: -ENODATA, the
     * file ends before it; -EIO and the like. May be NULL. */
    void (*unreadable)(const struct out_piece *piece, int err);
};

/* A place in the order of answers. Embedded in the request. */
struct exchange {
    struct list link;
    struct conn *conn;
    struct out_piece *pieces; /* must live until done */
    int32_t piece_count;
    int32_t piece_at; /* first not wholly sent */
    bool ready;
    /* Everything was sent, or dropped with the connection, or there was nothing to send. The
     * exchange may be freed here. */
    void (*done)(struct exchange *exchange);
};

struct conn {
    struct loop_sock watch;
    struct conn_set *set;
    struct list activity; /* in set->by_activity */
    struct list stall;    /* in set->stalled */
    struct list starve;   /* in set->starved */
    struct list order;    /* exchanges, oldest first */
    int32_t refs;
    int32_t inflight;
    int64_t active_ns;
    int64_t progress_ns;
    int64_t output_bytes; /* of ready exchanges, not yet sent */
    int64_t held_bytes;   /* those of them in memory */
    struct buf *frame;    /* the frame under way: size bytes of it have arrived */
    uint32_t frame_size;  /* bytes it will have */
    int64_t frame_ns;     /* when it began */
    struct buf *pending;  /* raw bytes read and not yet parsed, from pending_at on */
    uint32_t pending_at;
    int64_t muted_until_ns; /* throttled: nothing is delivered before */
    struct loop_timer unmute;
    struct loop_task again; /* more to parse than a turn allowed */
    struct conn_warm *warm; /* a cold file range is being read */
    struct net_address peer;
    void *owner; /* the set's owner's state for this connection */
    bool connecting, closed, blocked, starved, again_queued, wants_out;
    bool in_turn; /* frames are being delivered: answers are sent at the end of it */
};

/* Take over an accepted socket. -errno: the socket is still the caller's. */
int conn_accept(struct conn_set *set, int sock, const struct net_address *peer, void *owner,
                struct conn **ret_conn);
/* Start connecting. */
int conn_connect(struct conn_set *set, const struct net_address *address, void *owner,
                 struct conn **ret_conn);

/* Close at once; `closed` is called (once). Calling it again does nothing. */
void conn_close(struct conn *conn, const char *reason);

/* Deliver frames again after may_deliver said no, or a limit was met. */
void conn_resume(struct conn *conn);

/* Deliver nothing before this time (KIP-219: a throttled client is answered, then muted). */
void conn_mute(struct conn *conn, int64_t until_ns);

/* Take the next place in the order of answers. */
void exchange_begin(struct conn *conn, struct exchange *exchange,
                    void (*done)(struct exchange *exchange));
/* The answer: pieces start with the int32 size. No pieces: nothing is sent (acks=0). Sends what can
 * be sent now when it is first in order. */
void exchange_finish(struct exchange *exchange, struct out_piece *pieces, int32_t count);

/* Send a frame of our own, size included: requests of a client. Takes over the reference to it,
 * also on failure (-ENOMEM, -ENOTCONN). */
int conn_send(struct conn *conn, struct buf *frame);

#endif
