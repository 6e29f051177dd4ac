#include "server/api_table.h"

/* Versions are Kafka 4.4's unless said otherwise. Produce is advertised from 0 although 0 to 2 are
 * refused, as Kafka does: some clients switch features off otherwise. */
const struct api_row api_rows[] = {
    {API_PRODUCE, 3, 13, 0, handle_produce},
    {API_FETCH, 4, 18, 4, handle_fetch},
    {API_LIST_OFFSETS, 1, 11, 1, handle_list_offsets},
    {API_METADATA, 0, 13, 0, handle_metadata},
    {API_OFFSET_COMMIT, 2, 10, 2, handle_offset_commit},
    {API_OFFSET_FETCH, 1, 10, 1, handle_offset_fetch},
    {API_FIND_COORDINATOR, 0, 6, 0, handle_find_coordinator},
    {API_JOIN_GROUP, 0, 9, 0, handle_join_group},
    {API_HEARTBEAT, 0, 4, 0, handle_heartbeat},
    {API_LEAVE_GROUP, 0, 5, 0, handle_leave_group},
    {API_SYNC_GROUP, 0, 5, 0, handle_sync_group},
    {API_DESCRIBE_GROUPS, 0, 6, 0, handle_describe_groups},
    {API_LIST_GROUPS, 0, 5, 0, handle_list_groups},
    {API_API_VERSIONS, 0, 5, 0, handle_api_versions},
    {API_CREATE_TOPICS, 2, 7, 2, handle_controller},
    {API_DELETE_TOPICS, 1, 6, 1, handle_controller},
    {API_DELETE_RECORDS, 0, 2, 0, handle_delete_records},
    {API_INIT_PRODUCER_ID, 0, 5, 0, handle_init_producer_id},
    {API_ADD_PARTITIONS_TO_TXN, 0, 5, 0, handle_add_partitions_to_txn},
    {API_ADD_OFFSETS_TO_TXN, 0, 4, 0, handle_add_offsets_to_txn},
    {API_END_TXN, 0, 5, 0, handle_end_txn},
    {API_WRITE_TXN_MARKERS, 1, 2, 1, handle_write_txn_markers},
    {API_TXN_OFFSET_COMMIT, 0, 6, 0, handle_txn_offset_commit},
    {API_DESCRIBE_TRANSACTIONS, 0, 0, 0, handle_describe_transactions},
    {API_LIST_TRANSACTIONS, 0, 2, 0, handle_list_transactions},
    {API_OFFSET_FOR_LEADER_EPOCH, 2, 4, 2, handle_offset_for_leader_epoch},
    {API_DESCRIBE_CONFIGS, 1, 4, 1, handle_describe_configs},
    {API_DESCRIBE_LOG_DIRS, 1, 5, 1, handle_describe_log_dirs},
    {API_CREATE_PARTITIONS, 0, 3, 0, handle_controller},
    {API_ALTER_CONFIGS, 0, 2, 0, handle_controller},
    {API_DELETE_GROUPS, 0, 3, 0, handle_delete_groups},
    {API_INCREMENTAL_ALTER_CONFIGS, 0, 1, 0, handle_controller},
    {API_LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, handle_list_partition_reassignments},
    {API_OFFSET_DELETE, 0, 0, 0, handle_offset_delete},
    {API_DESCRIBE_CLIENT_QUOTAS, 0, 1, 0, handle_describe_client_quotas},
    {API_DESCRIBE_CLUSTER, 0, 2, 0, handle_describe_cluster},
    {API_DESCRIBE_PRODUCERS, 0, 0, 0, handle_describe_producers},
    {API_LIST_CONFIG_RESOURCES, 0, 1, 0, handle_list_config_resources},
    {API_DESCRIBE_TOPIC_PARTITIONS, 0, 0, 0, handle_describe_topic_partitions},
    {API_UPDATE_FEATURES, 0, 2, 0, handle_controller},
    {API_DESCRIBE_QUORUM, 0, 2, 0, handle_controller},
    {API_CONSUMER_GROUP_HEARTBEAT, 0, 1, 0, handle_consumer_group_heartbeat},
    {API_CONSUMER_GROUP_DESCRIBE, 0, 1, 0, handle_consumer_group_describe},
};

const int32_t api_row_count = sizeof api_rows / sizeof api_rows[0];

const struct api_row *api_row_find(int16_t key)
{
    for (int32_t i = 0; i < api_row_count; i++)
        if (api_rows[i].key == key)
            return &api_rows[i];
    return NULL;
}
