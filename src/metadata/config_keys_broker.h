/* A broker's configuration: a file and overrides make it, dynamic changes make a new one.
 *
 * A broker_config is immutable once made; a dynamic change makes another, which the server
 * publishes in its place. Everything in it lives as long as it does. */
#ifndef JACKDAW_METADATA_CONFIG_KEYS_BROKER_H
#define JACKDAW_METADATA_CONFIG_KEYS_BROKER_H

#include "metadata/config_keys.h"
#include "metadata/config_keys_topic.h"

/* Kafka's ids of security protocols. Only PLAINTEXT is served; the others are refused at load. */
enum security_protocol {
    SECURITY_PLAINTEXT = 0,
    SECURITY_SSL = 1,
    SECURITY_SASL_PLAINTEXT = 2,
    SECURITY_SASL_SSL = 3,
};

/* One entry of `listeners`: NAME://host:port, NAME://[v6]:port, NAME://:port (all interfaces), or
 * NAME://unix:/path for a Unix-domain socket. */
struct listener_setting {
    struct str name;         /* in upper case, as Kafka compares it */
    struct str host;         /* without brackets; empty: all interfaces, v4 and v6 */
    struct str unix_path;    /* data NULL unless a Unix-domain socket; then host is empty, port 0 */
    int32_t port;            /* 0: any free one */
    int32_t max_connections; /* listener.name.X.max.connections */
    int32_t max_connection_creation_rate; /* listener.name.X.max.connection.creation.rate */
    enum security_protocol protocol;
    bool controller; /* named in controller.listener.names: for the quorum, not for clients */
};

/* One entry of `advertised.listeners`. */
struct advertised_setting {
    struct str name;
    struct str host;
    int32_t port;
};

/* One address of controller.quorum.voters (id >= 0) or .bootstrap.servers (id -1). */
struct quorum_address {
    int32_t id;
    struct str host;
    int32_t port;
};

/* One entry of max.connections.per.ip.overrides. Addresses are kept as IPv6, v4 as ::ffff:a.b.c.d.
 */
struct ip_override {
    uint8_t address[16];
    int32_t max_connections;
};

enum log_level_setting { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* What the broker itself reads, parsed. Sizes in bytes, times as named. Keys without a field here
 * have no effect, or only one on topics. */
struct broker_settings {
    /* who and where */
    int32_t node_id;
    bool role_broker;
    bool role_controller;
    struct str rack; /* data NULL: none */
    const struct listener_setting *listeners;
    int32_t listener_count;
    const struct advertised_setting *advertised; /* none: a client is told its own local address */
    int32_t advertised_count;
    struct str inter_broker_listener_name;
    const struct quorum_address *quorum_voters;
    int32_t quorum_voter_count;
    const struct quorum_address *quorum_bootstrap_servers;
    int32_t quorum_bootstrap_server_count;
    const struct str *log_dirs;
    int32_t log_dir_count;
    struct str metadata_log_dir; /* the first of log_dirs if not set */
    int32_t all_dir_count;       /* of log_dirs, and metadata_log_dir behind them if it is apart */

    /* sockets and connections */
    int32_t socket_send_buffer_bytes;    /* -1: the system's */
    int32_t socket_receive_buffer_bytes; /* -1: the system's */
    int32_t socket_request_max_bytes;
    int32_t socket_listen_backlog_size;
    int32_t max_connections;
    int32_t max_connections_per_ip;
    const struct ip_override *max_connections_per_ip_overrides;
    int32_t max_connections_per_ip_override_count;
    int32_t max_connection_creation_rate; /* a second */
    int64_t connections_max_idle_ms;      /* -1: never */

    /* requests */
    int32_t request_timeout_ms;
    int32_t fetch_max_bytes;
    int32_t max_incremental_fetch_session_cache_slots;
    int32_t max_request_partition_size_limit;
    int64_t producer_id_expiration_ms;
    int64_t producer_id_expiration_check_interval_ms;

    /* topics */
    bool auto_create_topics_enable;
    bool delete_topic_enable;
    int32_t num_partitions;
    int32_t default_replication_factor;
    int32_t offsets_topic_num_partitions;
    int32_t offsets_topic_replication_factor;
    int32_t offsets_topic_segment_bytes;
    int32_t offsets_topic_compression_codec; /* Kafka's number */
    int32_t transaction_state_log_num_partitions;
    int32_t transaction_state_log_replication_factor;
    int32_t transaction_state_log_min_isr;
    int32_t transaction_state_log_segment_bytes;

    /* transactions */
    int32_t transaction_max_timeout_ms;
    int64_t transaction_remove_expired_interval_ms;
    int64_t transactional_id_expiration_ms;
    bool transaction_partition_verification_enable;
    int32_t add_partitions_to_txn_retry_backoff_ms;
    int32_t add_partitions_to_txn_retry_backoff_max_ms;

    /* groups and their offsets */
    int32_t group_min_session_timeout_ms;
    int32_t group_max_session_timeout_ms;
    int32_t group_initial_rebalance_delay_ms;
    int32_t group_max_size;
    bool group_consumer_protocol; /* consumer is one of group.coordinator.rebalance.protocols */
    int64_t group_memory_bytes;   /* jackdaw.group.memory.bytes */
    int32_t group_consumer_max_size;
    int32_t group_consumer_session_timeout_ms;
    int32_t group_consumer_min_session_timeout_ms;
    int32_t group_consumer_max_session_timeout_ms;
    int32_t group_consumer_heartbeat_interval_ms;
    int32_t group_consumer_min_heartbeat_interval_ms;
    int32_t group_consumer_max_heartbeat_interval_ms;
    int32_t group_consumer_assignment_interval_ms;
    int32_t group_consumer_min_assignment_interval_ms;
    int32_t group_consumer_max_assignment_interval_ms;
    bool group_consumer_assignor_offload;
    int64_t group_assignor_inline_max; /* jackdaw.group.assignor.inline.max */
    int32_t group_consumer_regex_refresh_interval_ms;
    bool group_consumer_upgrade, group_consumer_downgrade; /* group.consumer.migration.policy */
    const char *group_consumer_assignors[2]; /* "uniform", "range": the first is the default */
    int32_t group_consumer_assignor_count;   /* at least 1 */
    int32_t offset_metadata_max_bytes;       /* counted in UTF-16 code units, as Kafka does */
    int32_t offsets_commit_timeout_ms;
    int32_t offsets_retention_minutes;
    int64_t offsets_retention_check_interval_ms;

    /* logs */
    int64_t log_retention_check_interval_ms;
    int64_t log_initial_task_delay_ms;
    int64_t log_flush_scheduler_interval_ms;
    int32_t log_flush_offset_checkpoint_interval_ms;
    int32_t log_flush_start_offset_checkpoint_interval_ms;
    int64_t replica_high_watermark_checkpoint_interval_ms;
    int32_t num_recovery_threads_per_data_dir;

    /* the log cleaner */
    bool log_cleaner_enable;
    int32_t log_cleaner_threads;
    int64_t log_cleaner_dedupe_buffer_size;
    double log_cleaner_io_buffer_load_factor;
    double log_cleaner_io_max_bytes_per_second;
    int64_t log_cleaner_backoff_ms;

    /* the metadata log */
    int32_t metadata_log_segment_bytes;
    int64_t metadata_log_segment_ms;
    int64_t metadata_max_retention_bytes;
    int64_t metadata_max_retention_ms;
    int64_t metadata_log_max_record_bytes_between_snapshots;
    int64_t metadata_log_max_snapshot_interval_ms;

    /* own keys */
    int32_t event_loops;          /* jackdaw.event.loops; 0: one per core */
    int32_t pool_threads;         /* jackdaw.pool.threads; 0: the default of os/pool */
    int64_t disk_slow_ms;         /* jackdaw.disk.slow.ms */
    int32_t open_files_max;       /* jackdaw.log.open.files.max: descriptors of closed segments */
    int64_t request_memory_bytes; /* jackdaw.request.memory.bytes: the common budget */
    int32_t connection_inflight_max;    /* jackdaw.connection.inflight.max */
    int64_t response_memory_bytes;      /* jackdaw.response.memory.bytes */
    int64_t fetch_session_memory_bytes; /* jackdaw.fetch.session.memory.bytes */
    int32_t connection_output_bytes;    /* jackdaw.connection.output.bytes */
    struct str log_file;                /* jackdaw.log.file; data NULL: standard error */
    enum log_level_setting log_level;   /* jackdaw.log.level */
};

enum {
    UNIX_PATH_MAX_BYTES = 107,  /* what a socket address holds, without its NUL */
    CONFIG_ENTRIES_MAX = 10000, /* of a file and the overrides together */
    LISTENERS_MAX = 64,
};

enum config_message_level { CONFIG_NOTE, CONFIG_WARNING, CONFIG_ERROR };

/* Something to tell the user about the file or an override. */
struct config_message {
    enum config_message_level level;
    int32_t line;     /* in the file; 0: an override, or nowhere */
    struct str key;   /* empty: no single key */
    const char *text; /* a full sentence; for what is unknown it names the nearest key */
};

enum { CONFIG_MESSAGES_MAX = 1000 };

/* Messages in the order to print them. Zero-initialise, close after use. */
struct config_messages {
    struct arena arena;
    struct config_message *items;
    int32_t count;
    int32_t capacity;
    int32_t error_count;
    int32_t dropped; /* beyond CONFIG_MESSAGES_MAX, or when memory ran out */
};

void config_messages_close(struct config_messages *messages);

struct broker_config {
    struct arena arena;
    struct config_pairs static_pairs;    /* the file and the overrides */
    struct config_pairs dynamic_default; /* of all brokers */
    struct config_pairs dynamic_broker;  /* of this one */
    struct config values;                /* broker_schema resolved over the three */
    struct broker_settings settings;
    struct topic_settings topic_defaults; /* of a topic without overrides */
};

/* The text of the first error, or NULL. */
const char *config_messages_error(const struct config_messages *messages);

/* Make a configuration of a file's text (data NULL: no file, and the defaults of a single node on
 * 127.0.0.1:9092 with its data in ./data) and of overrides "key=value", which win over the file.
 *
 * KAFKA_INVALID_CONFIG if it cannot be served: every reason is among the messages as an error; else
 * 0 and messages have at most warnings (unknown keys) and notes (keys without effect). */
int broker_config_load(struct bytes file, const char *const *overrides, int32_t override_count,
                       struct config_messages *messages, struct broker_config **ret_config);

/* The same broker under other dynamic values; they are copied. Names that the table does not know,
 * and values that do not parse, are left out, as Kafka does with what it finds in the metadata. */
int broker_config_with_dynamic(const struct broker_config *config,
                               struct config_pairs dynamic_default,
                               struct config_pairs dynamic_broker,
                               struct broker_config **ret_config);

void broker_config_destroy(struct broker_config *config);

/* The whole dynamic set of this broker (per_broker) or of all, as it would be after a change.
 * KAFKA_INVALID_REQUEST or KAFKA_INVALID_CONFIG with Kafka's text: keys that are read-only, keys
 * that only one broker may have, invalid values, and changes that Kafka refuses while running. */
int broker_config_validate_dynamic(const struct broker_config *config, bool per_broker,
                                   struct config_pairs pairs, struct arena *arena,
                                   const char **ret_error);

/* The listener of that name (any case), or NULL. */
const struct listener_setting *broker_listener(const struct broker_settings *settings,
                                               struct str name);

/* Does it listen on loopback addresses or a Unix-domain socket only? */
bool listener_is_local(const struct listener_setting *listener);

#endif
