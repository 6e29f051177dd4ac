/* The client's core: connections to a cluster's brokers, and single requests over them.
 *
 * A client belongs to one loop; no call may be made from another thread. It keeps one connection
 * per broker, made when first needed, negotiates versions on it (KIP-511) and sends requests in the
 * order in which they were given for that broker. Requests behind each other on one connection are
 * answered in that order, so whoever waits long (fetches) and whoever must not wait (produces) use
 * two clients.
 *
 * A request is one attempt at one broker; what to repeat is for its owner to know (leader_call.h,
 * producer.h). Completions are never called from within the call that began the request. */
#ifndef JACKDAW_CLIENT_CORE_H
#define JACKDAW_CLIENT_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/say.h"
#include "os/loop.h"
#include "protocol/api.h"

struct client;
struct client_node;

/* The broker that can be reached soonest. */
#define CLIENT_ANY_NODE (-1)

#define CLIENT_BOOTSTRAP_MAX 32
#define CLIENT_HOST_MAX 255
#define CLIENT_VERSION_TEXT "0.1.0"

struct client_settings {
    const char *const *bootstrap; /* "host:port"; copied */
    int bootstrap_count;
    const char *client_id; /* copied */
    int64_t request_timeout_ns;
    int64_t connect_timeout_ns; /* resolving, connecting and negotiating, together */
    int64_t backoff_min_ns;     /* before the second attempt; doubles, with 20 % of chance */
    int64_t backoff_max_ns;
    int64_t metadata_max_age_ns;
    int64_t idle_ns;          /* unused connections are closed after this; 0: never */
    int32_t inflight_max;     /* unanswered requests per broker; further ones wait */
    int32_t frame_max_bytes;  /* of an answer */
    int64_t memory_max_bytes; /* of received frames, all together */
    bool create_topics;       /* let brokers create topics that are asked for */
};

/* Kafka's defaults for its clients; bootstrap is left empty. */
void client_settings_init(struct client_settings *ret_settings);

/* 0, -EINVAL for a malformed bootstrap address or none, or -ENOMEM. `say` must outlive it. */
int client_create(struct loop *loop, const struct client_settings *settings, const struct say *say,
                  struct client **ret_client);

/* End: every request fails with -ECANCELED (from here), connections close, and when all of that is
 * over `closed` is called from the loop and the client is gone. Completions of what is under way
 * are called from within; it may itself be called from a completion. */
void client_close(struct client *client, void (*closed)(void *context), void *context);

/* Told by client_close before anything else; linked while it wants to be. */
struct client_hook {
    struct list link;
    void (*closing)(struct client_hook *hook);
};
void client_hook_add(struct client *client, struct client_hook *hook);

struct loop *client_loop(struct client *client);
const struct client_settings *client_settings(const struct client *client);

/* The wait before attempt number `attempt` (0: the first): settings' backoff, never the same for
 * all clients. */
int64_t client_backoff_ns(struct client *client, int attempt);

/* One request, embedded in its owner. The owner sets the first block; `done` and the last one are
 * valid once it was called. */
struct client_request {
    int16_t key;
    const void *message; /* the key's request struct; must live until done */
    int16_t min_version; /* what the owner can do with; default: all that the protocol has */
    int16_t max_version;
    int64_t timeout_ns; /* default: the client's */
    bool no_answer;     /* none comes (acks=0): done when it was handed to the connection */

    /* 0: `response` holds the answer, whatever error codes are in it. -ENOTSUP: no common version.
     * -ENOENT: no such node. -ETIMEDOUT, or how the connection failed: the request may have been
     * executed if `sent`. -ECANCELED: the client was closed. */
    void (*done)(struct client_request *request, int result);

    int16_t version;   /* of the request and its response */
    void *response;    /* the key's response struct, in the arena; its bytes point into the frame */
    int32_t node_id;   /* who was asked */
    bool sent;         /* handed to a connection */
    struct buf *frame; /* all that is received stays until client_request_release */
    struct arena arena;

    /* The core's. */
    const struct api *api;
    struct client *client;
    struct client_node *node;
    struct list link;
    int32_t correlation_id;
    int result;
    bool active;
    struct loop_timer timer;
};

/* All defaults, not active. */
void client_request_init(struct client_request *request, int16_t key, const void *message,
                         void (*done)(struct client_request *request, int result));

/* Begin; it must not be active, and what an earlier use received must be released. */
void client_send(struct client *client, struct client_request *request, int32_t node_id);

/* Drop what was received. Nothing happens when there is nothing. */
void client_request_release(struct client_request *request);

/* Send nothing to this broker before so many milliseconds have passed (KIP-219). */
void client_throttle(struct client *client, int32_t node_id, int32_t throttle_ms);

#endif
