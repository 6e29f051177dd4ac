#include "life.h"

#include "base/errors.h"
#include "base/must.h"
#include "protocol/messages.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

uint64_t life_dice(struct life *life, uint64_t limit)
{
    uint64_t number;
    env_random(life->loop.env, &number, sizeof number);
    return number % limit;
}

static void request_done(struct client_request *request, int result)
{
    struct life *life = container_of(request, struct life, request);
    life->done = true;
    life->result = result;
}

const void *life_call(struct life *life, int16_t key, int16_t version, const void *message,
                      int64_t timeout_ns)
{
    client_request_release(&life->request);
    client_request_init(&life->request, key, message, request_done);
    life->request.max_version = version;
    life->request.timeout_ns = timeout_ns;
    life->done = false;
    client_send(life->client, &life->request, CLIENT_ANY_NODE);
    while (!life->done)
        must(loop_turn(&life->loop));
    return life->result == 0 ? life->request.response : NULL;
}

static void pause_over(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    container_of(timer, struct life, pause)->paused = false;
}

void life_rest(struct life *life, int64_t ms)
{
    life->paused = true;
    loop_timer_set(&life->loop, &life->pause, env_now_ns(life->loop.env) + ms * MS);
    while (life->paused)
        must(loop_turn(&life->loop));
}

bool life_passes(int error)
{
    switch (error) {
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_CONCURRENT_TRANSACTIONS:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_UNSTABLE_OFFSET_COMMIT:
    case KAFKA_REQUEST_TIMED_OUT:
        return true;
    default:
        return false;
    }
}

bool life_wait_for(struct life *life, int error, int *tries)
{
    if (error < 0 || !life_passes(error) || ++*tries == LIFE_TRIES_MAX)
        return false;
    life_rest(life, 1 + (int64_t)life_dice(life, 40));
    return true;
}

int life_make_topic(struct life *life, struct str name, int32_t partitions)
{
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request message;
    create_topics_request_init(&message);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = name;
    topic.num_partitions = partitions;
    topic.replication_factor = 1;
    message.topics.items = &topic;
    message.topics.count = 1;
    message.timeout_ms = 5000;
    const struct create_topics_response *response =
        life_call(life, API_CREATE_TOPICS, 7, &message, 0);
    if (!response || response->topics.count != 1)
        return -1;
    int error = response->topics.items[0].error_code;
    return error == KAFKA_TOPIC_ALREADY_EXISTS ? 0 : error;
}

int life_find(struct life *life, struct str key, int8_t type)
{
    struct find_coordinator_request message;
    find_coordinator_request_init(&message);
    message.key = key;
    message.key_type = type;
    const struct find_coordinator_response *response =
        life_call(life, API_FIND_COORDINATOR, 3, &message, 0);
    return response ? response->error_code : -1;
}

static void line_out(void *context, enum say_level level, const char *line, size_t size)
{
    struct life *life = context;
    life->loop.env->ops->log_line(life->loop.env, (int)level, line, size);
}

void life_begin(struct life *life, struct env *env, const char *bootstrap,
                int64_t request_timeout_ns)
{
    struct client_settings settings;
    *life = (struct life){0};
    life->say = (struct say){.level = SAY_DEBUG, .write = line_out, .context = life};
    must(loop_init(&life->loop, env, 0) == 0);
    loop_timer_init(&life->pause, pause_over);
    client_request_init(&life->request, API_FETCH, NULL, request_done);
    client_settings_init(&settings);
    settings.bootstrap = &bootstrap;
    settings.bootstrap_count = 1;
    settings.request_timeout_ns = request_timeout_ns;
    settings.connect_timeout_ns = 3 * SECOND;
    must(client_create(&life->loop, &settings, &life->say, &life->client) == 0);
}

static void life_closed(void *context)
{
    ((struct life *)context)->done = true;
}

void life_end(struct life *life)
{
    client_request_release(&life->request);
    life->done = false;
    client_close(life->client, life_closed, life);
    while (!life->done)
        must(loop_turn(&life->loop));
    loop_close(&life->loop);
}
