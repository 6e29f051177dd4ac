/* AlterPartition, ElectLeaders, AssignReplicasToDirs: rules of Kafka's ReplicationControlManager,
 * 4.4.0. */
#include <errno.h>

#include "controller/elections.h"
#include "controller/ops.h"
#include "controller/placement.h"

/* AlterPartition. */

/* One partition's request, whichever version it came in. */
struct isr_request {
    const struct alter_partition_request_partition_data *data;
    struct broker_ids isr;
    bool has_epochs; /* of the brokers, in data->new_isr_with_epochs */
};

static bool read_isr(struct decision *decision, int16_t api_version,
                     const struct alter_partition_request_partition_data *data,
                     struct isr_request *ret_request)
{
    *ret_request = (struct isr_request){.data = data, .has_epochs = api_version >= 3};
    if (!ret_request->has_epochs) {
        ret_request->isr = (struct broker_ids){data->new_isr.items, data->new_isr.count};
        return data->new_isr.count >= 0 && data->new_isr.count <= REPLICAS_MAX;
    }
    int32_t count = data->new_isr_with_epochs.count;
    if (count < 0 || count > REPLICAS_MAX)
        return false;
    int32_t *ids = arena_array(decision->scratch, (size_t)count, sizeof ids[0]);
    if (!ids) {
        decision->error = -ENOMEM;
        return false;
    }
    for (int32_t i = 0; i < count; i++)
        ids[i] = data->new_isr_with_epochs.items[i].broker_id;
    ret_request->isr = (struct broker_ids){ids, count};
    return true;
}

/* A subset of the replicas without duplicates that holds the leader. */
static bool isr_is_valid(const struct partition_image *partition, struct broker_ids isr)
{
    if (isr.count == 0 || !broker_ids_has(isr, partition->leader))
        return false;
    for (int32_t i = 0; i < isr.count; i++) {
        const struct broker_ids earlier = {isr.items, i};
        if (!broker_ids_has(partition->replicas, isr.items[i]) ||
            broker_ids_has(earlier, isr.items[i]))
            return false;
    }
    return true;
}

static bool all_eligible(const struct decision *decision, const struct isr_request *request)
{
    for (int32_t i = 0; i < request->isr.count; i++) {
        const struct broker_image *broker = image_broker(decision->head, request->isr.items[i]);
        if (!broker || broker->fenced || broker->in_controlled_shutdown)
            return false;
        int64_t epoch =
            request->has_epochs ? request->data->new_isr_with_epochs.items[i].broker_epoch : -1;
        if (epoch != -1 && epoch != broker->epoch)
            return false;
    }
    return true;
}

static int check_isr(const struct decision *decision, int32_t broker_id,
                     const struct partition_image *partition, const struct isr_request *request)
{
    const struct alter_partition_request_partition_data *data = request->data;
    if (data->leader_epoch > partition->leader_epoch ||
        data->partition_epoch > partition->partition_epoch)
        return KAFKA_NOT_CONTROLLER; /* the broker knows more than this controller */
    if (data->leader_epoch < partition->leader_epoch)
        return KAFKA_FENCED_LEADER_EPOCH;
    if (broker_id != partition->leader)
        return KAFKA_INVALID_REQUEST;
    if (data->partition_epoch < partition->partition_epoch)
        return KAFKA_INVALID_UPDATE_VERSION;
    if (!isr_is_valid(partition, request->isr))
        return KAFKA_INVALID_REQUEST;
    bool recovering = data->leader_recovery_state == LEADER_RECOVERING;
    if (data->leader_recovery_state < 0 || data->leader_recovery_state > LEADER_RECOVERING ||
        (recovering && request->isr.count > 1) ||
        (recovering && partition->leader_recovery_state == LEADER_RECOVERED))
        return KAFKA_INVALID_REQUEST;
    return all_eligible(decision, request) ? 0 : KAFKA_INELIGIBLE_REPLICA;
}

/* What the partition is once the record is applied, for the answer. */
static void answer_isr(const struct partition_image *partition,
                       const struct partition_change_record *record, int32_t broker_id,
                       struct alter_partition_response_partition_data *result)
{
    result->leader_id = partition->leader;
    result->leader_epoch = partition->leader_epoch;
    result->partition_epoch = partition->partition_epoch;
    result->leader_recovery_state = partition->leader_recovery_state;
    result->isr = (struct int32_array){(int32_t *)partition->isr.items, partition->isr.count};
    if (!record)
        return;
    result->partition_epoch++;
    if (record->leader != -2) {
        result->leader_id = record->leader;
        result->leader_epoch++;
    }
    if (record->isr.count >= 0)
        result->isr = record->isr;
    if (record->leader_recovery_state >= 0)
        result->leader_recovery_state = record->leader_recovery_state;
    if (result->leader_id != broker_id)
        result->error_code = KAFKA_NEW_LEADER_ELECTED;
}

static void alter_partition(struct decision *decision, int32_t broker_id, int16_t api_version,
                            const struct topic_image *topic,
                            const struct alter_partition_request_partition_data *data,
                            struct alter_partition_response_partition_data *result)
{
    struct isr_request request;
    result->partition_index = data->partition_index;
    const struct partition_image *partition =
        topic ? topic_partition(topic, data->partition_index) : NULL;
    int err;
    if (!topic)
        err = KAFKA_UNKNOWN_TOPIC_ID;
    else if (!partition)
        err = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (!read_isr(decision, api_version, data, &request))
        err = KAFKA_INVALID_REQUEST;
    else
        err = check_isr(decision, broker_id, partition, &request);
    if (err) {
        result->error_code = error_to_wire(err);
        return;
    }
    struct partition_update update;
    struct partition_change_record record;
    update_init(&update, decision, topic, partition);
    if (topic_unclean_election(decision, topic))
        update.election = ELECT_UNCLEAN;
    update.isr = request.isr;
    update.recovery_state = data->leader_recovery_state;
    bool changed = update_finish(&update, &record);
    answer_isr(partition, changed ? &record : NULL, broker_id, result);
    /* The answer outlives the request and the scratch memory. */
    size_t size = (size_t)(result->isr.count > 0 ? result->isr.count : 0);
    int32_t *isr = arena_array(decision->arena, size, sizeof isr[0]);
    if (!isr) {
        decision->error = -ENOMEM;
        return;
    }
    if (size)
        memcpy(isr, result->isr.items, size * sizeof isr[0]);
    result->isr.items = isr;
}

int decide_alter_partition(struct decision *decision, int16_t api_version,
                           const struct alter_partition_request *request,
                           struct alter_partition_response *response)
{
    int err = check_broker_epoch(decision, request->broker_id, request->broker_epoch);
    if (err) {
        response->error_code = error_to_wire(err);
        return 0;
    }
    int32_t count = request->topics.count > 0 ? request->topics.count : 0;
    response->topics.items = alter_partition_response_topic_data_array(decision->arena, count);
    if (!response->topics.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count && !decision->error; i++) {
        const struct alter_partition_request_topic_data *from = &request->topics.items[i];
        struct alter_partition_response_topic_data *to = &response->topics.items[i];
        int32_t partitions = from->partitions.count > 0 ? from->partitions.count : 0;
        to->topic_id = from->topic_id;
        to->partitions.items =
            alter_partition_response_partition_data_array(decision->arena, partitions);
        if (!to->partitions.items)
            return -ENOMEM;
        const struct topic_image *topic = image_topic(decision->head, from->topic_id);
        for (int32_t j = 0; j < partitions; j++)
            alter_partition(decision, request->broker_id, api_version, topic,
                            &from->partitions.items[j], &to->partitions.items[j]);
        to->partitions.count = partitions;
        response->topics.count++;
    }
    return decision->error;
}

/* ElectLeaders. */

enum { ELECTION_PREFERRED = 0, ELECTION_UNCLEAN = 1 };

static struct outcome elect_one(struct decision *decision, const struct topic_image *topic,
                                const struct partition_image *partition, int8_t kind)
{
    bool needless =
        kind == ELECTION_PREFERRED
            ? partition->replicas.count > 0 && partition->leader == partition->replicas.items[0]
            : partition->leader != NO_LEADER;
    if (needless)
        return outcome_of(KAFKA_ELECTION_NOT_NEEDED, NULL);
    struct partition_update update;
    struct partition_change_record record;
    update_init(&update, decision, topic, partition);
    update.election = kind == ELECTION_PREFERRED ? ELECT_PREFERRED : ELECT_UNCLEAN;
    if (update_finish(&update, &record))
        return OUTCOME_OK;
    return outcome_of(kind == ELECTION_PREFERRED ? KAFKA_PREFERRED_LEADER_NOT_AVAILABLE
                                                 : KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE,
                      NULL);
}

static bool begin_topic(struct decision *decision, struct elect_leaders_response *response,
                        struct str name, int32_t partitions,
                        struct elect_leaders_response_replica_election_result **ret_result)
{
    struct elect_leaders_response_replica_election_result *result =
        &response->replica_election_results.items[response->replica_election_results.count++];
    result->topic = arena_str(decision->arena, name);
    result->partition_result.items =
        elect_leaders_response_partition_result_array(decision->arena, partitions);
    *ret_result = result;
    return result->topic.data && result->partition_result.items;
}

static void add_result(struct elect_leaders_response_replica_election_result *result,
                       int32_t partition, struct outcome outcome)
{
    struct elect_leaders_response_partition_result *to =
        &result->partition_result.items[result->partition_result.count++];
    to->partition_id = partition;
    to->error_code = outcome.error_code;
    to->error_message = outcome.message;
}

static int elect_named(struct decision *decision, const struct elect_leaders_request *request,
                       struct elect_leaders_response *response)
{
    for (int32_t i = 0; i < request->topic_partitions.count; i++) {
        const struct elect_leaders_request_topic_partitions *from =
            &request->topic_partitions.items[i];
        const struct topic_image *topic = image_topic_named(decision->head, from->topic);
        struct elect_leaders_response_replica_election_result *result;
        int32_t count = from->partitions.count > 0 ? from->partitions.count : 0;
        if (!begin_topic(decision, response, from->topic, count, &result))
            return -ENOMEM;
        for (int32_t j = 0; j < count; j++) {
            int32_t index = from->partitions.items[j];
            const struct partition_image *partition = topic ? topic_partition(topic, index) : NULL;
            struct outcome outcome;
            if (!topic)
                outcome = outcome_printf(decision, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                         "No such topic as %.*s", STR_ARGS(from->topic));
            else if (!partition)
                outcome =
                    outcome_printf(decision, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                   "No such partition as %.*s-%d", STR_ARGS(from->topic), index);
            else
                outcome = elect_one(decision, topic, partition, request->election_type);
            add_result(result, index, outcome);
        }
    }
    return decision->error;
}

/* All partitions; those that need no election are left out of the answer. */
static int elect_everywhere(struct decision *decision, const struct elect_leaders_request *request,
                            struct elect_leaders_response *response)
{
    struct tree_cursor topics;
    struct tree_cursor partitions;
    const struct topic_image *topic;
    const struct partition_image *partition;
    topics_from(decision->head, STR(""), &topics);
    while ((topic = topics_next(decision->head, &topics))) {
        struct elect_leaders_response_replica_election_result *result = NULL;
        partitions_from(topic, 0, &partitions);
        while ((partition = partitions_next(&partitions))) {
            struct outcome outcome = elect_one(decision, topic, partition, request->election_type);
            if (outcome.error_code == KAFKA_ELECTION_NOT_NEEDED)
                continue;
            if (!result && !begin_topic(decision, response, topic->name,
                                        topic_partition_count(topic), &result))
                return -ENOMEM;
            add_result(result, partition->partition, outcome);
        }
    }
    return decision->error;
}

int decide_elect_leaders(struct decision *decision, int16_t api_version,
                         const struct elect_leaders_request *request,
                         struct elect_leaders_response *response)
{
    bool everywhere = request->topic_partitions.count < 0;
    if (api_version >= 1 && request->election_type != ELECTION_PREFERRED &&
        request->election_type != ELECTION_UNCLEAN) {
        response->error_code = KAFKA_INVALID_REQUEST;
        return 0;
    }
    response->replica_election_results.items = elect_leaders_response_replica_election_result_array(
        decision->arena,
        everywhere ? image_topic_count(decision->head) : request->topic_partitions.count);
    if (!response->replica_election_results.items)
        return -ENOMEM;
    return everywhere ? elect_everywhere(decision, request, response)
                      : elect_named(decision, request, response);
}

/* AssignReplicasToDirs. */

static int16_t assign_one(struct decision *decision, int32_t broker_id, struct uuid directory,
                          const struct topic_image *topic, int32_t index)
{
    const struct partition_image *partition = topic ? topic_partition(topic, index) : NULL;
    if (!topic)
        return KAFKA_UNKNOWN_TOPIC_ID;
    if (!partition)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!broker_ids_has(partition->replicas, broker_id))
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    int32_t count = partition->replicas.count;
    struct uuid *directories = arena_array(decision->scratch, (size_t)count, sizeof directories[0]);
    if (!directories) {
        decision->error = -ENOMEM;
        return error_to_wire(-ENOMEM);
    }
    bool changed = false;
    for (int32_t i = 0; i < count; i++) {
        if (partition->directories)
            directories[i] = partition->directories[i];
        if (partition->replicas.items[i] != broker_id)
            continue;
        changed = !uuid_equal(directories[i], directory);
        directories[i] = directory;
    }
    if (!changed)
        return 0;
    struct partition_update update;
    struct partition_change_record record;
    update_init(&update, decision, topic, partition);
    update.directories = directories;
    /* The directory failed before the controller knew of the replica in it. */
    if (!broker_has_directory(image_broker(decision->head, broker_id), directory))
        update_leave(&update, broker_id);
    update_finish(&update, &record);
    return 0;
}

int decide_assign_replicas_to_dirs(struct decision *decision,
                                   const struct assign_replicas_to_dirs_request *request,
                                   struct assign_replicas_to_dirs_response *response)
{
    if (decision->level < METADATA_VERSION_DIRECTORIES) {
        response->error_code = KAFKA_UNSUPPORTED_VERSION;
        return 0;
    }
    int err = check_broker_epoch(decision, request->broker_id, request->broker_epoch);
    if (err) {
        response->error_code = error_to_wire(err);
        return 0;
    }
    int32_t count = request->directories.count > 0 ? request->directories.count : 0;
    response->directories.items =
        assign_replicas_to_dirs_response_directory_data_array(decision->arena, count);
    if (!response->directories.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count; i++) {
        const struct assign_replicas_to_dirs_request_directory_data *dir =
            &request->directories.items[i];
        struct assign_replicas_to_dirs_response_directory_data *dir_result =
            &response->directories.items[response->directories.count++];
        int32_t topics = dir->topics.count > 0 ? dir->topics.count : 0;
        dir_result->id = dir->id;
        dir_result->topics.items =
            assign_replicas_to_dirs_response_topic_data_array(decision->arena, topics);
        if (!dir_result->topics.items)
            return -ENOMEM;
        for (int32_t j = 0; j < topics; j++) {
            const struct assign_replicas_to_dirs_request_topic_data *from = &dir->topics.items[j];
            struct assign_replicas_to_dirs_response_topic_data *to =
                &dir_result->topics.items[dir_result->topics.count++];
            const struct topic_image *topic = image_topic(decision->head, from->topic_id);
            int32_t partitions = from->partitions.count > 0 ? from->partitions.count : 0;
            to->topic_id = from->topic_id;
            to->partitions.items =
                assign_replicas_to_dirs_response_partition_data_array(decision->arena, partitions);
            if (!to->partitions.items)
                return -ENOMEM;
            for (int32_t k = 0; k < partitions; k++) {
                int32_t index = from->partitions.items[k].partition_index;
                to->partitions.items[k].partition_index = index;
                to->partitions.items[k].error_code =
                    assign_one(decision, request->broker_id, dir->id, topic, index);
            }
            to->partitions.count = partitions;
        }
    }
    return decision->error;
}
