#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "client/core.h"
#include "client/fetch.h"
#include "client/producer.h"
#include "record/batch.h"

#define SLOTS 12
#define BATCH_RECORDS_MAX 4
#define BIG_BYTES 60000
#define RECORD_BYTES_MAX (BIG_BYTES + 64)
#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

struct user;

struct slot {
    struct producer_batch batch;
    struct user *user;
    int32_t first_value;
    int count;
    bool busy;
};

struct user {
    struct user_plan *plan;
    struct loop loop;
    struct say say;
    struct client *writing, *reading;
    struct producer *producer;
    struct history_writer writer;
    struct slot slots[SLOTS];
    struct loop_timer pace; /* the next batch */
    char text[RECORD_BYTES_MAX];

    struct client_request create;
    struct create_topics_request create_message;
    struct create_topics_request_creatable_topic create_topic;
    struct create_topics_request_creatable_topic_config create_configs[2];
    struct loop_timer create_again;

    struct partition_fetch fetch;
    struct loop_timer fetch_again;
    int64_t next_offset[HISTORY_PARTITIONS];
    int64_t high_watermark[HISTORY_PARTITIONS];
    int32_t losses[HISTORY_PARTITIONS]; /* of power, as known when that was */
    struct offset_search search;
    int64_t end_offset; /* of the partition being audited */
    int closing;
};

static uint64_t dice(struct user *user, uint64_t limit)
{
    return sim_dice(user->plan->sim, limit);
}

/* ---- writing ---- */

static void write_more(struct user *user);

static void batch_done(struct producer_batch *batch, int result)
{
    struct slot *slot = container_of(batch, struct slot, batch);
    struct user *user = slot->user;
    /* After a loss of power the broker may not know what came before a batch. */
    bool may_fail = user->plan->history->losses > 0 && !user->plan->durable;
    if (result != 0 && !may_fail)
        history_fail("a batch of partition %d failed: %d", batch->partition, result);
    for (int i = 0; i < slot->count && result == 0; i++)
        history_acknowledge(user->plan->history, slot->first_value + i,
                            batch->base_offset >= 0 ? batch->base_offset + i : -1);
    free(batch->data);
    slot->busy = false;
    user->plan->outstanding--;
    write_more(user);
}

static void build_batch(struct slot *slot)
{
    struct user *user = slot->user;
    struct batch_builder builder;
    char *text = user->text; /* no other user's: an env call may let others run */
    int64_t now_ms = env_wall_ms(user->loop.env);
    batch_builder_init(&builder, 0);
    for (int i = 0; i < slot->count; i++) {
        int32_t value = history_give(&user->writer, slot->batch.partition);
        if (i == 0)
            slot->first_value = value;
        int size = snprintf(text, RECORD_BYTES_MAX, "%d ", value);
        int padding = user->plan->big_records && dice(user, 12) == 0 ? (int)dice(user, BIG_BYTES)
                                                                     : (int)dice(user, 60);
        memset(text + size, 'x', (size_t)padding);
        batch_builder_add(&builder, now_ms, (struct bytes){0},
                          (struct bytes){(const uint8_t *)text, size + padding}, NULL, 0);
    }
    must(batch_builder_finish(&builder) == 0);
    slot->batch.data = malloc(builder.out.size);
    must(slot->batch.data);
    memcpy(slot->batch.data, builder.out.data, builder.out.size);
    slot->batch.size = (int32_t)builder.out.size;
    batch_builder_close(&builder);
}

static void write_one(struct user *user)
{
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &user->slots[i];
        if (slot->busy)
            continue;
        slot->busy = true;
        slot->user = user;
        slot->count = 1 + (int)dice(user, BATCH_RECORDS_MAX);
        slot->batch = (struct producer_batch){
            .topic = str_of(user->plan->topic),
            .partition = (int32_t)dice(user, HISTORY_PARTITIONS),
            .done = batch_done,
        };
        build_batch(slot);
        user->plan->outstanding++;
        must(producer_send(user->producer, &slot->batch) == 0);
        return;
    }
}

static void write_more(struct user *user)
{
    struct history *history = user->plan->history;
    if (user->plan->stop || heap_contains(&user->pace.node) ||
        history->value_count >= user->plan->values_max)
        return;
    write_one(user);
    loop_timer_set(&user->loop, &user->pace,
                   user->loop.now_ns + (int64_t)dice(user, 2) * (int64_t)dice(user, 40) * MS);
}

static void pace_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    write_more(container_of(timer, struct user, pace));
}

/* ---- reading ---- */

static void read_next(struct user *user);
static void audit_partition(struct user *user, int32_t partition);

static void read_record(struct user *user, int32_t partition, const struct record *record)
{
    char text[32] = {0};
    int32_t size = record->value.size < 31 ? record->value.size : 31;
    if (record->offset < user->next_offset[partition])
        return; /* the first batch may begin before what was asked for */
    if (record->offset != user->next_offset[partition])
        history_fail("partition %d: after %lld comes %lld", partition,
                     (long long)user->next_offset[partition] - 1, (long long)record->offset);
    if (record->offset >= user->fetch.high_watermark)
        history_fail("partition %d: offset %lld is read above the high watermark %lld", partition,
                     (long long)record->offset, (long long)user->fetch.high_watermark);
    memcpy(text, record->value.data, (size_t)size);
    history_read(user->plan->history, partition, record->offset, strtoll(text, NULL, 10));
    user->next_offset[partition]++;
}

static void read_batches(struct user *user, int32_t partition, struct bytes data)
{
    struct batch batch;
    while (data.size > 0 && batch_read(data.data, (size_t)data.size, &batch) == 0) {
        struct record_reader reader;
        struct record record;
        int err;
        if (!batch_checksum_ok(&batch))
            history_fail("partition %d: a batch with a wrong checksum at %lld", partition,
                         (long long)batch.base_offset);
        must(record_reader_init(&reader, &batch, 1 << 20) == 0);
        while ((err = record_reader_next(&reader, NULL, &record)) == 0)
            read_record(user, partition, &record);
        must(err == -ENODATA);
        record_reader_close(&reader);
        data.data += batch.size;
        data.size -= batch.size;
    }
}

static void check_watermark(struct user *user, const struct partition_fetch *fetch)
{
    int64_t *known = &user->high_watermark[fetch->partition];
    if (user->losses[fetch->partition] != user->plan->history->losses)
        *known = 0;
    user->losses[fetch->partition] = user->plan->history->losses;
    if (fetch->high_watermark < *known)
        history_fail("partition %d: the high watermark went from %lld back to %lld",
                     fetch->partition, (long long)*known, (long long)fetch->high_watermark);
    *known = fetch->high_watermark;
}

static void fetched(struct partition_fetch *fetch, int result)
{
    struct user *user = container_of(fetch, struct user, fetch);
    int32_t partition = fetch->partition;
    if (result == 0) {
        int64_t before = user->next_offset[partition];
        check_watermark(user, fetch);
        read_batches(user, partition, fetch->records);
        if (fetch->high_watermark > before && user->next_offset[partition] == before)
            history_fail(
                "partition %d: nothing comes from %lld on, with the high watermark at %lld",
                partition, (long long)before, (long long)fetch->high_watermark);
    } else if (result == KAFKA_OFFSET_OUT_OF_RANGE && user->plan->history->losses > 0) {
        user->next_offset[partition] = 0;
    } else if (!leader_call_may_repeat(result)) {
        history_fail("partition %d: a fetch from %lld failed: %d", partition,
                     (long long)fetch->offset, result);
    }
    partition_fetch_release(fetch);
    if (result != 0)
        loop_timer_set(&user->loop, &user->fetch_again, user->loop.now_ns + 50 * MS);
    else
        read_next(user);
}

static void fetch_again_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    read_next(container_of(timer, struct user, fetch_again));
}

static void read_partition(struct user *user, int32_t partition)
{
    static const int32_t sizes[] = {1, 500, 20000, 1 << 20};
    user->fetch = (struct partition_fetch){
        .topic = str_of(user->plan->topic),
        .partition = partition,
        .offset = user->next_offset[partition],
        .max_bytes = sizes[dice(user, 4)],
        .min_bytes = 1,
        .max_wait_ms = (int32_t)dice(user, 300),
        .done = fetched,
    };
    partition_fetch_start(user->reading, &user->fetch);
}

static void read_next(struct user *user)
{
    int32_t partition = user->fetch.partition;
    if (!user->plan->audit) {
        read_partition(user, (partition + 1) % HISTORY_PARTITIONS);
        return;
    }
    if (user->next_offset[partition] < user->end_offset) {
        read_partition(user, partition);
        return;
    }
    history_check_partition(user->plan->history, partition, user->end_offset);
    audit_partition(user, partition + 1);
}

/* ---- auditing ---- */

static void searched(struct offset_search *search, int result)
{
    struct user *user = container_of(search, struct user, search);
    if (result != 0) {
        if (!leader_call_may_repeat(result))
            history_fail("partition %d: no end offset: %d", search->partition, result);
        audit_partition(user, search->partition);
        return;
    }
    user->end_offset = search->offset;
    user->fetch.partition = search->partition;
    read_next(user);
}

static void audit_partition(struct user *user, int32_t partition)
{
    if (partition == HISTORY_PARTITIONS) {
        user->plan->audited = true;
        return;
    }
    user->search = (struct offset_search){
        .topic = str_of(user->plan->topic),
        .partition = partition,
        .timestamp = OFFSETS_LATEST,
        .done = searched,
    };
    offset_search_start(user->reading, &user->search);
}

/* ---- beginning and end ---- */

static void begin(struct user *user)
{
    struct producer_settings settings;
    producer_settings_init(&settings);
    settings.delivery_timeout_ns = 0;
    settings.inflight_max = user->plan->inflight_max
                                ? user->plan->inflight_max
                                : 1 + (int32_t)dice(user, PRODUCER_INFLIGHT_MAX);
    must(producer_create(user->writing, &settings, &user->producer) == 0);
    history_writer_begin(user->plan->history, &user->writer);
    write_more(user);
    read_next(user);
}

static void ask_to_create(struct user *user)
{
    struct create_topics_request_creatable_topic *topic = &user->create_topic;
    create_topics_request_init(&user->create_message);
    create_topics_request_creatable_topic_init(topic);
    topic->name = str_of(user->plan->topic);
    topic->num_partitions = HISTORY_PARTITIONS;
    topic->replication_factor = 1;
    topic->configs.items = user->create_configs;
    topic->configs.count = user->plan->durable ? 2 : 1;
    create_topics_request_creatable_topic_config_init(&user->create_configs[0]);
    user->create_configs[0].name = STR("segment.bytes");
    user->create_configs[0].value = STR("1048576");
    create_topics_request_creatable_topic_config_init(&user->create_configs[1]);
    user->create_configs[1].name = STR("flush.messages");
    user->create_configs[1].value = STR("1");
    user->create_message.topics.items = topic;
    user->create_message.topics.count = 1;
    user->create_message.timeout_ms = 5000;
    client_send(user->writing, &user->create, CLIENT_ANY_NODE);
}

static void created(struct client_request *request, int result)
{
    struct user *user = container_of(request, struct user, create);
    int error = -1;
    if (result == 0) {
        const struct create_topics_response *response = request->response;
        error = response->topics.count == 1 ? response->topics.items[0].error_code : -1;
    }
    client_request_release(request);
    /* Brokers that serve no CreateTopics have the topic already. */
    if (error == KAFKA_NONE || error == KAFKA_TOPIC_ALREADY_EXISTS || result == -ENOTSUP)
        begin(user);
    else
        loop_timer_set(&user->loop, &user->create_again, user->loop.now_ns + 100 * MS);
}

static void create_again_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    ask_to_create(container_of(timer, struct user, create_again));
}

static void drop_line(void *context, enum say_level level, const char *line, size_t size)
{
    struct user *user = context;
    user->loop.env->ops->log_line(user->loop.env, (int)level, line, size);
}

static struct client *make_client(struct user *user)
{
    struct client_settings settings;
    struct client *client;
    client_settings_init(&settings);
    settings.bootstrap = &user->plan->bootstrap;
    settings.bootstrap_count = 1;
    settings.request_timeout_ns = (2 + (int64_t)dice(user, 10)) * SECOND;
    settings.connect_timeout_ns = 3 * SECOND;
    settings.inflight_max = 1 + (int32_t)dice(user, 8);
    must(client_create(&user->loop, &settings, &user->say, &client) == 0);
    return client;
}

static void client_closed(void *context)
{
    struct user *user = context;
    user->closing--;
}

void user_main(struct env *env, void *context)
{
    struct user *user = calloc(1, sizeof *user);
    must(user);
    user->plan = context;
    user->plan->outstanding = 0;
    user->say = (struct say){.level = SAY_DEBUG, .write = drop_line, .context = user};
    must(loop_init(&user->loop, env, 0) == 0);
    loop_timer_init(&user->pace, pace_fire);
    loop_timer_init(&user->create_again, create_again_fire);
    loop_timer_init(&user->fetch_again, fetch_again_fire);
    client_request_init(&user->create, API_CREATE_TOPICS, &user->create_message, created);
    user->reading = make_client(user);
    if (user->plan->audit) {
        audit_partition(user, 0);
        while (!user->plan->audited)
            must(loop_turn(&user->loop));
    } else {
        user->writing = make_client(user);
        ask_to_create(user);
        while (loop_turn(&user->loop)) /* a user lives until it crashes */
            ;
    }
    user->closing = 1;
    client_close(user->reading, client_closed, user);
    while (user->closing > 0)
        must(loop_turn(&user->loop));
    loop_close(&user->loop);
    free(user);
}
