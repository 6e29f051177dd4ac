/* The features of a cluster (KIP-584): which there are, which levels Jackdaw can live with, which
 * it sets when it formats, and what metadata.version decides. Source: Apache Kafka 4.4.0. */
#ifndef JACKDAW_METADATA_FEATURES_H
#define JACKDAW_METADATA_FEATURES_H

#include <stdint.h>

#include "base/bytes.h"

#define FEATURE_METADATA_VERSION "metadata.version"
#define FEATURE_KRAFT_VERSION "kraft.version"
#define FEATURE_GROUP_VERSION "group.version"
#define FEATURE_TRANSACTION_VERSION "transaction.version"
#define FEATURE_ELR_VERSION "eligible.leader.replicas.version"
#define FEATURE_SHARE_VERSION "share.version"
#define FEATURE_STREAMS_VERSION "streams.version"

enum metadata_version {
    METADATA_VERSION_MIN = 7,           /* 3.3-IV3, the oldest that Kafka 4.x reads */
    METADATA_VERSION_TRANSACTIONS = 13, /* 3.6-IV1: Begin/EndTransaction records */
    METADATA_VERSION_CONTROLLERS = 15,  /* 3.7-IV0: RegisterController */
    METADATA_VERSION_DIRECTORIES =
        17,                        /* 3.7-IV2: log directories in broker and partition records */
    METADATA_VERSION_KRAFT_1 = 21, /* 3.9-IV0: dynamic voters */
    METADATA_VERSION_ELR = 23,     /* 4.0-IV1: partition records version 2 */
    METADATA_VERSION_CORDON = 30,  /* 4.3-IV0: cordoned log directories */
    METADATA_VERSION_LATEST = 33,  /* 4.4-IV2 */
};

/* One feature as Jackdaw sees it. `min`..`max` is what a registration claims, so that Jackdaw
 * starts on a directory or joins a cluster that Kafka formatted with everything on. `finalize_max`
 * is the highest level that Jackdaw serves in full: no higher one is set by formatting or
 * UpdateFeatures. */
struct feature {
    const char *name;
    int16_t min;
    int16_t max;
    int16_t finalize_max;
};

extern const struct feature features[];
extern const int32_t features_count;

const struct feature *feature_find(struct str name); /* NULL: unknown */

/* "4.4-IV2" for 33; NULL for levels without a name. */
const char *metadata_version_name(int16_t level);
/* The level of "4.4-IV2", "4.4" (its newest) or "33"; -1 for none. */
int16_t metadata_version_parse(struct str text);

/* Versions of records that a level allows. */
int16_t register_broker_record_version(int16_t metadata_version);
int16_t partition_record_version(int16_t metadata_version); /* also PartitionChangeRecord */
int16_t broker_registration_change_record_version(int16_t metadata_version);

/* Versions of inter-broker requests that a level dictates (they are not negotiated). */
int16_t fetch_version_of(int16_t metadata_version);
int16_t list_offsets_version_of(int16_t metadata_version);

#endif
