#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "consumer_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../metadata/metadata_test.h"
#include "base/errors.h"
#include "regex/regex.h"

static const char *const topic_names[CONSUMER_TOPICS] = {"t0", "t1", "t2", "t3"};

struct uuid consumer_kit_topic(int topic)
{
    return id_of(topic + 1);
}

void consumer_kit_topics(struct kit *kit, const int32_t counts[CONSUMER_TOPICS])
{
    struct image_builder builder;
    const struct image *before = kit->image;
    image_builder_init(&builder, NULL);
    for (int t = 0; t < CONSUMER_TOPICS; t++) {
        if (counts[t] == 0)
            continue;
        assert_true(apply_topic_named(&builder, topic_names[t], consumer_kit_topic(t)));
        for (int32_t p = 0; p < counts[t]; p++)
            assert_true(apply_partition_of(&builder, consumer_kit_topic(t), p, 1));
    }
    struct image *image = image_builder_snapshot(&builder);
    image->offset = before ? before->offset + 1 : 1;
    kit->image = image;
    image_builder_close(&builder);
    if (kit->coord) {
        coord_follow(kit->coord, &kit->topic, true);
        kit_turns(kit, 6);
    }
    image_unref(before);
}

void consumer_kit_init(struct kit *kit)
{
    static const int32_t counts[CONSUMER_TOPICS] = {3, 4, 5, 6};
    group_kit_init(kit, INT64_MAX);
    kit->broker.group_consumer_max_size = INT32_MAX;
    kit->broker.group_consumer_session_timeout_ms = 45000;
    kit->broker.group_consumer_min_session_timeout_ms = 45000;
    kit->broker.group_consumer_max_session_timeout_ms = 60000;
    kit->broker.group_consumer_heartbeat_interval_ms = 5000;
    kit->broker.group_consumer_min_heartbeat_interval_ms = 5000;
    kit->broker.group_consumer_max_heartbeat_interval_ms = 15000;
    kit->broker.group_consumer_assignment_interval_ms = 0;
    kit->broker.group_consumer_min_assignment_interval_ms = 0;
    kit->broker.group_consumer_max_assignment_interval_ms = 15000;
    kit->broker.group_consumer_regex_refresh_interval_ms = 600000;
    kit->broker.group_consumer_assignors[0] = "uniform";
    kit->broker.group_consumer_assignors[1] = "range";
    kit->broker.group_consumer_assignor_count = 2;
    consumer_kit_topics(kit, counts);
}

void consumer_kit_close(struct kit *kit)
{
    const struct image *image = kit->image;
    kit_close(kit);
    image_unref(image);
}

int consumer_kit_setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    consumer_kit_init(kit);
    *state = kit;
    return 0;
}

int consumer_kit_teardown(void **state)
{
    consumer_kit_close(*state);
    free(*state);
    return 0;
}

const struct consumer_group *group_of(struct kit *kit)
{
    return consumer_group_of(group_kit_group(kit, "g"));
}

void consumer_init(struct consumer *consumer, struct kit *kit, const char *group, const char *id)
{
    *consumer = (struct consumer){
        .kit = kit, .group = group, .topics = {"t0"}, .topic_count = 1, .rebalance_ms = 300000};
    snprintf(consumer->id, sizeof consumer->id, "%s", id);
}

/* ---- what it owns ---- */

static int topic_of(struct uuid id)
{
    for (int t = 0; t < CONSUMER_TOPICS; t++)
        if (uuid_equal(id, consumer_kit_topic(t)))
            return t;
    fail_msg("a topic that nobody made");
    return -1;
}

static int owned_order(const void *a, const void *b)
{
    const struct owned *x = a, *y = b;
    return x->topic != y->topic ? x->topic - y->topic : x->partition - y->partition;
}

static void take_assignment(struct consumer *consumer,
                            const struct consumer_group_heartbeat_response_assignment *assignment)
{
    struct owned next[512];
    int count = 0;
    consumer->assigned = assignment != NULL;
    if (!assignment)
        return;
    for (int32_t t = 0; t < assignment->topic_partitions.count; t++) {
        const struct consumer_group_heartbeat_response_topic_partitions *topic =
            &assignment->topic_partitions.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            next[count++] = (struct owned){topic_of(topic->topic_id), topic->partitions.items[p]};
    }
    qsort(next, (size_t)count, sizeof *next, owned_order);
    if (consumer->holds_on)
        return;
    memcpy(consumer->owned, next, sizeof *next * (size_t)count);
    consumer->owned_count = count;
}

const char *consumer_owns(const struct consumer *consumer)
{
    static char text[4096];
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < consumer->owned_count; i++) {
        bool same = i > 0 && consumer->owned[i].topic == consumer->owned[i - 1].topic;
        if (same)
            used += (size_t)snprintf(text + used, sizeof text - used, ",%d",
                                     consumer->owned[i].partition);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%st%d:%d", i > 0 ? " " : "",
                                     consumer->owned[i].topic, consumer->owned[i].partition);
    }
    return text;
}

/* ---- requests ---- */

/* As the handler does it. */
static int compile(const char *text)
{
    struct regex *regex = NULL;
    int err = text ? regex_compile(text, strlen(text), &regex, NULL) : 0;
    regex_destroy(regex);
    return err == 0 ? 0 : KAFKA_INVALID_REGULAR_EXPRESSION;
}

static int ask(struct consumer *consumer, int32_t epoch, bool full)
{
    static uint8_t next;
    struct consumer_group_heartbeat_request request;
    struct consumer_group_heartbeat_request_topic_partitions topics[CONSUMER_TOPICS];
    int32_t partitions[512];
    struct str names[CONSUMER_TOPICS];
    struct consumer_heartbeat heartbeat;
    struct arena arena;
    const char *message;
    const struct classic_client client = {
        .client_id = STR("client"), .host = STR("/127.0.0.1"), .random = {{++next, 9}}};
    arena_init(&arena, 0);
    consumer_group_heartbeat_request_init(&request);
    request.group_id = str_of(consumer->group);
    request.member_id = str_of(consumer->id);
    request.member_epoch = epoch;
    request.instance_id = str_of(consumer->instance_id);
    int16_t version = consumer->regex ? 1 : 0;
    if (full) {
        request.subscribed_topic_regex = str_of(consumer->regex);
        request.rebalance_timeout_ms = consumer->rebalance_ms;
        request.server_assignor = str_of(consumer->assignor);
        for (int i = 0; i < consumer->topic_count; i++)
            names[i] = str_of(consumer->topics[i]);
        request.subscribed_topic_names = (struct str_array){names, consumer->topic_count};
        request.topic_partitions.items = topics;
        request.topic_partitions.count = 0;
        for (int i = 0; i < consumer->owned_count; i++) {
            int32_t *count = &request.topic_partitions.count;
            if (i == 0 || consumer->owned[i].topic != consumer->owned[i - 1].topic) {
                topics[*count].topic_id = consumer_kit_topic(consumer->owned[i].topic);
                topics[*count].partitions = (struct int32_array){partitions + i, 0};
                (*count)++;
            }
            partitions[i] = consumer->owned[i].partition;
            topics[*count - 1].partitions.count++;
        }
    }
    consumer->message[0] = 0;
    consumer->assigned = false;
    consumer->error = consumer_heartbeat_check(&request, version, &consumer->kit->broker, &message);
    if (consumer->error == 0) {
        consumer_heartbeat_init(&heartbeat, &request, version, &client, &arena);
        heartbeat.compile_error = compile(consumer->regex);
        consumer->error = group_kit_run(consumer->kit, &heartbeat.op);
        message = heartbeat.message;
    }
    if (consumer->error != 0) {
        snprintf(consumer->message, sizeof consumer->message, "%s", message ? message : "");
    } else {
        const struct consumer_group_heartbeat_response *response = &heartbeat.response;
        char id[sizeof consumer->id]; /* the answer's may be the request's */
        snprintf(id, sizeof id, "%.*s", response->member_id.size, response->member_id.data);
        memcpy(consumer->id, id, sizeof id);
        consumer->epoch = response->member_epoch;
        consumer->interval_ms = response->heartbeat_interval_ms;
        take_assignment(consumer, response->assignment);
    }
    arena_close(&arena);
    return consumer->error;
}

int consumer_heartbeat(struct consumer *consumer)
{
    return ask(consumer, consumer->epoch, true);
}

int consumer_ping(struct consumer *consumer)
{
    return ask(consumer, consumer->epoch, false);
}

int consumer_leave(struct consumer *consumer)
{
    int error = ask(consumer, CONSUMER_EPOCH_LEAVE, false);
    if (error == 0)
        consumer->epoch = consumer->owned_count = 0;
    return error;
}

int consumer_leave_static(struct consumer *consumer)
{
    int error = ask(consumer, CONSUMER_EPOCH_LEAVE_STATIC, false);
    if (error == 0)
        consumer->epoch = consumer->owned_count = 0;
    return error;
}

int consumer_commit(struct consumer *consumer, int32_t epoch, int topic, int32_t partition,
                    int64_t offset)
{
    struct offset_commit commit;
    int16_t error = 0;
    const struct offset_commit_part part = {str_of(topic_names[topic]),
                                            consumer_kit_topic(topic),
                                            partition,
                                            -1,
                                            offset,
                                            STR(""),
                                            &error};
    offset_commit_init(&commit);
    commit.group = str_of(consumer->group);
    commit.who = (struct group_committer){.member_id = str_of(consumer->id),
                                          .instance_id = str_of(consumer->instance_id),
                                          .generation = epoch,
                                          .version = 9};
    commit.parts = &part;
    commit.count = 1;
    int whole = group_kit_run(consumer->kit, &commit.op);
    return whole != 0 ? whole : error;
}

void consumers_settle(struct consumer *consumers, int count)
{
    for (int quiet = 0, round = 0; quiet < 2; round++) {
        bool changed = false;
        assert_true(round < 100);
        for (int i = 0; i < count; i++) {
            int32_t epoch = consumers[i].epoch;
            char before[4096];
            snprintf(before, sizeof before, "%s", consumer_owns(&consumers[i]));
            assert_int_equal(consumer_heartbeat(&consumers[i]), 0);
            changed = changed || epoch != consumers[i].epoch ||
                      strcmp(before, consumer_owns(&consumers[i])) != 0;
        }
        quiet = changed ? 0 : quiet + 1;
    }
}
