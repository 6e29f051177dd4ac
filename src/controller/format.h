/* Making log directories ready for a node, as `kafka-storage format --standalone` does:
 * meta.properties in each, and in the metadata directory the bootstrap snapshot with the voters and
 * the features that a new cluster begins with. */
#ifndef JACKDAW_CONTROLLER_FORMAT_H
#define JACKDAW_CONTROLLER_FORMAT_H

#include "log/log_dir.h"
#include "metadata/config_keys_broker.h"
#include "metadata/features.h"
#include "quorum/quorum.h"

enum {
    FORMAT_LEVELS_MAX = 32,
    FORMAT_TEXT_SIZE = 256,
};

struct feature_choice {
    struct str name;
    int16_t level;
};

struct format_params {
    struct env *env;
    const struct broker_settings
        *settings; /* log_dirs, all_dir_count, metadata_log_dir, node_id, roles, listeners */
    const char *cluster_id;
    int16_t metadata_version;             /* METADATA_VERSION_LATEST */
    const struct feature_choice *choices; /* levels other than the defaults */
    int32_t choice_count;
    bool static_voters;    /* kraft.version 0: the voters are those of the configuration */
    bool ignore_formatted; /* leave formatted directories of this node as they are */
    char *text;            /* FORMAT_TEXT_SIZE bytes, for a problem that has to be composed */
};

/* The levels to write, in `ret_levels`: for each feature its choice, else the highest that Jackdaw
 * serves and the metadata.version allows. -EINVAL with a text for unknown features, levels that
 * Jackdaw cannot serve, and levels that contradict each other. kraft.version is not among them: it
 * is *ret_kraft. */
int format_levels(const struct format_params *params, struct feature_choice *ret_levels,
                  int32_t *ret_count, int16_t *ret_kraft, const char **ret_problem);

enum format_state {
    FORMAT_EMPTY,     /* missing, or nothing in it */
    FORMAT_HALF,      /* a crash interrupted formatting: meta.properties and nothing else */
    FORMAT_DONE,      /* formatted */
    FORMAT_FOREIGN,   /* not empty, and not formatted */
    FORMAT_MALFORMED, /* meta.properties cannot be read */
};

/* Look at the index-th of all_dir_count settings->log_dirs. ret_meta is set when there is one. 0 or
 * -errno. BLOCKING. */
int format_look(struct env *env, const struct broker_settings *settings, int32_t index,
                enum format_state *ret_state, struct meta_properties *ret_meta);

/* Format what is empty or half formatted. `told` (may be NULL) hears of each directory: 0 formatted
 * now, 1 left as it was. Everything is looked at before anything is written:
 *
 * -EEXIST a directory is formatted (and ignore_formatted is off); -ENOTEMPTY it holds something
 * else; -EBADMSG its meta.properties is malformed; -EXDEV it belongs to another cluster or node;
 * -EINVAL as format_levels. *ret_problem is the directory or the text. BLOCKING. */
int format_storage(const struct format_params *params,
                   void (*told)(void *context, const char *dir, int outcome), void *context,
                   const char **ret_problem);

/* Whether this node never was: every directory is empty, or has a meta.properties that an
 * interrupted format left and nothing else. ret_cluster_id is set to the one that is there, or to
 * "". 0 or -errno. BLOCKING. */
int format_is_fresh(struct env *env, const struct broker_settings *settings, bool *ret_fresh,
                    char ret_cluster_id[CLUSTER_ID_SIZE]);

#endif
