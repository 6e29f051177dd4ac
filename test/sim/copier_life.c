#include "copier_life.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define TRIES_MAX 200

uint64_t dice(struct copier *copier, uint64_t limit)
{
    return sim_dice(copier->plan->sim, limit);
}

static void request_done(struct client_request *request, int result)
{
    struct copier *copier = container_of(request, struct copier, request);
    copier->done = true;
    copier->result = result;
}

const void *call(struct copier *copier, int16_t key, int16_t version, const void *message)
{
    client_request_release(&copier->request);
    client_request_init(&copier->request, key, message, request_done);
    copier->request.max_version = version;
    copier->done = false;
    client_send(copier->client, &copier->request, CLIENT_ANY_NODE);
    while (!copier->done)
        must(loop_turn(&copier->loop));
    return copier->result == 0 ? copier->request.response : NULL;
}

static void pause_over(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    container_of(timer, struct copier, pause)->paused = false;
}

void rest(struct copier *copier, int64_t ms)
{
    copier->paused = true;
    loop_timer_set(&copier->loop, &copier->pause, copier->loop.now_ns + ms * MS);
    while (copier->paused)
        must(loop_turn(&copier->loop));
}

bool passes(int error)
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

int insist(struct copier *copier, int (*step)(struct copier *copier))
{
    int error = -1;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        error = step(copier);
        if (error >= 0 && !passes(error))
            return error;
        rest(copier, 5 + (int64_t)dice(copier, 100));
    }
    return error;
}

bool wait_for(struct copier *copier, int error, int *tries)
{
    if (error < 0 || !passes(error) || ++*tries == TRIES_MAX)
        return false;
    rest(copier, 1 + (int64_t)dice(copier, 40));
    return true;
}

int make_topic(struct copier *copier)
{
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request message;
    create_topics_request_init(&message);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = COPY_TOPIC;
    topic.num_partitions = COPY_PARTITIONS;
    topic.replication_factor = 1;
    message.topics.items = &topic;
    message.topics.count = 1;
    message.timeout_ms = 5000;
    const struct create_topics_response *response = call(copier, API_CREATE_TOPICS, 7, &message);
    if (!response || response->topics.count != 1)
        return -1;
    int error = response->topics.items[0].error_code;
    return error == KAFKA_TOPIC_ALREADY_EXISTS ? 0 : error;
}

static void drop_line(void *context, enum say_level level, const char *line, size_t size)
{
    struct copier *copier = context;
    copier->loop.env->ops->log_line(copier->loop.env, (int)level, line, size);
}

struct copier *life_begin(struct env *env, struct copier_plan *plan)
{
    struct copier *copier = calloc(1, sizeof *copier);
    struct client_settings settings;
    must(copier);
    copier->plan = plan;
    copier->copies = plan->copies;
    copier->say = (struct say){.level = SAY_DEBUG, .write = drop_line, .context = copier};
    snprintf(copier->id, sizeof copier->id, "copier-%d", plan->index);
    must(loop_init(&copier->loop, env, 0) == 0);
    loop_timer_init(&copier->pause, pause_over);
    client_request_init(&copier->request, API_FETCH, NULL, request_done);
    client_settings_init(&settings);
    settings.bootstrap = &plan->bootstrap;
    settings.bootstrap_count = 1;
    settings.request_timeout_ns = (2 + (int64_t)dice(copier, 10)) * SECOND;
    settings.connect_timeout_ns = 3 * SECOND;
    must(client_create(&copier->loop, &settings, &copier->say, &copier->client) == 0);
    return copier;
}

static void life_closed(void *context)
{
    ((struct copier *)context)->done = true;
}

void life_end(struct copier *copier)
{
    client_request_release(&copier->request);
    copier->done = false;
    client_close(copier->client, life_closed, copier);
    while (!copier->done)
        must(loop_turn(&copier->loop));
    loop_close(&copier->loop);
    free(copier);
}
