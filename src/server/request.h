/* One request from its first byte to its last, on the loop that read it.
 *
 * A handler is one function over stages that only go forward. It answers (request_answer…) and
 * returns ANSWERED, or returns PARKED after it has arranged to be called again: by a waiter on a
 * watermark, a parking lock, a pool job or the deadline, all of which end in request_wake. "Look
 * again" calls the same function.
 *
 * Memory: everything of a request is in its arena and freed with it. Decoded strings and records
 * point into the received frame, which request_release_frame may give back early. */
#ifndef JACKDAW_SERVER_REQUEST_H
#define JACKDAW_SERVER_REQUEST_H

#include "protocol/api.h"
#include "server/broker.h"

struct request;
struct api_row;

enum outcome { ANSWERED, PARKED };

enum {
    /* What decoding a request and answering it may take beside the frame and the encoded answer. */
    REQUEST_ARENA_MAX_BYTES = 256 * 1024 * 1024,
    /* An arena above this is counted in the memory budget of received bytes. */
    REQUEST_CHARGE_BYTES = 64 * 1024,
    /* The encoded answer, without what is sent from files. */
    REQUEST_ANSWER_MAX_BYTES = 256 * 1024 * 1024,
};

/* What the server knows about a connection; conn->owner. */
struct session {
    struct broker_loop *home;
    struct broker_listener *listener;
    int32_t appending;         /* Produce requests begun whose partitions are not all appended */
    int32_t others;            /* other requests begun and not done */
    struct fetch_hints *hints; /* where the last fetches without a session ended; may be NULL */
    bool leaving;              /* see conn_quota_leave */
};

struct request {
    struct exchange exchange;
    struct broker_loop *home;
    const struct api_row *row;
    const struct api *api;
    int16_t version;
    int32_t correlation_id;
    struct str client_id;
    struct buf *frame;
    struct arena arena;
    size_t charged;         /* bytes of the arena in the memory budget */
    int32_t slice;          /* elements since the handler last yielded */
    struct out_piece whole; /* an answer without file ranges */
    const void *body;       /* the decoded request */
    void *work;             /* the handler's own, in the arena */
    struct loop_task again;
    _Atomic bool posted; /* `again` is in the mailbox */
    bool answered, ended, timed_out;
    bool appended; /* Produce: no longer holds back the next one */
    struct loop_timer deadline;
    /* Called when the exchange is over, to drop what the answer referred to: references, file
     * spans. May be NULL. */
    void (*cleanup)(struct request *request);
};

/* ANY THREAD: have the handler look again. Merged when it is already about to. */
void request_wake(struct request *request);
/* The same from under a lock: the loop is woken when the caller runs `wakes`. */
void request_wake_later(struct request *request, struct wakes *wakes);

/* For handlers that go through many elements: true now and then. The handler keeps its place and
 * answers PARKED; it is called again when the loop has looked at its other connections. */
#define REQUEST_SLICE_ELEMENTS 512
bool request_yield(struct request *request);

/* Look again at this time with timed_out set; with slack, up to so much later, together with what
 * else is due on the loop. */
void request_set_deadline(struct request *request, int64_t due_ns);
void request_set_deadline_about(struct request *request, int64_t due_ns, int64_t slack_ns);

/* Decoded strings and records are no longer needed. */
void request_release_frame(struct request *request);

/* Count in the memory budget what the arena has come to: for handlers that park with much in it.
 * No pool job may be using the arena. */
void request_charge(struct request *request);

/* Produce: every partition is appended, the next Produce of the connection may start. */
void request_appended(struct request *request);

/* A range of a log's file in an answer. `unreadable` hears why it could not be sent, on the loop,
 * before the connection closes: -ENODATA, the file ends before it; -EIO and the like. */
struct request_records {
    struct log_span span;
    void (*unreadable)(struct request_records *records, int err);
};

/* Encode and send. External records in the response are struct request_records *, which stay the
 * handler's: `cleanup` closes them, when they are sent or dropped. Always returns ANSWERED; a
 * response that cannot be encoded closes the connection. The request may be gone on return. */
enum outcome request_answer(struct request *request, const void *response);
/* acks=0: nothing is sent. */
enum outcome request_answer_nothing(struct request *request);
/* Close the connection instead (as Kafka does when it cannot answer in the protocol). */
enum outcome request_refuse(struct request *request, const char *reason);

/* The published image, valid until the handler returns. */
static inline const struct image *request_image(struct request *request)
{
    return image_get(&request->home->images);
}

static inline struct broker *request_broker(struct request *request)
{
    return request->home->broker;
}

static inline struct session *request_session(struct request *request)
{
    return request->exchange.conn->owner;
}

/* What this connection is to be told as the address of `node_id`: advertised.listeners if set, else
 * the local address of the connection itself. */
void request_advertised(struct request *request, struct str *ret_host, int32_t *ret_port);

/* The same for any broker of the image. False when it has no endpoint for this listener. */
bool request_endpoint(struct request *request, const struct broker_image *broker,
                      struct str *ret_host, int32_t *ret_port);

/* The connection is gone: parked requests look again, with timed_out set. */
void requests_abandon(struct conn *conn);

/* The node is stopping: requests that wait for what others do, or for what will not come any more,
 * look again with timed_out set. */
void requests_hurry(struct conn *conn);

/* Decode and run one frame; conn_ops.frame. */
bool request_begin(struct conn *conn, struct buf *frame);
/* conn_ops.may_deliver: requests run one after another, but Produce behind appended Produce. While
 * the node stops none begins. */
bool request_may_begin(struct conn *conn, const uint8_t *head, int32_t size);

#endif
