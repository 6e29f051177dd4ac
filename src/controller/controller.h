/* The controller: decides what the cluster becomes, and answers when it is so.
 *
 * decide(head, request) -> records and response; the records are applied to the head state at once
 * and proposed to the quorum; when they are committed they are folded into the published image, and
 * then the request is answered. The head state is the committed image and what is proposed on top
 * of it; when the leadership ends or a proposal fails, it is dropped (ARCHITECTURE.md, rule 18).
 *
 * Threads. A controller, its quorum and the image publisher share one home loop. Calls are made
 * there, but for those marked ANY LOOP. */
#ifndef JACKDAW_CONTROLLER_CONTROLLER_H
#define JACKDAW_CONTROLLER_CONTROLLER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/say.h"
#include "metadata/config_keys_broker.h"
#include "metadata/publisher.h"
#include "os/loop.h"
#include "protocol/api.h"
#include "quorum/quorum.h"

struct controller;
struct work;

enum {
    CONTROLLER_OPS_MAX = 10000,               /* ops waiting or under way; more: THROTTLING… */
    CONTROLLER_PARTITIONS_PER_OP_MAX = 10000, /* partitions created by one request; Kafka's bound */
    CONTROLLER_TOPICS_MAX = 1000000,          /* of the cluster */
    CONTROLLER_PARTITIONS_MAX = 2000000,      /* of the cluster */
    CONTROLLER_BROKERS_MAX = 10000,           /* registrations */
    CONTROLLER_PRODUCER_ID_BLOCK = 1000,      /* ids handed out at once; Kafka's */
    CONTROLLER_TOPIC_NAME_MAX = 249,          /* characters; Kafka's */
};

struct controller_params {
    struct env *env;
    struct loop *loop; /* home */
    const struct say *say;
    struct image_publisher *publisher;
    int32_t node_id;
    struct str cluster_id; /* copied */
    /* This node's configuration: num.partitions, default.replication.factor, and for the checks of
     * topic and broker configs. Must stay valid until controller_set_config replaces it. */
    const struct broker_config *config;
    int64_t session_timeout_ms; /* broker.session.timeout.ms */
    int64_t max_idle_ms; /* metadata.max.idle.interval.ms: NoOp records while remote brokers are
                          * registered; 0 never. A node alone writes none. */
    /* The broker in this process, or -1: it shares the controller's fate, so that its session does
     * not expire and a new incarnation may register at once. */
    int32_t local_broker_id;
    /* The metadata directory failed or the log holds what cannot be understood: the process stops.
     */
    void (*failed)(void *context, int error);
    void *context;
};

/* Create the controller and its quorum: `quorum` holds the quorum's parameters, whose listener,
 * loop, env, say, node_id and cluster_id the controller fills in. 0 or -errno. */
int controller_create(const struct controller_params *params, const struct quorum_params *quorum,
                      struct controller **ret_controller);

/* Load the metadata and lead. `ready` is called once, on the home loop, when the first image is
 * published and this node is the active controller; from then on requests are decided. */
void controller_start(struct controller *controller, void (*ready)(void *context), void *context);

/* Answer what waits with NOT_CONTROLLER, stop the quorum, then call `stopped`. Ops submitted later
 * are answered the same way. */
void controller_stop(struct controller *controller, void (*stopped)(void *context, int result),
                     void *context);
void controller_destroy(struct controller *controller); /* after `stopped`; NULL is accepted */

struct quorum *controller_quorum(struct controller *controller);
void controller_set_config(struct controller *controller, const struct broker_config *config);

/* A request to the controller, embedded in whoever asks.
 *
 * `api_key` says what `request` and `response` are: the structs of protocol/messages.h. The
 * response is filled in the arena. From controller_submit to `done` all of them are the
 * controller's, and must stay; there is no cancel, but every op is answered by its deadline.
 *
 *   API_CREATE_TOPICS, API_DELETE_TOPICS, API_CREATE_PARTITIONS, API_ALTER_CONFIGS,
 *   API_INCREMENTAL_ALTER_CONFIGS, API_UPDATE_FEATURES, API_ALLOCATE_PRODUCER_IDS,
 *   API_BROKER_REGISTRATION, API_BROKER_HEARTBEAT, API_ALTER_PARTITION, API_ELECT_LEADERS,
 *   API_UNREGISTER_BROKER, API_DESCRIBE_QUORUM, API_ASSIGN_REPLICAS_TO_DIRS
 *
 * `result` 0: the response holds the outcome, errors of parts included. Otherwise the whole failed
 * and the response is already filled with that error in every place where the API has one:
 * NOT_CONTROLLER, REQUEST_TIMED_OUT, THROTTLING_QUOTA_EXCEEDED, a storage error. Handlers may
 * encode the response in either case. */
struct controller_op {
    /* The submitter's. */
    int16_t api_key;
    int16_t api_version;
    const void *request;
    void *response; /* need not be initialised */
    struct arena *arena;
    int64_t deadline_ns; /* monotonic; 0: from the request's own timeout, or a minute */
    void (*done)(struct loop *loop, struct controller_op *op); /* on the submitting loop */

    /* The answer. */
    int result;
    /* The image that holds the change is published; this is the offset of its last record, -1 if
     * nothing was written. */
    int64_t offset;

    /* The controller's. */
    struct controller *controller;
    struct loop *loop;
    struct loop_task task;
    struct list link;
    struct heap_node deadline;
    struct work *work;
};

/* ANY LOOP; from that loop's own thread. */
void controller_submit(struct controller *controller, struct loop *loop, struct controller_op *op);

/* Whether this node is the active controller, and who is; ANY LOOP. */
struct quorum_leader controller_leader(const struct controller *controller);

#endif
