/* From values to settings: parse what has structure, and check what must hold between keys. */
#include "metadata/config_keys_private.h"

#include <errno.h>
#include <strings.h>

#include "base/errors.h"
#include "base/must.h"
#include "os/env.h"
#include "record/compression.h"

/* Fields that are their keys' values as they are. The field says what kind it is; the getters
 * insist that the key's value fits. */
enum field_kind {
    FIELD_INT,
    FIELD_LONG,
    FIELD_BOOL,
    FIELD_DOUBLE,
};

#define KIND_OF(field)                                                                             \
    _Generic(((struct broker_settings *)NULL)->field, int32_t                                      \
             : FIELD_INT, int64_t                                                                  \
             : FIELD_LONG, bool                                                                    \
             : FIELD_BOOL, double                                                                  \
             : FIELD_DOUBLE)
#define FIELD(field, key)                                                                          \
    {                                                                                              \
        offsetof(struct broker_settings, field), BROKER_CONFIG_##key, KIND_OF(field)               \
    }

static const struct {
    size_t offset;
    enum broker_config_key key;
    enum field_kind kind;
} plain_fields[] = {
    FIELD(socket_send_buffer_bytes, SOCKET_SEND_BUFFER_BYTES),
    FIELD(socket_receive_buffer_bytes, SOCKET_RECEIVE_BUFFER_BYTES),
    FIELD(socket_request_max_bytes, SOCKET_REQUEST_MAX_BYTES),
    FIELD(socket_listen_backlog_size, SOCKET_LISTEN_BACKLOG_SIZE),
    FIELD(max_connections, MAX_CONNECTIONS),
    FIELD(max_connections_per_ip, MAX_CONNECTIONS_PER_IP),
    FIELD(max_connection_creation_rate, MAX_CONNECTION_CREATION_RATE),
    FIELD(connections_max_idle_ms, CONNECTIONS_MAX_IDLE_MS),
    FIELD(request_timeout_ms, REQUEST_TIMEOUT_MS),
    FIELD(fetch_max_bytes, FETCH_MAX_BYTES),
    FIELD(max_incremental_fetch_session_cache_slots, MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS),
    FIELD(max_request_partition_size_limit, MAX_REQUEST_PARTITION_SIZE_LIMIT),
    FIELD(producer_id_expiration_ms, PRODUCER_ID_EXPIRATION_MS),
    FIELD(producer_id_expiration_check_interval_ms, PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS),
    FIELD(auto_create_topics_enable, AUTO_CREATE_TOPICS_ENABLE),
    FIELD(delete_topic_enable, DELETE_TOPIC_ENABLE),
    FIELD(num_partitions, NUM_PARTITIONS),
    FIELD(default_replication_factor, DEFAULT_REPLICATION_FACTOR),
    FIELD(offsets_topic_num_partitions, OFFSETS_TOPIC_NUM_PARTITIONS),
    FIELD(offsets_topic_replication_factor, OFFSETS_TOPIC_REPLICATION_FACTOR),
    FIELD(offsets_topic_segment_bytes, OFFSETS_TOPIC_SEGMENT_BYTES),
    FIELD(offsets_topic_compression_codec, OFFSETS_TOPIC_COMPRESSION_CODEC),
    FIELD(transaction_state_log_num_partitions, TRANSACTION_STATE_LOG_NUM_PARTITIONS),
    FIELD(transaction_state_log_replication_factor, TRANSACTION_STATE_LOG_REPLICATION_FACTOR),
    FIELD(transaction_state_log_min_isr, TRANSACTION_STATE_LOG_MIN_ISR),
    FIELD(transaction_state_log_segment_bytes, TRANSACTION_STATE_LOG_SEGMENT_BYTES),
    FIELD(transaction_max_timeout_ms, TRANSACTION_MAX_TIMEOUT_MS),
    FIELD(transaction_remove_expired_interval_ms,
          TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS),
    FIELD(transactional_id_expiration_ms, TRANSACTIONAL_ID_EXPIRATION_MS),
    FIELD(add_partitions_to_txn_retry_backoff_ms, ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MS),
    FIELD(add_partitions_to_txn_retry_backoff_max_ms, ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MAX_MS),
    FIELD(transaction_partition_verification_enable, TRANSACTION_PARTITION_VERIFICATION_ENABLE),
    FIELD(group_min_session_timeout_ms, GROUP_MIN_SESSION_TIMEOUT_MS),
    FIELD(group_max_session_timeout_ms, GROUP_MAX_SESSION_TIMEOUT_MS),
    FIELD(group_initial_rebalance_delay_ms, GROUP_INITIAL_REBALANCE_DELAY_MS),
    FIELD(group_max_size, GROUP_MAX_SIZE),
    FIELD(group_memory_bytes, JACKDAW_GROUP_MEMORY_BYTES),
    FIELD(group_assignor_inline_max, JACKDAW_GROUP_ASSIGNOR_INLINE_MAX),
    FIELD(group_consumer_assignor_offload, GROUP_CONSUMER_ASSIGNOR_OFFLOAD_ENABLE),
    FIELD(group_consumer_max_size, GROUP_CONSUMER_MAX_SIZE),
    FIELD(group_consumer_session_timeout_ms, GROUP_CONSUMER_SESSION_TIMEOUT_MS),
    FIELD(group_consumer_min_session_timeout_ms, GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS),
    FIELD(group_consumer_max_session_timeout_ms, GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS),
    FIELD(group_consumer_heartbeat_interval_ms, GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS),
    FIELD(group_consumer_min_heartbeat_interval_ms, GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS),
    FIELD(group_consumer_max_heartbeat_interval_ms, GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS),
    FIELD(group_consumer_assignment_interval_ms, GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS),
    FIELD(group_consumer_min_assignment_interval_ms, GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS),
    FIELD(group_consumer_max_assignment_interval_ms, GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS),
    FIELD(group_consumer_regex_refresh_interval_ms, GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS),
    FIELD(offset_metadata_max_bytes, OFFSET_METADATA_MAX_BYTES),
    FIELD(offsets_commit_timeout_ms, OFFSETS_COMMIT_TIMEOUT_MS),
    FIELD(offsets_retention_minutes, OFFSETS_RETENTION_MINUTES),
    FIELD(offsets_retention_check_interval_ms, OFFSETS_RETENTION_CHECK_INTERVAL_MS),
    FIELD(log_retention_check_interval_ms, LOG_RETENTION_CHECK_INTERVAL_MS),
    FIELD(log_initial_task_delay_ms, LOG_INITIAL_TASK_DELAY_MS),
    FIELD(log_flush_scheduler_interval_ms, LOG_FLUSH_SCHEDULER_INTERVAL_MS),
    FIELD(log_flush_offset_checkpoint_interval_ms, LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS),
    FIELD(log_flush_start_offset_checkpoint_interval_ms,
          LOG_FLUSH_START_OFFSET_CHECKPOINT_INTERVAL_MS),
    FIELD(replica_high_watermark_checkpoint_interval_ms,
          REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS),
    FIELD(num_recovery_threads_per_data_dir, NUM_RECOVERY_THREADS_PER_DATA_DIR),
    FIELD(log_cleaner_enable, LOG_CLEANER_ENABLE),
    FIELD(log_cleaner_threads, LOG_CLEANER_THREADS),
    FIELD(log_cleaner_dedupe_buffer_size, LOG_CLEANER_DEDUPE_BUFFER_SIZE),
    FIELD(log_cleaner_io_buffer_load_factor, LOG_CLEANER_IO_BUFFER_LOAD_FACTOR),
    FIELD(log_cleaner_io_max_bytes_per_second, LOG_CLEANER_IO_MAX_BYTES_PER_SECOND),
    FIELD(log_cleaner_backoff_ms, LOG_CLEANER_BACKOFF_MS),
    FIELD(metadata_log_segment_bytes, METADATA_LOG_SEGMENT_BYTES),
    FIELD(metadata_log_segment_ms, METADATA_LOG_SEGMENT_MS),
    FIELD(metadata_max_retention_bytes, METADATA_MAX_RETENTION_BYTES),
    FIELD(metadata_max_retention_ms, METADATA_MAX_RETENTION_MS),
    FIELD(metadata_log_max_record_bytes_between_snapshots,
          METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS),
    FIELD(metadata_log_max_snapshot_interval_ms, METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS),
    FIELD(request_memory_bytes, JACKDAW_REQUEST_MEMORY_BYTES),
    FIELD(fetch_session_memory_bytes, JACKDAW_FETCH_SESSION_MEMORY_BYTES),
    FIELD(response_memory_bytes, JACKDAW_RESPONSE_MEMORY_BYTES),
    FIELD(event_loops, JACKDAW_EVENT_LOOPS),
    FIELD(pool_threads, JACKDAW_POOL_THREADS),
    FIELD(disk_slow_ms, JACKDAW_DISK_SLOW_MS),
    FIELD(open_files_max, JACKDAW_LOG_OPEN_FILES_MAX),
    FIELD(connection_inflight_max, JACKDAW_CONNECTION_INFLIGHT_MAX),
    FIELD(connection_output_bytes, JACKDAW_CONNECTION_OUTPUT_BYTES),
};

static void compute_plain_fields(struct settings_job *job)
{
    for (size_t i = 0; i < array_size(plain_fields); i++) {
        void *field = (char *)job->settings + plain_fields[i].offset;
        const struct config *values = &job->config->values;
        int32_t key = (int32_t)plain_fields[i].key;
        switch (plain_fields[i].kind) {
        case FIELD_INT:
            *(int32_t *)field = config_int(values, key);
            break;
        case FIELD_LONG:
            *(int64_t *)field = config_long(values, key);
            break;
        case FIELD_BOOL:
            *(bool *)field = config_bool(values, key);
            break;
        case FIELD_DOUBLE:
            *(double *)field = config_double(values, key);
            break;
        }
    }
}

static void compute_identity(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    const struct config *values = &job->config->values;
    if (config_is_null(values, BROKER_CONFIG_NODE_ID)) {
        settings_fail(job, NODE_ID,
                      "Missing required configuration \"node.id\" which has no default value.");
    } else {
        settings->node_id = get_int(job, BROKER_CONFIG_NODE_ID);
        if (get_int(job, BROKER_CONFIG_BROKER_ID) != settings->node_id)
            settings_fail(job, BROKER_ID,
                          "node.id and broker.id must be the same; broker.id is not needed.");
    }
    settings->rack = get_text(job, BROKER_CONFIG_BROKER_RACK);
    if (config_is_null(values, BROKER_CONFIG_PROCESS_ROLES)) {
        settings_fail(
            job, PROCESS_ROLES,
            "Missing required configuration \"process.roles\" which has no default value.");
        return;
    }
    struct str roles = get_text(job, BROKER_CONFIG_PROCESS_ROLES);
    settings->role_broker = config_list_has(roles, STR("broker"));
    settings->role_controller = config_list_has(roles, STR("controller"));
    if (!settings->role_broker || !settings->role_controller)
        settings_fail(
            job, PROCESS_ROLES,
            "process.roles=%s is refused: a node has both roles, broker,controller, so far.",
            roles.data);
}

/* Addresses of one list into an array; 0 or -ENOMEM. The table's check has seen them already. */
static int read_addresses(struct settings_job *job, struct str list, bool voters,
                          const struct quorum_address **ret_items, int32_t *ret_count)
{
    struct quorum_address *items =
        arena_array(job->arena, (size_t)config_list_count(list), sizeof *items);
    struct str item;
    int32_t count = 0;
    if (!items)
        return -ENOMEM;
    while (config_list_next(list, &item, &list)) {
        struct quorum_address *address = &items[count++];
        address->id = -1;
        if (voters)
            must(parse_quorum_voter(item, address) == QUORUM_FAULT_NONE);
        else
            must(parse_host_port(item, &address->host, &address->port));
    }
    *ret_items = items;
    *ret_count = count;
    return 0;
}

static int compute_quorum(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    int err = read_addresses(job, get_text(job, BROKER_CONFIG_CONTROLLER_QUORUM_VOTERS), true,
                             &settings->quorum_voters, &settings->quorum_voter_count);
    if (err == 0)
        err = read_addresses(job, get_text(job, BROKER_CONFIG_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS),
                             false, &settings->quorum_bootstrap_servers,
                             &settings->quorum_bootstrap_server_count);
    if (err != 0)
        return err;
    for (int32_t i = 0; i < settings->quorum_voter_count; i++) {
        if (settings->quorum_voter_count > 1 ||
            settings->quorum_voters[i].id != settings->node_id) {
            settings_fail(
                job, CONTROLLER_QUORUM_VOTERS,
                "controller.quorum.voters may name this node only: a quorum of several nodes is "
                "not there yet.");
            break;
        }
    }
    if (settings->quorum_bootstrap_server_count > 1)
        settings_fail(
            job, CONTROLLER_QUORUM_BOOTSTRAP_SERVERS,
            "controller.quorum.bootstrap.servers may name this node only: a quorum of several "
            "nodes is not there yet.");
    return 0;
}

static int compute_log_dirs(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    bool plural = !config_is_null(&job->config->values, BROKER_CONFIG_LOG_DIRS);
    struct str rest = get_text(job, plural ? BROKER_CONFIG_LOG_DIRS : BROKER_CONFIG_LOG_DIR);
    struct str *dirs = arena_array(job->arena, (size_t)config_list_count(rest) + 1, sizeof *dirs);
    struct str item;
    int32_t count = 0;
    if (!dirs)
        return -ENOMEM;
    while (config_list_next(rest, &item, &rest)) {
        dirs[count] = arena_str(job->arena, item);
        if (!dirs[count++].data)
            return -ENOMEM;
    }
    must(count > 0);
    settings->log_dirs = dirs;
    settings->log_dir_count = count;
    settings->metadata_log_dir = get_text(job, BROKER_CONFIG_METADATA_LOG_DIR);
    if (!settings->metadata_log_dir.data)
        settings->metadata_log_dir = dirs[0];
    bool apart = true;
    for (int32_t i = 0; i < count; i++)
        apart &= !str_equal(dirs[i], settings->metadata_log_dir);
    if (apart)
        dirs[count++] = settings->metadata_log_dir;
    settings->all_dir_count = count;
    return 0;
}

/* An address literal, in brackets or not, or "localhost". Kafka asks the name service for other
 * names, once, and counts by the address that it names then; here that is the administrator's to
 * say. */
static bool parse_override_address(struct str text, uint8_t ret_address[16])
{
    char host[64];
    struct net_address address;
    if (text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        text = (struct str){text.data + 1, text.size - 2};
    if (text.size == 0 || (size_t)text.size >= sizeof host || text.data[0] == '/')
        return false;
    memcpy(host, text.data, (size_t)text.size);
    host[text.size] = '\0';
    if (net_address_parse(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, 0, &address) != 0)
        return false;
    net_address_to_ip6(&address, ret_address);
    return true;
}

/* host:count, host:count; as in Kafka an item without a count is an error. */
static int compute_ip_overrides(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    struct str rest = get_text(job, BROKER_CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES);
    struct ip_override *overrides =
        arena_array(job->arena, (size_t)config_list_count(rest), sizeof *overrides);
    struct str item;
    int32_t count = 0;
    if (!overrides)
        return -ENOMEM;
    while (config_list_next(rest, &item, &rest)) {
        const char *colon = memrchr(item.data, ':', (size_t)item.size);
        int32_t size = colon ? (int32_t)(colon - item.data) : 0;
        struct config_value value = {0};
        const char *error;
        struct str number = {item.data + size + 1, item.size - size - 1};
        const struct config_key *key = &broker_schema.keys[BROKER_CONFIG_MAX_CONNECTIONS_PER_IP];
        if (size == 0 || config_parse(key, number, job->arena, &value, &error) != 0) {
            settings_fail(
                job, MAX_CONNECTIONS_PER_IP_OVERRIDES,
                "'%.*s' in max.connections.per.ip.overrides is not of the form host:count.",
                (int)item.size, item.data);
            continue;
        }
        overrides[count].max_connections = (int32_t)value.number;
        if (parse_override_address((struct str){item.data, size}, overrides[count].address))
            count++;
        else
            settings_fail(
                job, MAX_CONNECTIONS_PER_IP_OVERRIDES,
                "'%.*s' in max.connections.per.ip.overrides is not an IP address; names of "
                "hosts are not looked up.",
                size, item.data);
    }
    settings->max_connections_per_ip_overrides = overrides;
    settings->max_connections_per_ip_override_count = count;
    if (settings->max_connections_per_ip == 0 && count == 0)
        settings_fail(
            job, MAX_CONNECTIONS_PER_IP,
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
            "property is set.");
    return 0;
}

static int compute_sockets(struct settings_job *job)
{
    struct broker_settings *s = job->settings;
    if (s->connections_max_idle_ms < 0)
        s->connections_max_idle_ms = -1;
    if (s->socket_send_buffer_bytes < 0)
        s->socket_send_buffer_bytes = -1;
    if (s->socket_receive_buffer_bytes < 0)
        s->socket_receive_buffer_bytes = -1;
    return compute_ip_overrides(job);
}

/* The assignors that there are, in the order in which they are named; those of other people are
 * Java classes, which have no place here. */
static void compute_assignors(struct settings_job *job)
{
    static const struct {
        const char *name, *class_name;
    } known[] = {
        {"uniform", "org.apache.kafka.coordinator.group.assignor.UniformAssignor"},
        {"range", "org.apache.kafka.coordinator.group.assignor.RangeAssignor"},
    };
    struct broker_settings *s = job->settings;
    struct str list = get_text(job, BROKER_CONFIG_GROUP_CONSUMER_ASSIGNORS), item;
    _Static_assert(array_size(known) == array_size(s->group_consumer_assignors), "each once");
    s->group_consumer_assignor_count = 0;
    while (config_list_next(list, &item, &list)) {
        for (size_t i = 0; i < array_size(known); i++) {
            bool named = str_equal(item, str_of(known[i].name)) ||
                         str_equal(item, str_of(known[i].class_name));
            bool seen = s->group_consumer_assignor_count > 0 &&
                        s->group_consumer_assignors[0] == known[i].name;
            if (named && !seen && s->group_consumer_assignor_count < 2)
                s->group_consumer_assignors[s->group_consumer_assignor_count++] = known[i].name;
        }
    }
    if (s->group_consumer_assignor_count == 0)
        s->group_consumer_assignors[s->group_consumer_assignor_count++] = known[0].name;
}

static bool is_word(struct str text, const char *word)
{
    return (size_t)text.size == strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

static void compute_migration(struct broker_settings *s, struct str policy)
{
    bool both = is_word(policy, "bidirectional");
    s->group_consumer_upgrade = both || is_word(policy, "upgrade");
    s->group_consumer_downgrade = both || is_word(policy, "downgrade");
}

static bool list_names(struct settings_job *job, enum broker_config_key key, struct str name)
{
    struct str list = get_text(job, key), item;
    while (config_list_next(list, &item, &list))
        if (str_equal(item, name))
            return true;
    return false;
}

static void compute_groups(struct settings_job *job)
{
    struct broker_settings *s = job->settings;
    s->group_consumer_protocol =
        list_names(job, BROKER_CONFIG_GROUP_COORDINATOR_REBALANCE_PROTOCOLS, STR("consumer"));
    compute_migration(s, get_text(job, BROKER_CONFIG_GROUP_CONSUMER_MIGRATION_POLICY));
    compute_assignors(job);
    if (s->offsets_topic_compression_codec < COMPRESSION_NONE ||
        s->offsets_topic_compression_codec > COMPRESSION_ZSTD)
        settings_fail(job, OFFSETS_TOPIC_COMPRESSION_CODEC,
                      "offsets.topic.compression.codec must be a codec's number, 0 to 4.");
}

/* queued.max.request.bytes is Kafka's name for the budget; ours counts before it. A frame of the
 * largest size must fit, or it could never be read. */
static void compute_request_memory(struct settings_job *job)
{
    struct broker_settings *s = job->settings;
    int64_t queued = get_long(job, BROKER_CONFIG_QUEUED_MAX_REQUEST_BYTES);
    bool own = is_set(job, BROKER_CONFIG_JACKDAW_REQUEST_MEMORY_BYTES);
    if (queued > 0 && queued < s->socket_request_max_bytes)
        settings_fail(
            job, QUEUED_MAX_REQUEST_BYTES,
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes");
    if (!own && queued > 0)
        s->request_memory_bytes = queued;
    if (s->request_memory_bytes < s->socket_request_max_bytes) {
        if (own)
            settings_fail(job, JACKDAW_REQUEST_MEMORY_BYTES,
                          "jackdaw.request.memory.bytes must be larger or equal to "
                          "socket.request.max.bytes");
        s->request_memory_bytes = s->socket_request_max_bytes;
    }
}

static void compute_own(struct settings_job *job)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct broker_settings *s = job->settings;
    struct str level = get_text(job, BROKER_CONFIG_JACKDAW_LOG_LEVEL);
    s->log_file = get_text(job, BROKER_CONFIG_JACKDAW_LOG_FILE);
    for (size_t i = 0; i < array_size(levels); i++) {
        if (same_name(level, str_of(levels[i])))
            s->log_level = (enum log_level_setting)i;
    }
    compute_request_memory(job);
}

/* What the defaults of all topics must keep to, in Kafka's words. */
static void check_topic_defaults(struct settings_job *job)
{
    const struct topic_settings *topic = &job->config->topic_defaults;
    if (topic->retention_ms == 0)
        settings_fail(job, LOG_RETENTION_MS,
                      "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    if (topic->segment_ms < 1)
        settings_fail(job, LOG_ROLL_MS, "log.roll.ms must be greater than or equal to 1");
    if (topic->segment_jitter_ms < 0)
        settings_fail(job, LOG_ROLL_JITTER_MS,
                      "log.roll.jitter.ms must be greater than or equal to 0");
}

int broker_settings_compute(struct broker_config *config, struct config_messages *messages)
{
    struct settings_job job = {config, &config->settings, messages, &config->arena};
    int err;
    compute_plain_fields(&job);
    compute_identity(&job);
    err = listener_settings_compute(&job);
    if (err == 0)
        err = compute_quorum(&job);
    if (err == 0)
        err = compute_log_dirs(&job);
    if (err == 0)
        err = compute_sockets(&job);
    if (err != 0)
        return err;
    compute_groups(&job);
    compute_own(&job);
    err = topic_defaults_compute(config);
    if (err == 0)
        check_topic_defaults(&job);
    return err;
}
