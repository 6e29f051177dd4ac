#include "server/internal_topics.h"

#include "base/errors.h"
#include "server/broker.h"

#define ADMIN_CLIENT_ID "__admin_client"
#define CONFIGS_MAX 5

static const char *const topic_names[INTERNAL_TOPICS] = {GROUP_TOPIC, TRANSACTION_TOPIC};

bool internal_topic_writer(struct str client_id)
{
    return str_equal(client_id, STR(ADMIN_CLIENT_ID));
}

static void config_add(struct create_topics_request_creatable_topic *topic, const char *name,
                       struct str value)
{
    struct create_topics_request_creatable_topic_config *config =
        &topic->configs.items[topic->configs.count++];
    config->name = str_of(name);
    config->value = value;
}

bool internal_topic_fill(struct arena *arena, const struct broker_settings *settings,
                         struct str name, struct create_topics_request_creatable_topic *ret_topic)
{
    bool group = str_equal(name, STR(GROUP_TOPIC));
    ret_topic->name = name;
    ret_topic->num_partitions = -1; /* the broker's defaults */
    ret_topic->replication_factor = -1;
    if (!group && !str_equal(name, STR(TRANSACTION_TOPIC)))
        return true;
    ret_topic->num_partitions = group ? settings->offsets_topic_num_partitions
                                      : settings->transaction_state_log_num_partitions;
    ret_topic->replication_factor =
        (int16_t)(group ? settings->offsets_topic_replication_factor
                        : settings->transaction_state_log_replication_factor);
    const char *segment = arena_printf(arena, "%d",
                                       group ? settings->offsets_topic_segment_bytes
                                             : settings->transaction_state_log_segment_bytes);
    const char *least = arena_printf(arena, "%d", settings->transaction_state_log_min_isr);
    ret_topic->configs.items =
        create_topics_request_creatable_topic_config_array(arena, CONFIGS_MAX);
    if (!segment || !least || !ret_topic->configs.items)
        return false;
    config_add(ret_topic, "cleanup.policy", STR("compact"));
    config_add(ret_topic, "segment.bytes", str_of(segment));
    config_add(ret_topic, "compression.type", group ? STR("producer") : STR("uncompressed"));
    if (!group) {
        config_add(ret_topic, "min.insync.replicas", str_of(least));
        config_add(ret_topic, "unclean.leader.election.enable", STR("false"));
    }
    return true;
}

/* ---- creation ---- */

static void creation_end(struct internal_creation *creation)
{
    arena_close(&creation->arena);
    atomic_store(&creation->busy, false);
}

static void creation_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct internal_creation *creation = container_of(op, struct internal_creation, op);
    int err = op->result;
    const struct create_topics_response *response = &creation->response;
    struct str message = {0};
    if (err == 0 && response->topics.count == 1) {
        err = response->topics.items[0].error_code;
        message = response->topics.items[0].error_message;
    }
    if (err != 0 && err != KAFKA_TOPIC_ALREADY_EXISTS)
        say_warn(&creation->broker->say, "cannot create an internal topic",
                 kv_str("topic", creation->request.topics.items[0].name),
                 kv_text("error", result_text(err)),
                 kv_str("message", message.data ? message : STR("")));
    creation_end(creation);
}

void internal_topic_want(struct broker *broker, struct loop *loop, enum internal_topic which)
{
    struct internal_creation *creation = &broker->internal_topics.creations[which];
    if (atomic_exchange(&creation->busy, true))
        return;
    const struct broker_settings *settings = broker_settings_now(broker);
    struct create_topics_request *request = &creation->request;
    creation->broker = broker;
    arena_init(&creation->arena, 0);
    create_topics_request_init(request);
    request->timeout_ms = settings->request_timeout_ms;
    request->topics.items = create_topics_request_creatable_topic_array(&creation->arena, 1);
    if (!request->topics.items ||
        !internal_topic_fill(&creation->arena, settings, str_of(topic_names[which]),
                             &request->topics.items[0])) {
        creation_end(creation);
        return;
    }
    request->topics.count = 1;
    creation->op = (struct controller_op){.api_key = API_CREATE_TOPICS,
                                          .api_version = 7,
                                          .request = request,
                                          .response = &creation->response,
                                          .arena = &creation->arena,
                                          .done = creation_done};
    controller_submit(broker->controller, loop, &creation->op);
}

bool internal_topics_quiet(const struct broker *broker)
{
    for (int i = 0; i < INTERNAL_TOPICS; i++)
        if (atomic_load(&broker->internal_topics.creations[i].busy))
            return false;
    return true;
}
