/* What DescribeConfigs answers (versions 1 to 4), as data. Source: KIP-133, KIP-226, KIP-569. */
#ifndef JACKDAW_METADATA_CONFIG_KEYS_DESCRIBE_H
#define JACKDAW_METADATA_CONFIG_KEYS_DESCRIBE_H

#include "metadata/config_keys_broker.h"

struct described_synonym {
    struct str name;
    struct str value; /* data NULL: null, also when it is sensitive */
    int8_t source;    /* enum config_source */
};

struct described_config {
    struct str name;
    struct str value;                         /* data NULL: null, also when it is sensitive */
    struct str documentation;                 /* own words; may be empty */
    const struct described_synonym *synonyms; /* strongest first */
    int32_t synonym_count;
    int8_t source; /* enum config_source */
    int8_t type;   /* enum config_type; 0 unknown */
    bool read_only;
    bool is_default; /* source is the default */
    bool is_sensitive;
};

/* What is described. `names` restricts the answer to those keys (names_count < 0: all); names that
 * do not exist are left out, as Kafka does. */
struct describe_request {
    const struct str *names;
    int32_t names_count;
    bool include_synonyms;
    bool include_documentation;
};

/* All answers live in the arena; sorted by name. 0 or -ENOMEM. */

int config_describe_topic(const struct broker_config *broker, struct config_pairs overrides,
                          const struct describe_request *request, struct arena *arena,
                          const struct described_config **ret_configs, int32_t *ret_count);

/* The resource BROKER with this broker's id. */
int config_describe_broker(const struct broker_config *broker,
                           const struct describe_request *request, struct arena *arena,
                           const struct described_config **ret_configs, int32_t *ret_count);

/* The resource BROKER with an empty name: the dynamic values that hold for all brokers. */
int config_describe_broker_default(const struct broker_config *broker,
                                   const struct describe_request *request, struct arena *arena,
                                   const struct described_config **ret_configs, int32_t *ret_count);

int config_describe_group(const struct broker_config *broker, struct config_pairs overrides,
                          const struct describe_request *request, struct arena *arena,
                          const struct described_config **ret_configs, int32_t *ret_count);

int config_describe_client_metrics(struct config_pairs overrides,
                                   const struct describe_request *request, struct arena *arena,
                                   const struct described_config **ret_configs, int32_t *ret_count);

#endif
