/* The one table of configuration keys: Kafka's and our own (which start with "jackdaw.").
 *
 * config_keys.def says everything about a key once; the enums, the schemas, the reference in
 * docs/configuration.md and the tests come from it. There are four schemas, for what a broker, a
 * topic, a group and a client-metrics subscription may be set to. Source of names, types, defaults,
 * checks and update modes: Apache Kafka 4.4.0. */
#ifndef JACKDAW_METADATA_CONFIG_KEYS_H
#define JACKDAW_METADATA_CONFIG_KEYS_H

#include "base/config.h"

/* BROKER_CONFIG_LOG_RETENTION_MS is the index of "log.retention.ms" in broker_schema. */
enum broker_config_key {
#define BROKER_KEY(id, ...) BROKER_CONFIG_##id,
#include "metadata/config_keys.def"
    BROKER_CONFIG_COUNT
};

/* TOPIC_CONFIG_RETENTION_MS is the index of "retention.ms" in topic_schema. */
enum topic_config_key {
#define TOPIC_KEY(id, ...) TOPIC_CONFIG_##id,
#include "metadata/config_keys.def"
    TOPIC_CONFIG_COUNT
};

enum group_config_key {
#define GROUP_KEY(id, ...) GROUP_CONFIG_##id,
#include "metadata/config_keys.def"
    GROUP_CONFIG_COUNT
};

enum client_metrics_config_key {
#define CLIENT_METRICS_KEY(id, ...) CLIENT_METRICS_CONFIG_##id,
#include "metadata/config_keys.def"
    CLIENT_METRICS_CONFIG_COUNT
};

extern const struct config_schema broker_schema;
extern const struct config_schema topic_schema;
extern const struct config_schema group_schema;
extern const struct config_schema client_metrics_schema;

enum { CONFIG_SYNONYMS_MAX = 3 };

/* The broker keys that give a topic's key its default, strongest first; a value there counts
 * `factor` of the topic key's unit (hours to milliseconds). key < 0: no further one. */
struct config_key_synonym {
    int32_t key; /* enum broker_config_key */
    int64_t factor;
};

const struct config_key_synonym *topic_key_synonyms(enum topic_config_key key);

/* The broker key that gives a group's key its default, or -1. */
int32_t group_key_synonym(enum group_config_key key);

/* The keys in whose place `key` is described, strongest first, itself included: log.retention.hours
 * stands behind log.retention.minutes and log.retention.ms. Returns how many. */
int32_t broker_key_synonyms(enum broker_config_key key,
                            enum broker_config_key ret_keys[CONFIG_SYNONYMS_MAX]);

/* What IncrementalAlterConfigs may do to a key (KIP-339), with its numbers. */
enum config_op { CONFIG_OP_SET, CONFIG_OP_DELETE, CONFIG_OP_APPEND, CONFIG_OP_SUBTRACT };

/* What `op` makes of a key's own value; current.data NULL: it has none. An APPEND or SUBTRACT
 * starts from the default then. ret_value.data NULL: the key is to be deleted. The new value is not
 * yet validated: that needs the whole set. 0; KAFKA_INVALID_CONFIG or KAFKA_INVALID_REQUEST with
 * Kafka's text in the arena; -ENOMEM. That no key comes twice in a request is the caller's to see
 * ("Error due to duplicate config keys", KAFKA_INVALID_REQUEST). */
int config_apply_op(const struct config_schema *schema, enum config_op op, struct str name,
                    struct str current, struct str operand, struct arena *arena,
                    struct str *ret_value, const char **ret_error);

/* Append docs/configuration.md, made from the tables. */
void config_write_reference(struct writer *out);

#endif
