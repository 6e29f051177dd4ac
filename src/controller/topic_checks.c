/* Checks of names and assignments, and new partitions' records: what CreateTopics and
 * CreatePartitions have in common. Rules and texts of Kafka's Topic and
 * ReplicationControlManager, 4.4.0. */
#include <errno.h>

#include "controller/controller.h"
#include "controller/elections.h"
#include "controller/ops.h"
#include "controller/placement.h"

/* Names. */

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

struct outcome check_topic_name(struct decision *decision, struct str name)
{
    const int16_t code = KAFKA_INVALID_TOPIC_EXCEPTION;
    if (name.size <= 0)
        return outcome_of(code, "Topic name is invalid: the empty string is not allowed");
    if (str_equal(name, STR(".")) || str_equal(name, STR("..")))
        return outcome_printf(decision, code, "Topic name is invalid: '%.*s' is not allowed",
                              STR_ARGS(name));
    if (name.size > CONTROLLER_TOPIC_NAME_MAX)
        return outcome_printf(decision, code,
                              "Topic name is invalid: the length of '%.*s' is longer than the max "
                              "allowed length 249",
                              STR_ARGS(name));
    for (int32_t i = 0; i < name.size; i++)
        if (!is_name_character(name.data[i]))
            return outcome_printf(decision, code,
                                  "Topic name is invalid: '%.*s' contains one or more characters "
                                  "other than ASCII alphanumerics, '.', '_' and '-'",
                                  STR_ARGS(name));
    return OUTCOME_OK;
}

/* '.' and '_' are the same in metric names, so two topics may not differ in them alone. */

enum { VARIANT_SEPARATORS_MAX = 8 }; /* 256 look-ups; names with more separators take a walk */

static bool is_separator(char c)
{
    return c == '.' || c == '_';
}

static bool names_collide(struct str a, struct str b)
{
    if (a.size != b.size || str_equal(a, b))
        return false;
    for (int32_t i = 0; i < a.size; i++)
        if (a.data[i] != b.data[i] && !(is_separator(a.data[i]) && is_separator(b.data[i])))
            return false;
    return true;
}

static const struct topic_image *find_by_walk(const struct image *image, struct str name)
{
    struct tree_cursor cursor;
    const struct topic_image *topic;
    topics_from(image, STR(""), &cursor);
    while ((topic = topics_next(image, &cursor)))
        if (names_collide(topic->name, name))
            return topic;
    return NULL;
}

/* Look up every spelling with '.' and '_' exchanged. */
static const struct topic_image *find_variant(const struct image *image, struct str name,
                                              const int32_t *separators, int count)
{
    char text[CONTROLLER_TOPIC_NAME_MAX];
    memcpy(text, name.data, (size_t)name.size);
    for (int bits = 0; bits < 1 << count; bits++) {
        for (int i = 0; i < count; i++)
            text[separators[i]] = bits >> i & 1 ? '.' : '_';
        struct str variant = {text, name.size};
        if (str_equal(variant, name))
            continue;
        const struct topic_image *topic = image_topic_named(image, variant);
        if (topic)
            return topic;
    }
    return NULL;
}

struct outcome check_name_collision(struct decision *decision, struct str name)
{
    int32_t separators[VARIANT_SEPARATORS_MAX];
    int count = 0;
    for (int32_t i = 0; i < name.size; i++) {
        if (!is_separator(name.data[i]))
            continue;
        if (count < VARIANT_SEPARATORS_MAX)
            separators[count] = i;
        count++;
    }
    const struct topic_image *topic = count > VARIANT_SEPARATORS_MAX
                                          ? find_by_walk(decision->head, name)
                                          : find_variant(decision->head, name, separators, count);
    if (!topic)
        return OUTCOME_OK;
    return outcome_printf(decision, KAFKA_INVALID_TOPIC_EXCEPTION,
                          "Topic '%.*s' collides with existing topic: %.*s", STR_ARGS(name),
                          STR_ARGS(topic->name));
}

/* Replicas. */

struct outcome check_assignment(struct decision *decision, struct int32_array replicas,
                                int32_t expected)
{
    const int16_t code = KAFKA_INVALID_REPLICA_ASSIGNMENT;
    if (replicas.count <= 0)
        return outcome_of(code, "The manual partition assignment includes an empty replica list.");
    if (replicas.count > REPLICAS_MAX)
        return outcome_printf(
            decision, code,
            "The manual partition assignment includes %d replicas; at most %d are "
            "possible.",
            replicas.count, REPLICAS_MAX);
    for (int32_t i = 0; i < replicas.count; i++) {
        int32_t id = replicas.items[i];
        const struct broker_image *broker = image_broker(decision->head, id);
        if (!broker)
            return outcome_printf(decision, code,
                                  "The manual partition assignment includes broker %d, but no such "
                                  "broker is registered.",
                                  id);
        if (broker_is_cordoned(broker))
            return outcome_printf(decision, code,
                                  "The manual partition assignment includes broker %d, but all its "
                                  "log directories are cordoned.",
                                  id);
        for (int32_t j = 0; j < i; j++)
            if (replicas.items[j] == id)
                return outcome_printf(decision, code,
                                      "The manual partition assignment includes the broker %d more "
                                      "than once.",
                                      id);
    }
    if (expected > 0 && replicas.count != expected)
        return outcome_printf(decision, code,
                              "The manual partition assignment includes a partition with %d "
                              "replica(s), but this is not consistent with previous partitions, "
                              "which have %d replica(s).",
                              replicas.count, expected);
    return OUTCOME_OK;
}

struct broker_ids active_replicas(struct decision *decision, struct broker_ids replicas)
{
    int32_t *items = arena_array(decision->scratch, (size_t)replicas.count, sizeof items[0]);
    int32_t count = 0;
    if (!items) {
        decision->error = -ENOMEM;
        return (struct broker_ids){0};
    }
    for (int32_t i = 0; i < replicas.count; i++)
        if (broker_is_active(decision->head, replicas.items[i]))
            items[count++] = replicas.items[i];
    return (struct broker_ids){items, count};
}

void add_partition_record(struct decision *decision, struct uuid topic_id, int32_t partition,
                          struct broker_ids replicas, struct broker_ids isr)
{
    struct partition_record record;
    partition_record_init(&record);
    record.partition_id = partition;
    record.topic_id = topic_id;
    record.replicas = (struct int32_array){(int32_t *)replicas.items, replicas.count};
    record.isr = (struct int32_array){(int32_t *)isr.items, isr.count};
    record.leader = isr.items[0];
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    if (decision->level >= METADATA_VERSION_DIRECTORIES) {
        struct uuid *directories =
            arena_array(decision->scratch, (size_t)replicas.count, sizeof directories[0]);
        if (!directories) {
            decision->error = -ENOMEM;
            return;
        }
        for (int32_t i = 0; i < replicas.count; i++)
            directories[i] = placement_directory(decision->head, replicas.items[i]);
        record.directories = (struct uuid_array){directories, replicas.count};
    }
    decision_add(decision, METADATA_PARTITION_RECORD, partition_record_version(decision->level),
                 &record);
}

struct outcome place_partitions(struct decision *decision, struct uuid topic_id, int32_t first,
                                int32_t count, int32_t replication_factor)
{
    struct placer *placer = placer_create(decision);
    if (!placer)
        return outcome_of(error_to_wire(decision->error), NULL);
    struct outcome outcome = placer_check(decision, placer, replication_factor);
    if (outcome.error_code)
        return outcome_printf(decision, KAFKA_INVALID_REPLICATION_FACTOR,
                              "Unable to replicate the partition %d time(s): %.*s",
                              replication_factor, STR_ARGS(outcome.message));
    for (int32_t i = 0; i < count; i++) {
        int32_t *replicas =
            arena_array(decision->scratch, (size_t)replication_factor, sizeof replicas[0]);
        if (!replicas)
            return outcome_of(error_to_wire(decision->error = -ENOMEM), NULL);
        placer_place(placer, replication_factor, replicas);
        struct broker_ids ids = {replicas, replication_factor};
        struct broker_ids isr = active_replicas(decision, ids);
        if (isr.count == 0)
            return outcome_printf(decision, KAFKA_INVALID_REPLICATION_FACTOR,
                                  "Unable to replicate the partition %d time(s): All brokers are "
                                  "currently fenced or in controlled shutdown.",
                                  replication_factor);
        add_partition_record(decision, topic_id, first + i, ids, isr);
    }
    return OUTCOME_OK;
}
