/* The rules are those of Kafka's PartitionChangeBuilder and ReplicationControlManager, 4.4.0. */
#include "controller/elections.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "controller/placement.h"

/* Lists of brokers, in scratch. When memory runs out the decision fails and lists stay as they are.
 */

static struct broker_ids ids_without(struct decision *decision, struct broker_ids ids, int32_t a,
                                     int32_t b)
{
    if (!broker_ids_has(ids, a) && !broker_ids_has(ids, b))
        return ids;
    int32_t *items = arena_array(decision->scratch, (size_t)ids.count, sizeof items[0]);
    int32_t count = 0;
    if (!items) {
        decision->error = -ENOMEM;
        return ids;
    }
    for (int32_t i = 0; i < ids.count; i++)
        if (ids.items[i] != a && ids.items[i] != b)
            items[count++] = ids.items[i];
    return (struct broker_ids){items, count};
}

static struct broker_ids ids_of_one(struct decision *decision, int32_t id)
{
    int32_t *items = arena_array(decision->scratch, 1, sizeof items[0]);
    if (!items) {
        decision->error = -ENOMEM;
        return (struct broker_ids){0};
    }
    items[0] = id;
    return (struct broker_ids){items, 1};
}

static bool ids_equal(struct broker_ids a, struct broker_ids b)
{
    return a.count == b.count &&
           (a.count == 0 || memcmp(a.items, b.items, (size_t)a.count * sizeof a.items[0]) == 0);
}

static bool ids_contain(struct broker_ids all, struct broker_ids some)
{
    for (int32_t i = 0; i < some.count; i++)
        if (!broker_ids_has(all, some.items[i]))
            return false;
    return true;
}

static struct int32_array array_of(struct broker_ids ids)
{
    return (struct int32_array){(int32_t *)ids.items, ids.count};
}

/* Topic settings that elections depend on. A value set anywhere was checked when it was set; what
 * does not parse counts as not set. */

static struct str effective_value(const struct decision *decision, struct str topic, struct str key)
{
    char node[16];
    int size = snprintf(node, sizeof node, "%d", decision->node_id);
    struct str own = {node, size};
    const struct image *head = decision->head;
    struct str value = config_pairs_get(image_configs(head, CONFIG_RESOURCE_TOPIC, topic), key);
    if (!value.data)
        value = config_pairs_get(image_configs(head, CONFIG_RESOURCE_BROKER, own), key);
    if (!value.data)
        value = config_pairs_get(image_configs(head, CONFIG_RESOURCE_BROKER, STR("")), key);
    return value;
}

int32_t topic_min_isr(const struct decision *decision, const struct topic_image *topic)
{
    struct str text = effective_value(decision, topic->name, STR("min.insync.replicas"));
    int32_t value = 0;
    for (int32_t i = 0; text.data && i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > 100000)
            return decision->config->topic_defaults.min_insync_replicas;
        value = value * 10 + (text.data[i] - '0');
    }
    return value > 0 ? value : decision->config->topic_defaults.min_insync_replicas;
}

bool topic_unclean_election(const struct decision *decision, const struct topic_image *topic)
{
    struct str text = effective_value(decision, topic->name, STR("unclean.leader.election.enable"));
    if (!text.data)
        return decision->config->topic_defaults.unclean_leader_election_enable;
    return text.size == 4 && strncasecmp(text.data, "true", 4) == 0;
}

/* One change. */

void update_init(struct partition_update *update, struct decision *decision,
                 const struct topic_image *topic, const struct partition_image *partition)
{
    *update = (struct partition_update){
        .decision = decision,
        .topic = topic,
        .partition = partition,
        .exceptions = NO_EXCEPTIONS,
        .election = ELECT_ONLINE,
        .elr_enabled = image_feature(decision->head, STR(FEATURE_ELR_VERSION)) > 0,
        .replicas = partition->replicas,
        .isr = partition->isr,
        .removing = partition->removing,
        .adding = partition->adding,
        .elr = partition->elr,
        .recovery_state = partition->leader_recovery_state,
    };
    int32_t min_isr = topic_min_isr(decision, topic);
    update->min_isr = min_isr < partition->replicas.count ? min_isr : partition->replicas.count;
}

void update_leave(struct partition_update *update, int32_t broker_id)
{
    update->exceptions.leaving = broker_id;
    update->isr = ids_without(update->decision, update->isr, broker_id, broker_id);
}

/* Whether the replica's log directory is known to be there. */
static bool directory_online(const struct partition_update *update, int32_t id)
{
    const struct uuid *directory = partition_directory(update->partition, id);
    const struct broker_image *broker = image_broker(update->decision->head, id);
    return !directory || !broker || broker_has_directory(broker, *directory);
}

static bool is_acceptable(const struct partition_update *update, int32_t id)
{
    const struct broker_exceptions *exceptions = &update->exceptions;
    if (id < 0 || id == exceptions->leaving || id == exceptions->unclean)
        return false;
    return (id == exceptions->joining || broker_is_active(update->decision->head, id)) &&
           directory_online(update, id);
}

static bool is_valid_leader(const struct partition_update *update, int32_t id)
{
    bool eligible = broker_ids_has(update->isr, id) ||
                    (update->isr.count == 0 && broker_ids_has(update->elr, id));
    return eligible && is_acceptable(update, id);
}

/* With everybody in sync or eligible gone, the last leader known may come back: what it lost nobody
 * else has either. */
static bool may_elect_last_known(const struct partition_update *update)
{
    return update->elr_enabled && update->isr.count == 0 && update->elr.count == 0 &&
           update->partition->last_known_elr.count == 1 &&
           is_acceptable(update, update->partition->last_known_elr.items[0]);
}

static int32_t elect(const struct partition_update *update, bool *ret_unclean)
{
    struct broker_ids replicas = update->replicas;
    *ret_unclean = false;
    if (update->election == ELECT_PREFERRED && replicas.count > 0 &&
        is_valid_leader(update, replicas.items[0]))
        return replicas.items[0];
    if (is_valid_leader(update, update->partition->leader))
        return update->partition->leader;
    for (int32_t i = 0; i < replicas.count; i++)
        if (is_valid_leader(update, replicas.items[i]))
            return replicas.items[i];
    if (may_elect_last_known(update)) {
        *ret_unclean = true;
        return update->partition->last_known_elr.items[0];
    }
    if (update->election != ELECT_UNCLEAN)
        return NO_LEADER;
    for (int32_t i = 0; i < replicas.count; i++) {
        if (is_acceptable(update, replicas.items[i])) {
            *ret_unclean = true;
            return replicas.items[i];
        }
    }
    return NO_LEADER;
}

static void try_election(struct partition_update *update, struct partition_change_record *record)
{
    struct decision *decision = update->decision;
    bool unclean;
    int32_t leader = elect(update, &unclean);
    if (leader == update->partition->leader)
        return;
    record->leader = leader;
    if (leader >= 0 && broker_ids_has(update->elr, leader)) {
        update->isr = ids_of_one(decision, leader);
        update->elr = ids_without(decision, update->elr, leader, leader);
    }
    if (unclean) {
        update->isr = ids_of_one(decision, leader);
        record->isr = array_of(update->isr);
        update->recovery_state = LEADER_RECOVERING;
    }
}

/* A reassignment is complete when all replicas it adds, and enough to replace those it removes, are
 * in sync: then the removed ones go. */
static void complete_reassignment(struct partition_update *update)
{
    if (update->removing.count == 0 && update->adding.count == 0)
        return;
    struct decision *decision = update->decision;
    struct broker_ids isr = update->isr;
    struct broker_ids replicas = update->replicas;
    for (int32_t i = 0; i < update->removing.count; i++) {
        isr = ids_without(decision, isr, update->removing.items[i], update->removing.items[i]);
        replicas =
            ids_without(decision, replicas, update->removing.items[i], update->removing.items[i]);
    }
    if (isr.count == 0 || replicas.count == 0 || !ids_contain(isr, update->adding))
        return;
    if (update->adding.count < update->removing.count && !ids_contain(isr, replicas))
        return;
    update->isr = isr;
    update->replicas = replicas;
    update->removing = (struct broker_ids){0};
    update->adding = (struct broker_ids){0};
}

/* While fewer than min.insync.replicas are in sync, those that leave the ISR stay eligible: nothing
 * was committed without them. */
static void populate_elr(struct partition_update *update)
{
    if (!update->elr_enabled)
        return;
    if (update->isr.count >= update->min_isr) {
        update->elr = (struct broker_ids){0};
        return;
    }
    struct broker_ids sources[] = {update->elr, update->partition->isr};
    size_t most = (size_t)(sources[0].count + sources[1].count);
    int32_t *items = arena_array(update->decision->scratch, most, sizeof items[0]);
    if (!items) {
        update->decision->error = -ENOMEM;
        return;
    }
    struct broker_ids elr = {items, 0};
    for (size_t s = 0; s < array_size(sources); s++) {
        for (int32_t i = 0; i < sources[s].count; i++) {
            int32_t id = sources[s].items[i];
            if (broker_ids_has(update->isr, id) || broker_ids_has(elr, id) ||
                id == update->exceptions.unclean)
                continue;
            items[elr.count++] = id;
        }
    }
    update->elr = elr;
}

static void record_elr(const struct partition_update *update,
                       struct partition_change_record *record)
{
    struct broker_ids elr = update->elr;
    if (record->isr.count >= 0 || !update->elr_enabled)
        elr = (struct broker_ids){0};
    if (!ids_equal(elr, update->partition->elr))
        record->eligible_leader_replicas = array_of(elr);
}

static void record_last_known_leader(struct partition_update *update,
                                     struct partition_change_record *record)
{
    const struct partition_image *partition = update->partition;
    if (!update->elr_enabled)
        return;
    if (record->leader == NO_LEADER && partition->last_known_elr.count == 0)
        record->last_known_elr = array_of(ids_of_one(update->decision, partition->leader));
    else if (record->leader >= 0 && partition->last_known_elr.count > 0)
        record->last_known_elr = (struct int32_array){NULL, 0};
}

static void record_assignment(const struct partition_update *update,
                              struct partition_change_record *record)
{
    const struct partition_image *partition = update->partition;
    if (update->decision->level >= METADATA_VERSION_DIRECTORIES && update->directories)
        record->directories =
            (struct uuid_array){(struct uuid *)update->directories, update->replicas.count};
    if (!ids_equal(update->replicas, partition->replicas))
        record->replicas = array_of(update->replicas);
    if (!ids_equal(update->removing, partition->removing))
        record->removing_replicas = array_of(update->removing);
    if (!ids_equal(update->adding, partition->adding))
        record->adding_replicas = array_of(update->adding);
}

/* The directories of the replicas that stay, in the new order; defaults for new ones. */
static void carry_directories(struct partition_update *update)
{
    const struct partition_image *partition = update->partition;
    struct decision *decision = update->decision;
    if (update->directories || ids_equal(update->replicas, partition->replicas) ||
        decision->level < METADATA_VERSION_DIRECTORIES)
        return;
    struct uuid *directories =
        arena_array(decision->scratch, (size_t)update->replicas.count, sizeof directories[0]);
    if (!directories) {
        decision->error = -ENOMEM;
        return;
    }
    for (int32_t i = 0; i < update->replicas.count; i++) {
        directories[i] = placement_directory(decision->head, update->replicas.items[i]);
        for (int32_t j = 0; partition->directories && j < partition->replicas.count; j++)
            if (partition->replicas.items[j] == update->replicas.items[i])
                directories[i] = partition->directories[j];
    }
    update->directories = directories;
}

/* The leader's epoch must rise when replicas go, and, at old levels, when the ISR shrinks: naming
 * the leader again does that. */
static void bump_epoch(const struct partition_update *update,
                       struct partition_change_record *record)
{
    const struct partition_image *partition = update->partition;
    if (record->leader != -2)
        return;
    bool replicas_go = !ids_contain(update->replicas, partition->replicas);
    bool shrinks = record->isr.count >= 0 && !ids_contain(update->isr, partition->isr);
    if (replicas_go || (shrinks && update->decision->level < 12))
        record->leader = partition->leader;
}

static bool record_says_something(const struct partition_change_record *record)
{
    return record->isr.count >= 0 || record->leader != -2 || record->replicas.count >= 0 ||
           record->removing_replicas.count >= 0 || record->adding_replicas.count >= 0 ||
           record->leader_recovery_state >= 0 || record->directories.count >= 0 ||
           record->eligible_leader_replicas.count >= 0 || record->last_known_elr.count >= 0;
}

bool update_finish(struct partition_update *update, struct partition_change_record *ret_record)
{
    const struct partition_image *partition = update->partition;
    struct partition_change_record record;
    partition_change_record_init(&record);
    record.partition_id = partition->partition;
    record.topic_id = update->topic->id;
    complete_reassignment(update);
    populate_elr(update);
    try_election(update, &record);
    record_elr(update, &record);
    if (record.isr.count < 0 && (update->isr.count > 0 || update->elr_enabled) &&
        !ids_equal(update->isr, partition->isr))
        record.isr = array_of(update->isr);
    bump_epoch(update, &record);
    record_last_known_leader(update, &record);
    carry_directories(update);
    record_assignment(update, &record);
    if (update->recovery_state != partition->leader_recovery_state)
        record.leader_recovery_state = update->recovery_state;
    if (!record_says_something(&record))
        return false;
    decision_add(update->decision, METADATA_PARTITION_CHANGE_RECORD,
                 partition_record_version(update->decision->level), &record);
    *ret_record = record;
    return true;
}

/* Sweeps. */

static bool on_directories(const struct partition_image *partition, const struct sweep *sweep)
{
    if (!sweep->directories)
        return true;
    for (int32_t i = 0; partition->directories && i < partition->replicas.count; i++) {
        if (partition->replicas.items[i] != sweep->broker)
            continue;
        for (int32_t j = 0; j < sweep->directory_count; j++)
            if (uuid_equal(partition->directories[i], sweep->directories[j]))
                return true;
    }
    return false;
}

static bool sweep_matches(const struct partition_image *partition, const struct sweep *sweep)
{
    switch (sweep->kind) {
    case SWEEP_IN_ISR:
        return broker_ids_has(partition->isr, sweep->broker) && on_directories(partition, sweep);
    case SWEEP_IN_ELR:
        return broker_ids_has(partition->elr, sweep->broker);
    case SWEEP_LEADERLESS:
        return partition->leader == NO_LEADER;
    }
    return false;
}

static void sweep_topic(struct decision *decision, const struct topic_image *topic,
                        const struct sweep *sweep, struct broker_exceptions exceptions)
{
    struct tree_cursor cursor;
    const struct partition_image *partition;
    partitions_from(topic, 0, &cursor);
    while ((partition = partitions_next(&cursor))) {
        if (!sweep_matches(partition, sweep))
            continue;
        struct partition_update update;
        struct partition_change_record record;
        update_init(&update, decision, topic, partition);
        update.exceptions = exceptions;
        if (topic_unclean_election(decision, topic))
            update.election = ELECT_UNCLEAN;
        update.isr = ids_without(decision, update.isr, exceptions.leaving, exceptions.unclean);
        update_finish(&update, &record);
    }
}

void elections_sweep(struct decision *decision, const struct sweep *sweep,
                     struct broker_exceptions exceptions)
{
    struct tree_cursor cursor;
    const struct topic_image *topic;
    topics_from(decision->head, STR(""), &cursor);
    while ((topic = topics_next(decision->head, &cursor)))
        sweep_topic(decision, topic, sweep, exceptions);
}

bool leads_anything(const struct image *image, int32_t broker)
{
    struct tree_cursor topics;
    struct tree_cursor partitions;
    const struct topic_image *topic;
    const struct partition_image *partition;
    topics_from(image, STR(""), &topics);
    while ((topic = topics_next(image, &topics))) {
        partitions_from(topic, 0, &partitions);
        while ((partition = partitions_next(&partitions)))
            if (partition->leader == broker)
                return true;
    }
    return false;
}
