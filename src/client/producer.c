/* See producer.h.
 *
 * Of each partition:
 * 1. `queue` holds the batches in the order given. Those with numbers are its front, and their
 *    sequences follow each other without a gap.
 * 2. While `draining` nothing is sent; it ends when nothing is under way, with a pause (`timer`)
 *    before the next attempt.
 * 3. A broker takes any sequence as the first of an id that it does not know, so until one batch is
 *    acknowledged only one is sent at a time.
 * 4. `renumber`: a batch with numbers failed for good. When drained, the rest gets a new epoch. */
#include "client/producer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "client/internal.h"
#include "record/batch.h"

#define SECOND 1000000000ll
#define LAST_VERSION_BY_NAME 12 /* of Produce; later ones name topics by their ids */
#define AT_ATTRIBUTES 21
#define AT_PRODUCER_ID 43
#define AT_PRODUCER_EPOCH 51
#define AT_BASE_SEQUENCE 53

struct producer_partition {
    struct producer *producer;
    char *topic;
    int32_t partition;
    struct list queue;
    int32_t under_way;
    int64_t producer_id; /* -1: takes the producer's */
    int16_t producer_epoch;
    int32_t next_sequence;
    bool established; /* the broker has a batch of this id and epoch: it will refuse gaps */
    int attempts;     /* in a row without success */
    bool draining, renumber;
    struct loop_timer timer; /* the pause before an attempt */
};

struct producer {
    struct client *client;
    struct producer_settings settings;
    struct producer_partition **partitions; /* by topic and number */
    int32_t partition_count, partition_capacity;
    int32_t queued;
    int64_t producer_id; /* -1: to be asked for */
    int16_t producer_epoch;
    bool asking;
    int ask_attempts;
    bool closed;
    struct client_hook hook;
    struct client_request ask;
    struct init_producer_id_request ask_message;
    struct loop_timer ask_timer;
};

static void pump(struct producer_partition *partition);

void producer_settings_init(struct producer_settings *ret_settings)
{
    *ret_settings = (struct producer_settings){
        .idempotent = true,
        .acks = -1,
        .inflight_max = PRODUCER_INFLIGHT_MAX,
        .request_timeout_ms = 30000,
        .delivery_timeout_ns = 120 * SECOND,
        .queue_max = 10000,
    };
}

static bool may_number(const struct producer_partition *partition)
{
    return !partition->producer->settings.idempotent || partition->producer_id >= 0;
}

static void end_batch(struct producer_batch *batch, int result)
{
    list_remove(&batch->link);
    batch->of->producer->queued--;
    leader_call_release(&batch->call);
    batch->done(batch, result);
}

/* ---- producer ids ---- */

static void pump_all(struct producer *producer)
{
    for (int32_t i = 0; i < producer->partition_count; i++)
        pump(producer->partitions[i]);
}

/* End those batches of the partition that are not under way, and that are due or all. */
static void fail_waiting(struct producer_partition *partition, bool only_due, int result)
{
    int64_t now = client_loop(partition->producer->client)->now_ns;
    struct list failed, *link;
    list_init(&failed);
    list_for_each_safe (pos, &partition->queue) {
        struct producer_batch *batch = container_of(pos, struct producer_batch, link);
        if (batch->under_way || (only_due && batch->deadline_ns > now))
            continue;
        list_remove(&batch->link);
        list_push_back(&failed, &batch->link);
    }
    while ((link = list_pop(&failed)))
        end_batch(container_of(link, struct producer_batch, link), result);
}

/* Those that have no producer id, and may have none: they fail, or those of them that are due. */
static void fail_unnumbered(struct producer *producer, bool only_due, int result)
{
    for (int32_t i = 0; i < producer->partition_count; i++)
        if (producer->partitions[i]->producer_id < 0)
            fail_waiting(producer->partitions[i], only_due, result);
}

static void ask_id(struct producer *producer)
{
    if (producer->asking)
        return;
    producer->asking = true;
    init_producer_id_request_init(&producer->ask_message);
    producer->ask_message.transactional_id = (struct str){0};
    producer->ask_message.transaction_timeout_ms = INT32_MAX;
    client_send(producer->client, &producer->ask, CLIENT_ANY_NODE);
}

static void ask_done(struct client_request *request, int result)
{
    struct producer *producer = container_of(request, struct producer, ask);
    if (result == 0) {
        const struct init_producer_id_response *response = request->response;
        result = response->error_code < 0 ? KAFKA_UNKNOWN_SERVER_ERROR : response->error_code;
        client_throttle(producer->client, request->node_id, response->throttle_time_ms);
        if (result == 0 && response->producer_id < 0)
            result = -EBADMSG;
        if (result == 0) {
            producer->producer_id = response->producer_id;
            producer->producer_epoch = response->producer_epoch;
        }
    }
    client_request_release(request);
    if (result == 0) {
        producer->asking = false;
        producer->ask_attempts = 0;
        pump_all(producer);
    } else if (leader_call_may_repeat(result)) {
        struct loop *loop = client_loop(producer->client);
        loop_timer_set(loop, &producer->ask_timer,
                       loop->now_ns +
                           client_backoff_ns(producer->client, ++producer->ask_attempts));
        fail_unnumbered(producer, true, -ETIMEDOUT);
    } else {
        producer->asking = false;
        fail_unnumbered(producer, false, result);
    }
}

static void ask_again(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct producer *producer = container_of(timer, struct producer, ask_timer);
    producer->asking = false;
    ask_id(producer);
}

/* ---- numbers ---- */

/* Write who sends it and which of his it is; the checksum covers that. */
static void stamp(struct producer_partition *partition, struct producer_batch *batch)
{
    struct batch header;
    must(batch_read(batch->data, (size_t)batch->size, &header) == 0);
    uint8_t *data = batch->data;
    store_be64(data + AT_PRODUCER_ID, (uint64_t)partition->producer_id);
    store_be16(data + AT_PRODUCER_EPOCH, (uint16_t)partition->producer_epoch);
    store_be32(data + AT_BASE_SEQUENCE, (uint32_t)partition->next_sequence);
    store_be32(data + AT_ATTRIBUTES - 4,
               crc32c(0, data + AT_ATTRIBUTES, (size_t)batch->size - AT_ATTRIBUTES));
    /* As Kafka counts: after 2^31 - 1 comes 0. */
    partition->next_sequence =
        (int32_t)(((uint32_t)partition->next_sequence + (uint32_t)header.last_offset_delta + 1) &
                  INT32_MAX);
    batch->numbered = true;
}

/* Nothing is under way and a batch has failed for good. `draining` keeps callbacks from sending. */
static void begin_epoch(struct producer_partition *partition)
{
    must(partition->draining && partition->under_way == 0);
    struct list unknown, *link;
    list_init(&unknown);
    partition->renumber = partition->established = false;
    partition->next_sequence = 0;
    if (partition->producer_epoch == INT16_MAX) {
        partition->producer_id = -1;
        partition->producer->producer_id = -1;
    } else {
        partition->producer_epoch++;
    }
    list_for_each_safe (pos, &partition->queue) {
        struct producer_batch *batch = container_of(pos, struct producer_batch, link);
        batch->numbered = false;
        if (!batch->maybe_written)
            continue;
        list_remove(&batch->link);
        list_push_back(&unknown, &batch->link);
    }
    while ((link = list_pop(&unknown)))
        end_batch(container_of(link, struct producer_batch, link),
                  KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

/* ---- sending ---- */

static int build(struct leader_call *call)
{
    struct producer_batch *batch = container_of(call, struct producer_batch, call);
    const struct producer_settings *settings = &batch->of->producer->settings;
    produce_request_init(&batch->message);
    produce_request_topic_produce_data_init(&batch->topic_data);
    produce_request_partition_produce_data_init(&batch->partition_data);
    batch->message.acks = settings->acks;
    batch->message.timeout_ms = settings->request_timeout_ms;
    batch->message.topic_data.items = &batch->topic_data;
    batch->message.topic_data.count = 1;
    batch->topic_data.name = batch->topic;
    batch->topic_data.topic_id = call->leader.topic_id;
    batch->topic_data.partition_data.items = &batch->partition_data;
    batch->topic_data.partition_data.count = 1;
    batch->partition_data.index = batch->partition;
    batch->partition_data.records = (struct records){.data = batch->data, .size = batch->size};
    call->request.message = &batch->message;
    call->request.no_answer = settings->acks == 0;
    call->request.max_version =
        uuid_is_zero(call->leader.topic_id) ? LAST_VERSION_BY_NAME : INT16_MAX;
    return 0;
}

static int judge(struct leader_call *call, struct leader_verdict *ret_verdict)
{
    struct producer_batch *batch = container_of(call, struct producer_batch, call);
    const struct produce_response *response = call->request.response;
    if (response->responses.count != 1 ||
        response->responses.items[0].partition_responses.count != 1)
        return -EBADMSG;
    const struct produce_response_partition_produce_response *partition =
        &response->responses.items[0].partition_responses.items[0];
    if (partition->index != batch->partition)
        return -EBADMSG;
    *ret_verdict = (struct leader_verdict){
        .error = partition->error_code,
        .throttle_ms = response->throttle_time_ms,
        .leader_id = partition->current_leader.leader_id,
        .leader_epoch = partition->current_leader.leader_epoch,
    };
    for (int32_t i = 0; i < response->node_endpoints.count; i++) {
        const struct produce_response_node_endpoint *node = &response->node_endpoints.items[i];
        if (node->node_id == partition->current_leader.leader_id)
            ret_verdict->endpoint = (struct client_endpoint){node->node_id, node->host, node->port};
    }
    batch->base_offset = partition->base_offset;
    return 0;
}

static void pause_over(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    pump(container_of(timer, struct producer_partition, timer));
}

/* Whether the broker may have appended it although it did not say so. */
static bool leaves_doubt(const struct producer_batch *batch, int result)
{
    return (result < 0 && batch->call.request.sent) || result == KAFKA_REQUEST_TIMED_OUT ||
           result == KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND ||
           result == KAFKA_KAFKA_STORAGE_ERROR || result == KAFKA_UNKNOWN_SERVER_ERROR;
}

static bool may_repeat(const struct producer_batch *batch, int result)
{
    const struct producer_partition *partition = batch->of;
    if (batch->deadline_ns <= client_loop(partition->producer->client)->now_ns)
        return false;
    /* It came before its elders, which are being repeated. */
    if (result == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER)
        return partition->draining || partition->queue.next != &batch->link;
    return leader_call_may_repeat(result);
}

static void attempt_done(struct leader_call *call, int result)
{
    struct producer_batch *batch = container_of(call, struct producer_batch, call);
    struct producer_partition *partition = batch->of;
    struct producer *producer = partition->producer;
    struct loop *loop = client_loop(producer->client);
    batch->under_way = false;
    partition->under_way--;
    if (result == KAFKA_DUPLICATE_SEQUENCE_NUMBER && producer->settings.idempotent)
        result = 0; /* an earlier attempt was written, too long ago for the broker to know where */
    batch->maybe_written |= leaves_doubt(batch, result);
    bool again = result != 0 && may_repeat(batch, result);
    bool failed = result != 0 && !again;
    partition->established |= result == 0;
    if (result == 0)
        partition->attempts = 0;
    else if (!partition->draining)
        partition->attempts++;
    if (again || (failed && producer->settings.idempotent))
        partition->draining = true;
    partition->renumber |= failed && producer->settings.idempotent;
    if (!again)
        end_batch(batch, result);
    if (producer->closed)
        return;
    if (partition->draining && partition->under_way == 0) {
        if (partition->renumber)
            begin_epoch(partition);
        partition->draining = false;
        loop_timer_set(loop, &partition->timer,
                       loop->now_ns + client_backoff_ns(producer->client, partition->attempts));
    }
    pump(partition);
}

/* The first batches are due and nothing is under way. */
static void expire(struct producer_partition *partition)
{
    list_for_each (pos, &partition->queue)
        partition->renumber |= container_of(pos, struct producer_batch, link)->numbered;
    partition->draining = true;
    fail_waiting(partition, true, -ETIMEDOUT);
    if (partition->renumber)
        begin_epoch(partition);
    partition->draining = false;
}

static bool first_is_due(const struct producer_partition *partition)
{
    const struct producer_batch *first = list_first(&partition->queue, struct producer_batch, link);
    return first->deadline_ns <= client_loop(partition->producer->client)->now_ns;
}

static void pump(struct producer_partition *partition)
{
    struct producer *producer = partition->producer;
    if (producer->closed || partition->draining || heap_contains(&partition->timer.node))
        return;
    if (partition->under_way == 0 && !list_empty(&partition->queue) && first_is_due(partition))
        expire(partition);
    if (partition->producer_id < 0 && producer->producer_id >= 0) {
        partition->producer_id = producer->producer_id;
        partition->producer_epoch = producer->producer_epoch;
    }
    if (list_empty(&partition->queue) || producer->closed)
        return;
    if (!may_number(partition)) {
        ask_id(producer);
        return;
    }
    bool one = producer->settings.idempotent && !partition->established;
    int32_t most = one ? 1 : producer->settings.inflight_max;
    /* Nothing that is started here calls back before this has returned. */
    list_for_each (pos, &partition->queue) {
        struct producer_batch *batch = container_of(pos, struct producer_batch, link);
        if (batch->under_way)
            continue;
        if (partition->under_way >= most)
            break;
        if (!batch->numbered && producer->settings.idempotent)
            stamp(partition, batch);
        batch->under_way = true;
        partition->under_way++;
        leader_call_start(&batch->call, 0, batch->deadline_ns);
    }
}

/* ---- life ---- */

static int compare(const struct producer_partition *partition, struct str topic, int32_t number)
{
    int order = str_compare(str_of(partition->topic), topic);
    return order ? order : (partition->partition > number) - (partition->partition < number);
}

static struct producer_partition *partition_create(struct producer *producer, struct str topic,
                                                   int32_t number)
{
    struct producer_partition *partition = calloc(1, sizeof *partition);
    if (!partition)
        return NULL;
    partition->topic = strndup(topic.data, (size_t)topic.size);
    if (!partition->topic) {
        free(partition);
        return NULL;
    }
    partition->producer = producer;
    partition->partition = number;
    partition->producer_id = -1;
    list_init(&partition->queue);
    loop_timer_init(&partition->timer, pause_over);
    return partition;
}

/* The entry of a partition, made when it is not there; NULL without memory. */
static struct producer_partition *partition_of(struct producer *producer, struct str topic,
                                               int32_t number)
{
    int32_t low = 0, high = producer->partition_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = compare(producer->partitions[middle], topic, number);
        if (order == 0)
            return producer->partitions[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (producer->partition_count == producer->partition_capacity) {
        int32_t capacity = producer->partition_capacity ? 2 * producer->partition_capacity : 8;
        struct producer_partition **partitions =
            realloc(producer->partitions, (size_t)capacity * sizeof(struct producer_partition *));
        if (!partitions)
            return NULL;
        producer->partitions = partitions;
        producer->partition_capacity = capacity;
    }
    struct producer_partition *partition = partition_create(producer, topic, number);
    if (!partition)
        return NULL;
    memmove(producer->partitions + low + 1, producer->partitions + low,
            (size_t)(producer->partition_count - low) * sizeof(struct producer_partition *));
    producer->partitions[low] = partition;
    producer->partition_count++;
    return partition;
}

static void client_closing(struct client_hook *hook)
{
    struct producer *producer = container_of(hook, struct producer, hook);
    struct loop *loop = client_loop(producer->client);
    producer->closed = true;
    loop_timer_cancel(loop, &producer->ask_timer);
    for (int32_t i = 0; i < producer->partition_count; i++) {
        loop_timer_cancel(loop, &producer->partitions[i]->timer);
        fail_waiting(producer->partitions[i], false, -ECANCELED);
    }
}

int producer_create(struct client *client, const struct producer_settings *settings,
                    struct producer **ret_producer)
{
    if (settings->inflight_max < 1 || settings->queue_max < 1 || settings->acks < -1 ||
        settings->acks > 1)
        return -EINVAL;
    if (settings->idempotent &&
        (settings->acks == 0 || settings->inflight_max > PRODUCER_INFLIGHT_MAX))
        return -EINVAL;
    struct producer *producer = calloc(1, sizeof *producer);
    if (!producer)
        return -ENOMEM;
    producer->client = client;
    producer->settings = *settings;
    producer->producer_id = -1;
    client_request_init(&producer->ask, API_INIT_PRODUCER_ID, &producer->ask_message, ask_done);
    loop_timer_init(&producer->ask_timer, ask_again);
    producer->hook.closing = client_closing;
    client_hook_add(client, &producer->hook);
    *ret_producer = producer;
    return 0;
}

void producer_destroy(struct producer *producer)
{
    if (!producer)
        return;
    must(producer->closed && producer->queued == 0);
    for (int32_t i = 0; i < producer->partition_count; i++) {
        free(producer->partitions[i]->topic);
        free(producer->partitions[i]);
    }
    free(producer->partitions);
    free(producer);
}

int producer_send(struct producer *producer, struct producer_batch *batch)
{
    struct batch header;
    if (producer->closed)
        return -ECANCELED;
    if (batch->size <= 0 || batch_read(batch->data, (size_t)batch->size, &header) < 0 ||
        header.size != batch->size || header.magic != 2)
        return -EINVAL;
    if (producer->queued == producer->settings.queue_max)
        return -ENOBUFS;
    struct producer_partition *partition = partition_of(producer, batch->topic, batch->partition);
    if (!partition)
        return -ENOBUFS;
    struct loop *loop = client_loop(producer->client);
    int64_t timeout = producer->settings.delivery_timeout_ns;
    batch->of = partition;
    batch->base_offset = -1;
    batch->maybe_written = batch->numbered = batch->under_way = false;
    batch->deadline_ns = timeout > 0 ? env_now_ns(loop->env) + timeout : INT64_MAX;
    leader_call_init(&batch->call, producer->client, API_PRODUCE);
    batch->call.topic = batch->topic;
    batch->call.partition = batch->partition;
    batch->call.build = build;
    batch->call.judge = judge;
    batch->call.done = attempt_done;
    list_push_back(&partition->queue, &batch->link);
    producer->queued++;
    pump(partition);
    return 0;
}
