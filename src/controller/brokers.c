/* Brokers come and go: registration, heartbeats, fencing. Rules of Kafka's ClusterControlManager
 * and BrokerHeartbeatManager, 4.4.0. */
#include <errno.h>

#include "controller/controller.h"
#include "controller/elections.h"
#include "controller/ops.h"
#include "controller/placement.h"

enum {
    BROKER_LISTENERS_MAX = 100,
    BROKER_FEATURES_MAX = 100,
    BROKER_LOG_DIRS_MAX = 1000,
};

int check_broker_epoch(const struct decision *decision, int32_t broker_id, int64_t broker_epoch)
{
    const struct broker_image *broker = image_broker(decision->head, broker_id);
    return broker && broker->epoch == broker_epoch ? 0 : KAFKA_STALE_BROKER_EPOCH;
}

static void add_broker_change(struct decision *decision, const struct broker_image *broker,
                              int16_t version, struct broker_registration_change_record *record)
{
    record->broker_id = broker->id;
    record->broker_epoch = broker->epoch;
    decision_add(decision, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, version, record);
}

/* Registration. */

static bool is_reserved(struct uuid id)
{
    for (uint64_t least = 0; least < 100; least++)
        if (uuid_equal(id, uuid_of(0, least)))
            return true;
    return false;
}

static bool owned_by_another(const struct image *image, struct uuid directory, int32_t broker_id)
{
    struct tree_cursor cursor;
    const struct broker_image *broker;
    brokers_from(image, INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor)))
        for (int32_t i = 0; broker->id != broker_id && i < broker->log_dir_count; i++)
            if (uuid_equal(broker->log_dirs[i], directory))
                return true;
    return false;
}

static bool directories_fit(const struct decision *decision,
                            const struct broker_registration_request *request)
{
    struct uuid_array dirs = request->log_dirs;
    if (decision->level < METADATA_VERSION_DIRECTORIES)
        return true;
    if (dirs.count <= 0 || dirs.count > BROKER_LOG_DIRS_MAX)
        return false;
    for (int32_t i = 0; i < dirs.count; i++) {
        if (is_reserved(dirs.items[i]) ||
            owned_by_another(decision->head, dirs.items[i], request->broker_id))
            return false;
        for (int32_t j = 0; j < i; j++)
            if (uuid_equal(dirs.items[i], dirs.items[j]))
                return false;
    }
    return true;
}

static const struct broker_registration_request_feature *
claimed(const struct broker_registration_request *request, struct str name)
{
    for (int32_t i = 0; i < request->features.count; i++)
        if (str_equal(request->features.items[i].name, name))
            return &request->features.items[i];
    return NULL;
}

static bool claims(const struct broker_registration_request *request, struct str name,
                   int16_t level)
{
    const struct broker_registration_request_feature *feature = claimed(request, name);
    return feature && feature->min_supported_version <= level &&
           level <= feature->max_supported_version;
}

/* Every level that the cluster has finalized above 0 must be among what the broker can do. */
static int check_features(const struct decision *decision,
                          const struct broker_registration_request *request)
{
    struct tree_cursor cursor;
    const struct feature_image *feature;
    if (!claimed(request, STR(FEATURE_METADATA_VERSION)))
        return KAFKA_INVALID_REGISTRATION;
    if (decision->kraft_version > 0 &&
        !claims(request, STR(FEATURE_KRAFT_VERSION), decision->kraft_version))
        return KAFKA_UNSUPPORTED_VERSION;
    features_from(decision->head, &cursor);
    while ((feature = features_next(&cursor)))
        if (!claims(request, feature->name, feature->level))
            return KAFKA_UNSUPPORTED_VERSION;
    return 0;
}

static int check_registration(const struct decision *decision, struct sessions *sessions,
                              struct str cluster_id,
                              const struct broker_registration_request *request)
{
    const struct broker_image *known = image_broker(decision->head, request->broker_id);
    if (!str_equal(request->cluster_id, cluster_id))
        return KAFKA_INCONSISTENT_CLUSTER_ID;
    if (known && !uuid_equal(known->incarnation_id, request->incarnation_id) &&
        sessions_valid(sessions, known->id, known->epoch))
        return KAFKA_DUPLICATE_BROKER_REGISTRATION;
    if (request->is_migrating_zk_broker)
        return KAFKA_BROKER_ID_NOT_REGISTERED;
    if (request->broker_id < 0 || request->listeners.count > BROKER_LISTENERS_MAX ||
        request->features.count > BROKER_FEATURES_MAX || !directories_fit(decision, request))
        return KAFKA_INVALID_REGISTRATION;
    if (!known && tree_size(&decision->head->brokers) >= CONTROLLER_BROKERS_MAX)
        return KAFKA_INVALID_REGISTRATION;
    return check_features(decision, request);
}

/* An earlier incarnation may have left its replicas in sync: this one has to catch up first, and
 * after a crash it may have lost what it acknowledged. */
static void add_shutdown_records(struct decision *decision, int32_t broker_id, bool clean)
{
    struct sweep sweep = {.kind = SWEEP_IN_ISR, .broker = broker_id};
    struct broker_exceptions exceptions = NO_EXCEPTIONS;
    bool elr = image_feature(decision->head, STR(FEATURE_ELR_VERSION)) > 0;
    if (clean || !elr) {
        exceptions.leaving = broker_id;
        elections_sweep(decision, &sweep, exceptions);
        return;
    }
    exceptions.unclean = broker_id;
    elections_sweep(decision, &sweep, exceptions);
    sweep.kind = SWEEP_IN_ELR;
    elections_sweep(decision, &sweep, exceptions);
}

static int add_registration(struct decision *decision,
                            const struct broker_registration_request *request,
                            const struct broker_image *amended, int64_t *ret_epoch)
{
    struct register_broker_record record;
    register_broker_record_init(&record);
    record.broker_id = request->broker_id;
    record.incarnation_id = request->incarnation_id;
    record.rack = request->rack;
    record.broker_epoch = amended ? amended->epoch : decision->next_offset;
    record.fenced = amended ? amended->fenced : true;
    record.in_controlled_shutdown = amended ? amended->in_controlled_shutdown : false;
    int32_t listeners = request->listeners.count > 0 ? request->listeners.count : 0;
    int32_t ranges = request->features.count > 0 ? request->features.count : 0;
    record.end_points.items =
        register_broker_record_broker_endpoint_array(decision->scratch, listeners);
    record.features.items = register_broker_record_broker_feature_array(decision->scratch, ranges);
    if (!record.end_points.items || !record.features.items)
        return -ENOMEM;
    record.end_points.count = listeners;
    record.features.count = ranges;
    for (int32_t i = 0; i < listeners; i++) {
        const struct broker_registration_request_listener *from = &request->listeners.items[i];
        record.end_points.items[i] = (struct register_broker_record_broker_endpoint){
            from->name, from->host, from->port, from->security_protocol};
    }
    for (int32_t i = 0; i < ranges; i++) {
        const struct broker_registration_request_feature *from = &request->features.items[i];
        record.features.items[i] = (struct register_broker_record_broker_feature){
            from->name, from->min_supported_version, from->max_supported_version};
    }
    if (decision->level >= METADATA_VERSION_DIRECTORIES)
        record.log_dirs = request->log_dirs;
    if (amended && decision->level >= METADATA_VERSION_CORDON)
        record.cordoned_log_dirs = (struct uuid_array){(struct uuid *)amended->cordoned_log_dirs,
                                                       amended->cordoned_log_dir_count};
    decision_add(decision, METADATA_REGISTER_BROKER_RECORD,
                 register_broker_record_version(decision->level), &record);
    *ret_epoch = record.broker_epoch;
    return 0;
}

int decide_register_broker(struct decision *decision, struct sessions *sessions,
                           struct str cluster_id, const struct broker_registration_request *request,
                           struct broker_registration_response *response)
{
    int err = check_registration(decision, sessions, cluster_id, request);
    if (err) {
        response->error_code = error_to_wire(err);
        return 0;
    }
    const struct broker_image *known = image_broker(decision->head, request->broker_id);
    bool amends = known && uuid_equal(known->incarnation_id, request->incarnation_id);
    if (!amends)
        add_shutdown_records(decision, request->broker_id,
                             known && request->previous_broker_epoch == known->epoch);
    int64_t epoch;
    err = add_registration(decision, request, amends ? known : NULL, &epoch);
    if (err)
        return err;
    struct session *session = sessions_touch(sessions, request->broker_id, epoch, decision->now_ns);
    if (!session)
        return -ENOMEM;
    session->register_offset = decision->next_offset + decision->count - 1;
    response->broker_epoch = epoch;
    return decision->error;
}

/* Heartbeats. */

static void add_fencing(struct decision *decision, const struct broker_image *broker)
{
    const struct sweep sweep = {.kind = SWEEP_IN_ISR, .broker = broker->id};
    struct broker_exceptions exceptions = NO_EXCEPTIONS;
    struct broker_registration_change_record record;
    exceptions.leaving = broker->id;
    elections_sweep(decision, &sweep, exceptions);
    broker_registration_change_record_init(&record);
    record.fenced = 1;
    add_broker_change(decision, broker, 0, &record);
}

static void add_unfencing(struct decision *decision, const struct broker_image *broker)
{
    const struct sweep sweep = {.kind = SWEEP_LEADERLESS, .broker = broker->id};
    struct broker_exceptions exceptions = NO_EXCEPTIONS;
    struct broker_registration_change_record record;
    broker_registration_change_record_init(&record);
    record.fenced = -1;
    add_broker_change(decision, broker, 0, &record);
    exceptions.joining = broker->id;
    elections_sweep(decision, &sweep, exceptions);
}

static void add_controlled_shutdown(struct decision *decision, const struct broker_image *broker)
{
    const struct sweep sweep = {.kind = SWEEP_IN_ISR, .broker = broker->id};
    struct broker_exceptions exceptions = NO_EXCEPTIONS;
    if (!broker->in_controlled_shutdown) {
        struct broker_registration_change_record record;
        broker_registration_change_record_init(&record);
        record.in_controlled_shutdown = 1;
        add_broker_change(decision, broker, 1, &record);
    }
    exceptions.leaving = broker->id;
    elections_sweep(decision, &sweep, exceptions);
}

static bool uuids_have(const struct uuid *ids, int32_t count, struct uuid id)
{
    for (int32_t i = 0; i < count; i++)
        if (uuid_equal(ids[i], id))
            return true;
    return false;
}

/* Log directories that failed: they leave the registration, and replicas in them the ISRs. */
static int add_offline_dirs(struct decision *decision, const struct broker_image *broker,
                            struct uuid_array offline)
{
    if (decision->level < METADATA_VERSION_DIRECTORIES || offline.count <= 0)
        return 0;
    if (offline.count > BROKER_LOG_DIRS_MAX)
        return -E2BIG;
    struct uuid *left =
        arena_array(decision->scratch, (size_t)broker->log_dir_count, sizeof left[0]);
    struct uuid *gone =
        arena_array(decision->scratch, (size_t)broker->log_dir_count, sizeof gone[0]);
    if (!left || !gone)
        return -ENOMEM;
    int32_t left_count = 0;
    int32_t gone_count = 0;
    for (int32_t i = 0; i < broker->log_dir_count; i++) {
        if (uuids_have(offline.items, offline.count, broker->log_dirs[i]))
            gone[gone_count++] = broker->log_dirs[i];
        else
            left[left_count++] = broker->log_dirs[i];
    }
    if (gone_count == 0)
        return 0;
    const struct sweep sweep = {.kind = SWEEP_IN_ISR,
                                .broker = broker->id,
                                .directories = gone,
                                .directory_count = gone_count};
    struct broker_exceptions exceptions = NO_EXCEPTIONS;
    struct broker_registration_change_record record;
    broker_registration_change_record_init(&record);
    record.log_dirs = (struct uuid_array){left, left_count};
    add_broker_change(decision, broker, 2, &record);
    exceptions.leaving = broker->id;
    elections_sweep(decision, &sweep, exceptions);
    return 0;
}

static void add_cordoned_dirs(struct decision *decision, const struct broker_image *broker,
                              struct uuid_array cordoned)
{
    if (decision->level < METADATA_VERSION_CORDON || cordoned.count < 0 ||
        cordoned.count > BROKER_LOG_DIRS_MAX)
        return;
    bool same = cordoned.count == broker->cordoned_log_dir_count;
    for (int32_t i = 0; same && i < cordoned.count; i++)
        same = uuid_equal(cordoned.items[i], broker->cordoned_log_dirs[i]);
    if (same)
        return;
    struct broker_registration_change_record record;
    broker_registration_change_record_init(&record);
    record.cordoned_log_dirs = cordoned;
    add_broker_change(decision, broker, 3, &record);
}

/* Every broker that serves has applied what moved the leaders away. */
static bool others_have_applied(const struct decision *decision, struct sessions *sessions,
                                int32_t broker_id, int64_t offset)
{
    struct tree_cursor cursor;
    const struct broker_image *broker;
    brokers_from(decision->head, INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor))) {
        if (broker->id == broker_id || broker->fenced || broker->in_controlled_shutdown)
            continue;
        const struct session *session = sessions_find(sessions, broker->id);
        if (!session || session->metadata_offset < offset)
            return false;
    }
    return true;
}

/* The states and transitions of a registered broker: fenced, unfenced, in controlled shutdown. */
static void decide_state(struct decision *decision, const struct broker_image *broker,
                         struct sessions *sessions, struct session *session,
                         const struct broker_heartbeat_request *request,
                         struct broker_heartbeat_response *response)
{
    if (broker->fenced) {
        response->should_shut_down = request->want_shut_down;
        if (!request->want_shut_down && !request->want_fence && response->is_caught_up) {
            add_unfencing(decision, broker);
            response->is_fenced = false;
        }
        return;
    }
    response->is_fenced = false;
    if (broker->in_controlled_shutdown) {
        if (session->shutdown_offset < 0)
            session->shutdown_offset = decision->next_offset - 1;
        if (!leads_anything(decision->head, broker->id) &&
            others_have_applied(decision, sessions, broker->id, session->shutdown_offset)) {
            add_fencing(decision, broker);
            response->should_shut_down = true;
            response->is_fenced = true;
        } else if (leads_anything(decision->head, broker->id)) {
            add_controlled_shutdown(decision, broker); /* somebody may have come who can lead */
        }
    } else if (request->want_fence ||
               (request->want_shut_down && !leads_anything(decision->head, broker->id))) {
        add_fencing(decision, broker);
        response->should_shut_down = request->want_shut_down;
        response->is_fenced = true;
    } else if (request->want_shut_down) {
        add_controlled_shutdown(decision, broker);
        session->shutdown_offset = decision->next_offset + decision_mark(decision) - 1;
    }
}

int decide_broker_heartbeat(struct decision *decision, struct sessions *sessions,
                            const struct broker_heartbeat_request *request,
                            struct broker_heartbeat_response *response)
{
    int err = check_broker_epoch(decision, request->broker_id, request->broker_epoch);
    if (err) {
        response->error_code = error_to_wire(err);
        return 0;
    }
    const struct broker_image *broker = image_broker(decision->head, request->broker_id);
    struct session *session = sessions_touch(sessions, broker->id, broker->epoch, decision->now_ns);
    if (!session)
        return -ENOMEM;
    if (request->current_metadata_offset > session->metadata_offset)
        session->metadata_offset = request->current_metadata_offset;
    int64_t registered = session->register_offset >= 0 ? session->register_offset : broker->epoch;
    response->is_caught_up = request->current_metadata_offset >= registered;
    response->is_fenced = broker->fenced;
    err = add_offline_dirs(decision, broker, request->offline_log_dirs);
    if (err)
        return err;
    add_cordoned_dirs(decision, broker, request->cordoned_log_dirs);
    decide_state(decision, broker, sessions, session, request, response);
    return decision->error;
}

void decide_fence_broker(struct decision *decision, int32_t broker_id)
{
    const struct broker_image *broker = image_broker(decision->head, broker_id);
    if (broker && !broker->fenced)
        add_fencing(decision, broker);
}

int decide_unregister_broker(struct decision *decision,
                             const struct unregister_broker_request *request,
                             struct unregister_broker_response *response)
{
    const struct broker_image *broker = image_broker(decision->head, request->broker_id);
    if (!broker) {
        struct outcome outcome =
            outcome_printf(decision, KAFKA_BROKER_ID_NOT_REGISTERED,
                           "Broker ID %d is not currently registered", request->broker_id);
        response->error_code = outcome.error_code;
        response->error_message = outcome.message;
        return 0;
    }
    struct sweep sweep = {.kind = SWEEP_IN_ISR, .broker = broker->id};
    struct broker_exceptions exceptions = NO_EXCEPTIONS;
    exceptions.leaving = broker->id;
    elections_sweep(decision, &sweep, exceptions);
    sweep.kind = SWEEP_IN_ELR;
    elections_sweep(decision, &sweep, exceptions);
    const struct unregister_broker_record record = {broker->id, broker->epoch};
    decision_add(decision, METADATA_UNREGISTER_BROKER_RECORD, 0, &record);
    return decision->error;
}
