#include "metadata/features.h"

#include "base/must.h"

/* What is not finalized by Jackdaw today, and why: streams.version wants the groups of KIP-1071,
 * share.version share groups. Registrations claim them all the same: a directory that Kafka
 * formatted has them on. eligible.leader.replicas is the controller's own affair, and served. */
const struct feature features[] = {
    {FEATURE_METADATA_VERSION, METADATA_VERSION_MIN, METADATA_VERSION_LATEST,
     METADATA_VERSION_LATEST},
    {FEATURE_KRAFT_VERSION, 0, 1, 1},
    {FEATURE_ELR_VERSION, 0, 1, 1},
    {FEATURE_GROUP_VERSION, 0, 1, 1},
    {FEATURE_TRANSACTION_VERSION, 0, 2, 2},
    {FEATURE_SHARE_VERSION, 0, 2, 0},
    {FEATURE_STREAMS_VERSION, 0, 1, 0},
};
const int32_t features_count = array_size(features);

const struct feature *feature_find(struct str name)
{
    for (int32_t i = 0; i < features_count; i++)
        if (str_equal(str_of(features[i].name), name))
            return &features[i];
    return NULL;
}

/* By level, from METADATA_VERSION_MIN on. */
static const char *const version_names[] = {
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1",
    "3.6-IV2", "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0",
    "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1",
    "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0", "4.4-IV1", "4.4-IV2",
};
_Static_assert(array_size(version_names) == METADATA_VERSION_LATEST - METADATA_VERSION_MIN + 1,
               "every level has a name");

const char *metadata_version_name(int16_t level)
{
    if (level < METADATA_VERSION_MIN || level > METADATA_VERSION_LATEST)
        return NULL;
    return version_names[level - METADATA_VERSION_MIN];
}

static int16_t parse_level(struct str text)
{
    int level = 0;
    if (text.size < 1 || text.size > 4)
        return -1;
    for (int32_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        level = level * 10 + (text.data[i] - '0');
    }
    return metadata_version_name((int16_t)level) ? (int16_t)level : -1;
}

int16_t metadata_version_parse(struct str text)
{
    for (int16_t level = METADATA_VERSION_LATEST; level >= METADATA_VERSION_MIN; level--) {
        struct str name = str_of(metadata_version_name(level));
        if (str_equal(name, text))
            return level;
        /* "4.3" stands for its newest level: the first one met, as levels descend. */
        struct str release = {name.data, name.size - 4};
        if (str_equal(release, text))
            return level;
    }
    return parse_level(text);
}

int16_t register_broker_record_version(int16_t metadata_version)
{
    if (metadata_version >= METADATA_VERSION_CORDON)
        return 4;
    if (metadata_version >= METADATA_VERSION_DIRECTORIES)
        return 3;
    return metadata_version >= 8 ? 2 : 1;
}

int16_t partition_record_version(int16_t metadata_version)
{
    if (metadata_version >= METADATA_VERSION_ELR)
        return 2;
    return metadata_version >= METADATA_VERSION_DIRECTORIES ? 1 : 0;
}

int16_t broker_registration_change_record_version(int16_t metadata_version)
{
    if (metadata_version >= METADATA_VERSION_CORDON)
        return 3;
    return metadata_version >= METADATA_VERSION_DIRECTORIES ? 2 : 1;
}

int16_t fetch_version_of(int16_t metadata_version)
{
    if (metadata_version >= 27)
        return 18;
    if (metadata_version >= 21)
        return 17;
    if (metadata_version >= 19)
        return 16;
    if (metadata_version >= 10)
        return 15;
    return metadata_version >= 9 ? 14 : 13;
}

int16_t list_offsets_version_of(int16_t metadata_version)
{
    if (metadata_version >= 29)
        return 11;
    if (metadata_version >= 25)
        return 10;
    if (metadata_version >= 21)
        return 9;
    return metadata_version >= 9 ? 8 : 7;
}
