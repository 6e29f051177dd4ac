/* What the files of the core share. */
#ifndef JACKDAW_CLIENT_INTERNAL_H
#define JACKDAW_CLIENT_INTERNAL_H

#include "client/core.h"
#include "client/metadata.h"
#include "net/conn.h"
#include "protocol/messages.h"

#define NODE_ADDRESSES_MAX 8

enum node_state {
    NODE_IDLE,    /* no connection; may begin one from retry_ns on */
    NODE_RESOLVE, /* its name is being looked up */
    NODE_CONNECT,
    NODE_NEGOTIATE, /* ApiVersions is under way */
    NODE_READY,
};

/* The job's own while it is under way. */
struct resolve_job {
    struct pool_job job;
    char host[CLIENT_HOST_MAX + 1];
    uint16_t port;
    struct net_address addresses[NODE_ADDRESSES_MAX];
    int result; /* of env's resolve */
};

struct version_range {
    int16_t min, max; /* max < min: not served */
};

struct client_node {
    struct list link; /* in client->nodes */
    struct client *client;
    int32_t id; /* a bootstrap address has one below CLIENT_ANY_NODE */
    char host[CLIENT_HOST_MAX + 1];
    uint16_t port;
    bool moved; /* another address than the connection's */
    bool gone;  /* the cluster has it no more: freed when nothing is left to do */
    enum node_state state;
    struct conn *conn;
    struct list waiting;  /* requests, oldest first */
    struct list inflight; /* sent ones, oldest first */
    int32_t waiting_count, inflight_count;
    int32_t next_correlation;
    int failures; /* since the last connection that came to be ready */
    int64_t retry_ns;
    int64_t throttled_until_ns;
    struct loop_timer timer; /* the next thing that is due: a retry, the end of patience */
    struct loop_task pump;
    bool pump_queued;
    struct resolve_job resolve;
    bool resolving; /* the job is under way, even if nobody cares any more */
    struct net_address addresses[NODE_ADDRESSES_MAX];
    int address_count, address_at;
    int connect_error; /* of the last attempt */
    struct client_request negotiation;
    struct api_versions_request negotiation_message;
    struct version_range versions[API_COUNT];
};

struct client_partition {
    int32_t leader_id; /* -1: none known */
    int32_t leader_epoch;
    bool doubted;
};

struct client_topic {
    char *name;
    struct uuid id;
    int16_t error; /* of the last answer; KAFKA_NONE */
    bool answered; /* some refresh has spoken of it */
    int32_t partition_count;
    struct client_partition *partitions;
};

struct metadata {
    struct client_topic *topics; /* by name */
    int32_t topic_count, topic_capacity;
    char *cluster_id; /* NULL: not known */
    int32_t controller_id;
    bool refreshing;
    int failures;
    int64_t next_ns; /* no refresh before */
    struct list waits;
    struct loop_timer timer; /* the next refresh */
    struct arena arena;      /* of the request under way */
    struct client_request request;
    struct metadata_request message;
};

struct client {
    struct loop *loop;
    const struct say *say;
    struct client_settings settings;
    char *client_id;
    struct conn_set conns;
    struct memory_budget budget;
    struct list nodes;
    struct list hooks;
    struct list ended; /* requests that failed before they reached a node */
    struct loop_task tell_ended;
    bool tell_queued;
    struct metadata metadata;
    int32_t jobs; /* under way in the pool */
    bool closing;
    struct loop_task finish;
    bool finish_queued;
    void (*closed)(void *context);
    void *closed_context;
};

/* core.c */
void request_end(struct client_request *request, int result); /* unlinked already */
void client_check_finish(struct client *client);

/* node.c */
extern const struct conn_ops client_conn_ops;
struct client_node *node_create(struct client *client, int32_t id, struct str host, uint16_t port);
struct client_node *node_find(struct client *client, int32_t id);
struct client_node *node_choose(struct client *client);
/* The node has another address from now on; a connection to the old one ends when unused. */
void node_move(struct client_node *node, struct str host, uint16_t port);
void node_add(struct client_node *node, struct client_request *request);
void node_pump_later(struct client_node *node);
/* Fail everything, then close the connection. */
void node_fail(struct client_node *node, int result, const char *reason);
void node_free_if_done(struct client_node *node);
void node_forget_timer(struct client_node *node);

/* metadata.c */
void metadata_init(struct client *client);
void metadata_wake(struct client *client); /* everybody who waits for a refresh */
void metadata_close(struct client *client);

#endif
