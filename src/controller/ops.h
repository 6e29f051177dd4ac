/* What the controller can be asked: one decide function per API. Each reads the head, writes
 * records and fills the response; none changes anything. Responses were initialised to their
 * defaults. */
#ifndef JACKDAW_CONTROLLER_OPS_H
#define JACKDAW_CONTROLLER_OPS_H

#include "controller/decision.h"
#include "controller/sessions.h"
#include "protocol/messages.h"

/* 0, or a result for the whole: +code with `ret_message` (may be NULL), or -errno. */

int decide_create_topics(struct decision *decision, const struct create_topics_request *request,
                         struct create_topics_response *response, const char **ret_message);
int decide_delete_topics(struct decision *decision, int16_t api_version,
                         const struct delete_topics_request *request,
                         struct delete_topics_response *response, const char **ret_message);
int decide_create_partitions(struct decision *decision,
                             const struct create_partitions_request *request,
                             struct create_partitions_response *response, const char **ret_message);

int decide_incremental_alter_configs(struct decision *decision,
                                     const struct incremental_alter_configs_request *request,
                                     struct incremental_alter_configs_response *response);
int decide_alter_configs(struct decision *decision, const struct alter_configs_request *request,
                         struct alter_configs_response *response);

int decide_update_features(struct decision *decision, int16_t api_version,
                           const struct update_features_request *request,
                           struct update_features_response *response);

int decide_allocate_producer_ids(struct decision *decision,
                                 const struct allocate_producer_ids_request *request,
                                 struct allocate_producer_ids_response *response);
int decide_alter_partition(struct decision *decision, int16_t api_version,
                           const struct alter_partition_request *request,
                           struct alter_partition_response *response);
int decide_elect_leaders(struct decision *decision, int16_t api_version,
                         const struct elect_leaders_request *request,
                         struct elect_leaders_response *response);
int decide_assign_replicas_to_dirs(struct decision *decision,
                                   const struct assign_replicas_to_dirs_request *request,
                                   struct assign_replicas_to_dirs_response *response);

/* Brokers: these read and, once decided, touch the sessions, which are soft state. */
int decide_register_broker(struct decision *decision, struct sessions *sessions,
                           struct str cluster_id, const struct broker_registration_request *request,
                           struct broker_registration_response *response);
int decide_broker_heartbeat(struct decision *decision, struct sessions *sessions,
                            const struct broker_heartbeat_request *request,
                            struct broker_heartbeat_response *response);
int decide_unregister_broker(struct decision *decision,
                             const struct unregister_broker_request *request,
                             struct unregister_broker_response *response);

/* The session of a broker ran out. */
void decide_fence_broker(struct decision *decision, int32_t broker_id);

/* What a new cluster starts with: the features of the bootstrap snapshot's records, or Jackdaw's
 * own when it has none. */
void decide_bootstrap(struct decision *decision, const struct feature_level_record *features,
                      int32_t count);

/* Shared by them. */

/* 0; BROKER_ID_NOT_REGISTERED is STALE_BROKER_EPOCH here, as in Kafka. */
int check_broker_epoch(const struct decision *decision, int32_t broker_id, int64_t broker_epoch);

/* Checks of Kafka's Topic class. Error 0: fine. */
struct outcome check_topic_name(struct decision *decision, struct str name);

/* INVALID_TOPIC_EXCEPTION when a topic exists whose name differs in '.' and '_' alone. */
struct outcome check_name_collision(struct decision *decision, struct str name);

/* A partition's replicas given by hand: not empty, registered, not cordoned, no duplicates, and as
 * many as `expected` (0: any number). */
struct outcome check_assignment(struct decision *decision, struct int32_array replicas,
                                int32_t expected);

/* The replicas that are live, in their order, in scratch; count 0 when none is. */
struct broker_ids active_replicas(struct decision *decision, struct broker_ids replicas);

/* A new partition, led by the first of `isr`. */
void add_partition_record(struct decision *decision, struct uuid topic_id, int32_t partition,
                          struct broker_ids replicas, struct broker_ids isr);

/* Records for partitions first to first + count - 1, where the placer says. */
struct outcome place_partitions(struct decision *decision, struct uuid topic_id, int32_t first,
                                int32_t count, int32_t replication_factor);

#endif
