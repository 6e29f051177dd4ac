/* One node: a broker, and in the same process its controller. Everything hangs off struct broker,
 * so that several fit into one process (simulation, embedding, tests). */
#ifndef JACKDAW_SERVER_BROKER_H
#define JACKDAW_SERVER_BROKER_H

#include <stdatomic.h>

#include "base/epoch.h"
#include "controller/controller.h"
#include "metadata/config_keys_broker.h"
#include "metadata/publisher.h"
#include "group/group.h"
#include "net/conn.h"
#include "os/loop.h"
#include "partition/partition_set.h"
#include "server/conn_quota.h"
#include "server/coordinators.h"
#include "server/dir_reports.h"
#include "server/internal_topics.h"
#include "server/producer_ids.h"
#include "server/txn_markers.h"

struct broker;
struct broker_listener;
struct fetch_sessions;

/* Counters that anybody may read; each loop writes its own. */
struct broker_counters {
    _Atomic int64_t messages_in;
    _Atomic int64_t bytes_in;  /* record bytes appended */
    _Atomic int64_t bytes_out; /* record bytes sent to consumers */
    _Atomic int64_t requests;
    _Atomic int64_t connections;
};

/* Asks a loop to close a connection if there are too many; see listener.c. */
struct shedding {
    struct loop_task task;
    _Atomic bool posted;
};

/* One event loop with what its handlers need. Only its own thread touches it, but the counters. */
struct broker_loop {
    struct loop loop;
    struct broker *broker;
    struct conn_set conns;
    struct image_reader images;
    struct epoch_reader epoch; /* online between two polls */
    struct broker_counters counters;
    struct shedding shedding;
    struct marker_loop markers;
};

/* How whoever closes a connection tells the listeners that there is room. */
struct accept_again {
    struct loop_task task;
    _Atomic bool wanted; /* a listener waits; set by the home loop, taken by who posts the task */
    _Atomic bool posted;
};

struct broker {
    struct env *env;
    struct say say;
    struct broker_config *static_config;    /* from file and command line */
    _Atomic(struct broker_config *) config; /* with the dynamic values on top */
    struct broker_loop *loops;
    int32_t loop_count;
    struct memory_budget budget;
    struct plain_budget plain;  /* decompressed while batches are validated */
    struct epoch_domain epochs; /* what handlers read without locks is retired to it */
    struct file_cache *files;
    struct partition_set partitions;
    bool partitions_up;
    struct partition_dir *dirs; /* until the partition set takes them over */
    int32_t dir_count;
    struct log_dir metadata_dir; /* held while the node lives, if it is none of log.dirs */
    struct image_publisher publisher;
    struct image_subscriber follower;
    struct coordinators coordinators;
    struct group_memory group_memory; /* the groups' context */
    struct dir_reports dir_reports;
    struct txn_service txn;
    struct internal_topics internal_topics;
    struct controller *controller;
    struct broker_listener *listeners;
    int32_t listener_count;
    struct fetch_sessions *sessions;
    struct producer_ids producer_ids;
    struct conn_quota quota;
    struct accept_again accept_again;
    char cluster_id[64];
    struct uuid directory_id; /* of the metadata directory */
    struct uuid incarnation_id;
    int64_t broker_epoch;
    _Atomic int32_t next_loop;
    _Atomic bool serving;

    /* Starting and stopping; home loop. */
    void (*ready)(void *context, struct broker *broker);
    void (*stopped)(void *context, struct broker *broker, int result);
    void *context;
    struct broker_life *life;
    int result;
};

/* `config` is taken over on success. `ready` and `stopped` come from the home loop; `stopped` once,
 * also when starting fails (result != 0). 0 or -errno: nothing was started. */
int broker_create(struct env *env, const struct say *say, struct broker_config *config,
                  void (*ready)(void *context, struct broker *broker),
                  void (*stopped)(void *context, struct broker *broker, int result), void *context,
                  struct broker **ret_broker);

/* Open or format the log directories, load the metadata, register, recover the logs, listen. */
int broker_start(struct broker *broker);

/* Any thread; again does nothing. Close the listeners, let answers under way go out for a while,
 * close the connections, sync and close the logs, write the clean marker last. */
void broker_stop(struct broker *broker);

/* After `stopped`: join the loops and free everything. */
void broker_destroy(struct broker *broker);

/* "HOST:PORT" of the first client listener, as it is bound. Valid from `ready` on. */
void broker_address(const struct broker *broker, char text[NET_ADDRESS_TEXT_SIZE]);

static inline struct broker_loop *broker_home(struct broker *broker)
{
    return &broker->loops[0];
}

/* Valid until the handler returns. */
static inline const struct broker_settings *broker_settings_now(const struct broker *broker)
{
    return &atomic_load_explicit(&broker->config, memory_order_acquire)->settings;
}

#endif
