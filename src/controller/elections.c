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

void change_init(struct partition_update *change, struct decision *decision,
                 const struct topic_image *topic, const struct partition_image *partition)
{
    *change = (struct partition_update){
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
    change->min_isr = min_isr < partition->replicas.count ? min_isr : partition->replicas.count;
}

/* Whether the replica's log directory is known to be there. */
static bool directory_online(const struct partition_update *change, int32_t id)
{
    const struct partition_image *partition = change->partition;
    const struct broker_image *broker = image_broker(change->decision->head, id);
    if (!partition->directories || !broker || broker->log_dir_count == 0)
        return true;
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        if (partition->replicas.items[i] != id)
            continue;
        struct uuid directory = partition->directories[i];
        if (uuid_equal(directory, uuid_of(0, 2)))
            return false; /* LOST */
        if (uuid_is_zero(directory) || uuid_equal(directory, uuid_of(0, 1)))
            return true;
        for (int32_t j = 0; j < broker->log_dir_count; j++)
            if (uuid_equal(broker->log_dirs[j], directory))
                return true;
        return false;
    }
    return true;
}

static bool is_acceptable(const struct partition_update *change, int32_t id)
{
    const struct broker_exceptions *exceptions = &change->exceptions;
    if (id < 0 || id == exceptions->leaving || id == exceptions->unclean)
        return false;
    return (id == exceptions->joining || broker_is_active(change->decision->head, id)) &&
           directory_online(change, id);
}

static bool is_valid_leader(const struct partition_update *change, int32_t id)
{
    bool eligible = broker_ids_has(change->isr, id) ||
                    (change->isr.count == 0 && broker_ids_has(change->elr, id));
    return eligible && is_acceptable(change, id);
}

/* With everybody in sync or eligible gone, the last leader known may come back: what it lost nobody
 * else has either. */
static bool may_elect_last_known(const struct partition_update *change)
{
    return change->elr_enabled && change->isr.count == 0 && change->elr.count == 0 &&
           change->partition->last_known_elr.count == 1 &&
           is_acceptable(change, change->partition->last_known_elr.items[0]);
}

static int32_t elect(const struct partition_update *change, bool *ret_unclean)
{
    struct broker_ids replicas = change->replicas;
    *ret_unclean = false;
    if (change->election == ELECT_PREFERRED && replicas.count > 0 &&
        is_valid_leader(change, replicas.items[0]))
        return replicas.items[0];
    if (is_valid_leader(change, change->partition->leader))
        return change->partition->leader;
    for (int32_t i = 0; i < replicas.count; i++)
        if (is_valid_leader(change, replicas.items[i]))
            return replicas.items[i];
    if (may_elect_last_known(change)) {
        *ret_unclean = true;
        return change->partition->last_known_elr.items[0];
    }
    if (change->election != ELECT_UNCLEAN)
        return NO_LEADER;
    for (int32_t i = 0; i < replicas.count; i++) {
        if (is_acceptable(change, replicas.items[i])) {
            *ret_unclean = true;
            return replicas.items[i];
        }
    }
    return NO_LEADER;
}

static void try_election(struct partition_update *change, struct partition_change_record *record)
{
    struct decision *decision = change->decision;
    bool unclean;
    int32_t leader = elect(change, &unclean);
    if (leader == change->partition->leader)
        return;
    record->leader = leader;
    if (leader >= 0 && broker_ids_has(change->elr, leader)) {
        change->isr = ids_of_one(decision, leader);
        change->elr = ids_without(decision, change->elr, leader, leader);
    }
    if (unclean) {
        change->isr = ids_of_one(decision, leader);
        record->isr = array_of(change->isr);
        change->recovery_state = LEADER_RECOVERING;
    }
}

/* A reassignment is complete when all replicas it adds, and enough to replace those it removes, are
 * in sync: then the removed ones go. */
static void complete_reassignment(struct partition_update *change)
{
    if (change->removing.count == 0 && change->adding.count == 0)
        return;
    struct decision *decision = change->decision;
    struct broker_ids isr = change->isr;
    struct broker_ids replicas = change->replicas;
    for (int32_t i = 0; i < change->removing.count; i++) {
        isr = ids_without(decision, isr, change->removing.items[i], change->removing.items[i]);
        replicas =
            ids_without(decision, replicas, change->removing.items[i], change->removing.items[i]);
    }
    if (isr.count == 0 || replicas.count == 0 || !ids_contain(isr, change->adding))
        return;
    if (change->adding.count < change->removing.count && !ids_contain(isr, replicas))
        return;
    change->isr = isr;
    change->replicas = replicas;
    change->removing = (struct broker_ids){0};
    change->adding = (struct broker_ids){0};
}

/* While fewer than min.insync.replicas are in sync, those that leave the ISR stay eligible: nothing
 * was committed without them. */
static void populate_elr(struct partition_update *change)
{
    if (!change->elr_enabled)
        return;
    if (change->isr.count >= change->min_isr) {
        change->elr = (struct broker_ids){0};
        return;
    }
    struct broker_ids sources[] = {change->elr, change->partition->isr};
    size_t most = (size_t)(sources[0].count + sources[1].count);
    int32_t *items = arena_array(change->decision->scratch, most, sizeof items[0]);
    if (!items) {
        change->decision->error = -ENOMEM;
        return;
    }
    struct broker_ids elr = {items, 0};
    for (size_t s = 0; s < array_size(sources); s++) {
        for (int32_t i = 0; i < sources[s].count; i++) {
            int32_t id = sources[s].items[i];
            if (broker_ids_has(change->isr, id) || broker_ids_has(elr, id) ||
                id == change->exceptions.unclean)
                continue;
            items[elr.count++] = id;
        }
    }
    change->elr = elr;
}

static void record_elr(const struct partition_update *change,
                       struct partition_change_record *record)
{
    struct broker_ids elr = change->elr;
    if (record->isr.count >= 0 || !change->elr_enabled)
        elr = (struct broker_ids){0};
    if (!ids_equal(elr, change->partition->elr))
        record->eligible_leader_replicas = array_of(elr);
}

static void record_last_known_leader(struct partition_update *change,
                                     struct partition_change_record *record)
{
    const struct partition_image *partition = change->partition;
    if (!change->elr_enabled)
        return;
    if (record->leader == NO_LEADER && partition->last_known_elr.count == 0)
        record->last_known_elr = array_of(ids_of_one(change->decision, partition->leader));
    else if (record->leader >= 0 && partition->last_known_elr.count > 0)
        record->last_known_elr = (struct int32_array){NULL, 0};
}

static void record_assignment(const struct partition_update *change,
                              struct partition_change_record *record)
{
    const struct partition_image *partition = change->partition;
    if (change->decision->level >= METADATA_VERSION_DIRECTORIES && change->directories)
        record->directories =
            (struct uuid_array){(struct uuid *)change->directories, change->replicas.count};
    if (!ids_equal(change->replicas, partition->replicas))
        record->replicas = array_of(change->replicas);
    if (!ids_equal(change->removing, partition->removing))
        record->removing_replicas = array_of(change->removing);
    if (!ids_equal(change->adding, partition->adding))
        record->adding_replicas = array_of(change->adding);
}

/* The directories of the replicas that stay, in the new order; defaults for new ones. */
static void carry_directories(struct partition_update *change)
{
    const struct partition_image *partition = change->partition;
    struct decision *decision = change->decision;
    if (change->directories || ids_equal(change->replicas, partition->replicas) ||
        decision->level < METADATA_VERSION_DIRECTORIES)
        return;
    struct uuid *directories =
        arena_array(decision->scratch, (size_t)change->replicas.count, sizeof directories[0]);
    if (!directories) {
        decision->error = -ENOMEM;
        return;
    }
    for (int32_t i = 0; i < change->replicas.count; i++) {
        directories[i] = placement_directory(decision->head, change->replicas.items[i]);
        for (int32_t j = 0; partition->directories && j < partition->replicas.count; j++)
            if (partition->replicas.items[j] == change->replicas.items[i])
                directories[i] = partition->directories[j];
    }
    change->directories = directories;
}

/* The leader's epoch must rise when replicas go, and, at old levels, when the ISR shrinks: naming
 * the leader again does that. */
static void bump_epoch(const struct partition_update *change,
                       struct partition_change_record *record)
{
    const struct partition_image *partition = change->partition;
    if (record->leader != -2)
        return;
    bool replicas_go = !ids_contain(change->replicas, partition->replicas);
    bool shrinks = record->isr.count >= 0 && !ids_contain(change->isr, partition->isr);
    if (replicas_go || (shrinks && change->decision->level < 12))
        record->leader = partition->leader;
}

static bool record_says_something(const struct partition_change_record *record)
{
    return record->isr.count >= 0 || record->leader != -2 || record->replicas.count >= 0 ||
           record->removing_replicas.count >= 0 || record->adding_replicas.count >= 0 ||
           record->leader_recovery_state >= 0 || record->directories.count >= 0 ||
           record->eligible_leader_replicas.count >= 0 || record->last_known_elr.count >= 0;
}

bool change_finish(struct partition_update *change, struct partition_change_record *ret_record)
{
    const struct partition_image *partition = change->partition;
    struct partition_change_record record;
    partition_change_record_init(&record);
    record.partition_id = partition->partition;
    record.topic_id = change->topic->id;
    complete_reassignment(change);
    populate_elr(change);
    try_election(change, &record);
    record_elr(change, &record);
    if (record.isr.count < 0 && (change->isr.count > 0 || change->elr_enabled) &&
        !ids_equal(change->isr, partition->isr))
        record.isr = array_of(change->isr);
    bump_epoch(change, &record);
    record_last_known_leader(change, &record);
    carry_directories(change);
    record_assignment(change, &record);
    if (change->recovery_state != partition->leader_recovery_state)
        record.leader_recovery_state = change->recovery_state;
    if (!record_says_something(&record))
        return false;
    decision_add(change->decision, METADATA_PARTITION_CHANGE_RECORD,
                 partition_record_version(change->decision->level), &record);
    *ret_record = record;
    return true;
}

/* Sweeps. */

static bool sweep_matches(const struct partition_image *partition, enum sweep sweep, int32_t broker)
{
    switch (sweep) {
    case SWEEP_IN_ISR:
        return broker_ids_has(partition->isr, broker);
    case SWEEP_IN_ELR:
        return broker_ids_has(partition->elr, broker);
    case SWEEP_LEADERLESS:
        return partition->leader == NO_LEADER;
    }
    return false;
}

static void sweep_topic(struct decision *decision, const struct topic_image *topic,
                        enum sweep sweep, int32_t broker, struct broker_exceptions exceptions)
{
    struct tree_cursor cursor;
    const struct partition_image *partition;
    partitions_from(topic, 0, &cursor);
    while ((partition = partitions_next(&cursor))) {
        if (!sweep_matches(partition, sweep, broker))
            continue;
        struct partition_update change;
        struct partition_change_record record;
        change_init(&change, decision, topic, partition);
        change.exceptions = exceptions;
        if (topic_unclean_election(decision, topic))
            change.election = ELECT_UNCLEAN;
        change.isr = ids_without(decision, change.isr, exceptions.leaving, exceptions.unclean);
        change_finish(&change, &record);
    }
}

void elections_sweep(struct decision *decision, enum sweep sweep, int32_t broker,
                     struct broker_exceptions exceptions)
{
    struct tree_cursor cursor;
    const struct topic_image *topic;
    topics_from(decision->head, STR(""), &cursor);
    while ((topic = topics_next(decision->head, &cursor)))
        sweep_topic(decision, topic, sweep, broker, exceptions);
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
