/* The broker's table of contents: which APIs it serves, in which versions, and who answers.
 * What is not in it is not advertised. */
#ifndef JACKDAW_SERVER_API_TABLE_H
#define JACKDAW_SERVER_API_TABLE_H

#include "server/request.h"

struct api_row {
    int16_t key;
    int16_t min_version; /* served */
    int16_t max_version;
    int16_t advertised_min; /* differs for Produce alone, as in Kafka */
    enum outcome (*handle)(struct request *request);
};

extern const struct api_row api_rows[];
extern const int32_t api_row_count;

/* The row, or NULL. */
const struct api_row *api_row_find(int16_t key);

enum outcome handle_produce(struct request *request);
enum outcome handle_fetch(struct request *request);
enum outcome handle_list_offsets(struct request *request);
enum outcome handle_metadata(struct request *request);
enum outcome handle_api_versions(struct request *request);
enum outcome handle_find_coordinator(struct request *request);
/* APIs that the controller decides: hand over, wait until the partitions follow, answer. */
enum outcome handle_controller(struct request *request);
enum outcome handle_delete_records(struct request *request);
enum outcome handle_add_partitions_to_txn(struct request *request);
enum outcome handle_add_offsets_to_txn(struct request *request);
enum outcome handle_end_txn(struct request *request);
enum outcome handle_write_txn_markers(struct request *request);
enum outcome handle_describe_transactions(struct request *request);
enum outcome handle_list_transactions(struct request *request);
enum outcome handle_init_producer_id(struct request *request);
enum outcome handle_offset_for_leader_epoch(struct request *request);
enum outcome handle_describe_configs(struct request *request);
enum outcome handle_describe_log_dirs(struct request *request);
enum outcome handle_list_partition_reassignments(struct request *request);
enum outcome handle_describe_client_quotas(struct request *request);
enum outcome handle_describe_cluster(struct request *request);
enum outcome handle_describe_producers(struct request *request);
enum outcome handle_list_config_resources(struct request *request);
enum outcome handle_describe_topic_partitions(struct request *request);
enum outcome handle_join_group(struct request *request);
enum outcome handle_sync_group(struct request *request);
enum outcome handle_heartbeat(struct request *request);
enum outcome handle_leave_group(struct request *request);
enum outcome handle_list_groups(struct request *request);
enum outcome handle_describe_groups(struct request *request);
enum outcome handle_delete_groups(struct request *request);
enum outcome handle_consumer_group_heartbeat(struct request *request);
enum outcome handle_consumer_group_describe(struct request *request);
enum outcome handle_offset_commit(struct request *request);
enum outcome handle_txn_offset_commit(struct request *request);
enum outcome handle_offset_fetch(struct request *request);
enum outcome handle_offset_delete(struct request *request);

#endif
