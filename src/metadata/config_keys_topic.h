/* What a topic may be set to, and what that makes of it. */
#ifndef JACKDAW_METADATA_CONFIG_KEYS_TOPIC_H
#define JACKDAW_METADATA_CONFIG_KEYS_TOPIC_H

#include "metadata/config_keys.h"

struct broker_config;

enum compression_setting {
    COMPRESSION_SETTING_PRODUCER = -1, /* keep what the producer chose */
    COMPRESSION_SETTING_UNCOMPRESSED = 0,
    COMPRESSION_SETTING_GZIP = 1, /* from here on Kafka's codec numbers */
    COMPRESSION_SETTING_SNAPPY = 2,
    COMPRESSION_SETTING_LZ4 = 3,
    COMPRESSION_SETTING_ZSTD = 4,
};

/* The effective settings of a topic, parsed, for use on the hot path. Times are in milliseconds;
 * -1 means no limit where Kafka says so. */
struct topic_settings {
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int64_t retention_ms;    /* -1: no limit */
    int64_t retention_bytes; /* -1: no limit */
    int64_t flush_messages;
    int64_t flush_ms;
    int64_t file_delete_delay_ms;
    int64_t delete_retention_ms;
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    int64_t message_timestamp_before_max_ms;
    int64_t message_timestamp_after_max_ms;
    double min_cleanable_dirty_ratio;
    int32_t segment_bytes;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    int32_t max_message_bytes;
    int32_t max_decompressed_message_bytes;
    int32_t min_insync_replicas;
    int32_t compression_gzip_level; /* -1: the library's own */
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
    int8_t compression_type; /* enum compression_setting */
    bool cleanup_delete;     /* cleanup.policy has delete */
    bool cleanup_compact;    /* cleanup.policy has compact */
    bool log_append_time;    /* message.timestamp.type is LogAppendTime */
    bool preallocate;
    bool unclean_leader_election_enable;
};

/* From the topic's overrides, then the broker's dynamic and static values, then the defaults.
 * overrides.count 0 costs nothing: it copies broker->topic_defaults. Overrides were validated when
 * they were set; one that does not parse (another controller wrote it) counts as not set. */
int topic_settings_compute(const struct broker_config *broker, struct config_pairs overrides,
                           struct topic_settings *ret_settings);

/* Is `name` a topic key and `value` good for it? 0, or KAFKA_INVALID_CONFIG with Kafka's text in
 * the arena; -ENOMEM. value.data NULL: null. */
int topic_config_validate(struct str name, struct str value, struct arena *arena,
                          const char **ret_error);

/* A topic's whole set of overrides, as it would be after the change: each one, and all together as
 * they would work under this broker's values. */
int topic_config_validate_all(const struct broker_config *broker, struct config_pairs overrides,
                              struct arena *arena, const char **ret_error);

/* The same for the resources GROUP and CLIENT_METRICS. */
int group_config_validate_all(const struct broker_config *broker, struct config_pairs overrides,
                              struct arena *arena, const char **ret_error);
int client_metrics_config_validate_all(struct config_pairs overrides, struct arena *arena,
                                       const char **ret_error);

#endif
