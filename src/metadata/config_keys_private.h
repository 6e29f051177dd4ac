/* What the config_keys files share: readers of addresses, listeners and durations, messages, and
 * the work on settings. Nobody else includes it.
 *
 * Results point into the text that was parsed. */
#ifndef JACKDAW_METADATA_CONFIG_KEYS_PRIVATE_H
#define JACKDAW_METADATA_CONFIG_KEYS_PRIVATE_H

#include <strings.h>

#include "metadata/config_keys_broker.h"

/* "host:port", "[v6]:port" or ":port"; a v6 address may stand without brackets, the last colon
 * counts. The port is 0 to 65535. */
bool parse_host_port(struct str text, struct str *ret_host, int32_t *ret_port);

enum quorum_fault { QUORUM_FAULT_NONE, QUORUM_FAULT_FORM, QUORUM_FAULT_ID, QUORUM_FAULT_ADDRESS };

/* "id@host:port" */
enum quorum_fault parse_quorum_voter(struct str text, struct quorum_address *ret_address);

/* "by_duration:" and a duration of ISO 8601 as java.time.Duration reads it, not negative. */
bool is_by_duration(struct str text);

/* "NAME://host:port" and its kin; fills name (as written), host, port and unix_path. */
bool parse_listener(struct str text, struct listener_setting *ret_listener);

/* "PLAINTEXT" and so on, any case. */
bool parse_security_protocol(struct str text, enum security_protocol *ret_protocol);

/* Add a message; the text is copied. */
void config_messages_add(struct config_messages *messages, enum config_message_level level,
                         int32_t line, struct str key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Fill config->settings and ->topic_defaults from its values and pairs. What cannot be served is
 * added to messages as an error. 0 or -ENOMEM. */
int broker_settings_compute(struct broker_config *config, struct config_messages *messages);

/* Fill config->topic_defaults. 0 or -ENOMEM. */
int topic_defaults_compute(struct broker_config *config);

/* Is it the key's default, null or empty, which a refused key accepts too? */
bool config_value_is_harmless(const struct config_key *key, const struct config_value *value,
                              struct arena *arena);

/* The index of the broker key behind "listener.name.NAME.KEY", or of KEY behind
 * "listener.name.NAME.MECHANISM.KEY"; -1 when it is no such name or the key is unknown. */
int32_t find_listener_key(struct str name, struct str *ret_listener);

/* The effective value of one topic key: the override's if it parses, else the broker's, else the
 * default; source is set accordingly (a value of the broker: its source there). 0 or -ENOMEM. */
int topic_value_resolve(const struct broker_config *broker, struct config_pairs overrides,
                        enum topic_config_key key, struct arena *arena,
                        struct config_value *ret_value);

/* What makes settings of values works on this. */
struct settings_job {
    struct broker_config *config;
    struct broker_settings *settings;
    struct config_messages *messages;
    struct arena *arena; /* the configuration's */
};

#define settings_fail(job, key_id, ...)                                                            \
    config_messages_add((job)->messages, CONFIG_ERROR, 0,                                          \
                        str_of(broker_schema.keys[BROKER_CONFIG_##key_id].name), __VA_ARGS__)

static inline int32_t get_int(const struct settings_job *job, enum broker_config_key key)
{
    return config_int(&job->config->values, (int32_t)key);
}

static inline int64_t get_long(const struct settings_job *job, enum broker_config_key key)
{
    return config_long(&job->config->values, (int32_t)key);
}

static inline struct str get_text(const struct settings_job *job, enum broker_config_key key)
{
    return config_text(&job->config->values, (int32_t)key);
}

static inline bool is_set(const struct settings_job *job, enum broker_config_key key)
{
    return config_source_of(&job->config->values, (int32_t)key) != CONFIG_SOURCE_DEFAULT;
}

/* Names of listeners and hosts are the same in any case. */
static inline bool same_name(struct str a, struct str b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, (size_t)a.size) == 0;
}

/* Fill listeners, inter_broker_listener_name and advertised of the settings; errors are messages.
 * 0 or -ENOMEM. */
int listener_settings_compute(struct settings_job *job);

#endif
