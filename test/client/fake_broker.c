#include "fake_broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "record/batch.h"

struct fake_broker {
    struct fake_cluster *cluster;
    int id;
    struct loop loop;
    struct conn_set conns;
    struct memory_budget budget;
    struct say say;
    struct loop_sock listener;
};

/* One request and its answer. */
struct call {
    struct fake_broker *broker;
    struct conn *conn;
    struct exchange exchange;
    struct out_piece piece;
    struct loop_timer timer;
    struct arena arena;
    const struct api *api;
    int16_t version;
    int32_t correlation_id;
    const struct fake_fault *fault; /* as it was when the request came, or NULL */
    struct fake_fault fault_copy;
};

struct fake_cluster *fake_cluster_create(struct sim *sim, int broker_count)
{
    struct fake_cluster *cluster = calloc(1, sizeof *cluster);
    must(cluster && broker_count <= FAKE_BROKERS_MAX);
    cluster->sim = sim;
    cluster->broker_count = broker_count;
    for (int i = 0; i < broker_count; i++) {
        char name[16] = "broker0";
        name[6] = (char)('0' + i);
        cluster->nodes[i] = sim_node_add(sim, name);
        cluster->ports[i] = FAKE_PORT;
    }
    cluster->topic_exists = true;
    cluster->topic_id = (struct uuid){{1, 2, 3}};
    cluster->api_versions_max = api_find(API_API_VERSIONS)->max_version;
    cluster->produce_max = 13;
    cluster->fetch_max = 17;
    cluster->next_producer_id = 1000;
    for (int i = 0; i < FAKE_PARTITIONS; i++)
        cluster->partitions[i].leader_epoch = 5;
    return cluster;
}

void fake_cluster_destroy(struct fake_cluster *cluster)
{
    free(cluster);
}

void fake_move_leader(struct fake_cluster *cluster, int partition, int32_t id)
{
    cluster->partitions[partition].leader_id = id;
    cluster->partitions[partition].leader_epoch++;
}

struct fake_fault *fake_fault_add(struct fake_cluster *cluster, int16_t key, int count)
{
    for (size_t i = 0; i < sizeof cluster->faults / sizeof *cluster->faults; i++) {
        if (cluster->faults[i].count > 0)
            continue;
        cluster->faults[i] = (struct fake_fault){.key = key, .count = count};
        return &cluster->faults[i];
    }
    must(false);
    return NULL;
}

/* ---- storage ---- */

static int16_t append(struct fake_cluster *cluster, struct fake_partition *partition,
                      struct records records, int64_t *ret_base_offset)
{
    struct batch batch;
    if (batch_read(records.data, (size_t)records.size, &batch) < 0 || batch.size != records.size ||
        !batch_checksum_ok(&batch))
        return KAFKA_CORRUPT_MESSAGE;
    int remembered = 0;
    bool check = batch.producer_id >= 0 && !cluster->mutant.forget_sequences;
    for (int i = partition->batch_count - 1; i >= 0 && check; i--) {
        const struct fake_batch *old = &partition->batches[i];
        if (old->producer_id != batch.producer_id)
            continue;
        if (old->producer_epoch > batch.producer_epoch)
            return KAFKA_INVALID_PRODUCER_EPOCH;
        if (old->producer_epoch < batch.producer_epoch) {
            if (remembered == 0 && batch.base_sequence != 0)
                return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
            break;
        }
        if (old->base_sequence == batch.base_sequence && old->count == batch.record_count) {
            *ret_base_offset = old->base_offset;
            return 0;
        }
        if (remembered == 0 && batch.base_sequence == old->base_sequence + old->count)
            break;
        if (++remembered == FAKE_REMEMBERED)
            return batch.base_sequence < old->base_sequence ? KAFKA_DUPLICATE_SEQUENCE_NUMBER
                                                            : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    if (remembered > 0)
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    *ret_base_offset = partition->end_offset + (cluster->mutant.wrong_offset ? 1 : 0);
    must(partition->batch_count < FAKE_BATCHES_MAX &&
         partition->log_size + records.size <= FAKE_LOG_BYTES);
    uint8_t *at = partition->log + partition->log_size;
    memcpy(at, records.data, (size_t)records.size);
    store_be64(at, (uint64_t)partition->end_offset);
    partition->batches[partition->batch_count++] = (struct fake_batch){
        partition->end_offset, partition->log_size, records.size,      batch.producer_id,
        batch.producer_epoch,  batch.base_sequence, batch.record_count};
    if (cluster->mutant.lose_every > 0 &&
        cluster->requests[API_PRODUCE] % cluster->mutant.lose_every == 0) {
        partition->batches[partition->batch_count - 1].size = 0;
        return 0; /* its numbers are kept, its records are not */
    }
    partition->log_size += records.size;
    partition->end_offset += batch.last_offset_delta + 1;
    return 0;
}

/* 0 and the partition, or why this broker cannot serve it. */
static int16_t partition_of(struct call *call, struct str name, struct uuid id, int32_t index,
                            struct fake_partition **ret_partition)
{
    struct fake_cluster *cluster = call->broker->cluster;
    bool named = name.size > 0 ? str_equal(name, STR("t")) : uuid_equal(id, cluster->topic_id);
    if (!named || !cluster->topic_exists || index < 0 || index >= FAKE_PARTITIONS)
        return name.size > 0 ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID;
    *ret_partition = &cluster->partitions[index];
    return cluster->partitions[index].leader_id == call->broker->id ? 0
                                                                    : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

/* ---- answers ---- */

static void exchange_done(struct exchange *exchange)
{
    struct call *call = container_of(exchange, struct call, exchange);
    loop_timer_cancel(&call->broker->loop, &call->timer);
    arena_close(&call->arena);
    free(call);
}

static void send_answer(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct call *call = container_of(timer, struct call, timer);
    exchange_finish(&call->exchange, &call->piece, 1);
}

static void answer(struct call *call, const void *response, int16_t version)
{
    const struct fake_fault *fault = call->fault;
    struct writer out = {0};
    write_int32(&out, 0);
    must(response_header_encode(call->api, call->version, call->correlation_id, &out) == 0);
    must(message_encode(call->api->response, version, response, &out, NULL) == 0);
    if (fault && fault->garbage)
        memset(out.data + 8, 0xf7, out.size - 8);
    store_be32(out.data, (uint32_t)(out.size - 4));
    struct buf *frame = buf_adopt(out.data, out.size, out.capacity);
    must(frame);
    call->piece = (struct out_piece){.buf = frame, .size = frame->size};
    if (fault && fault->close) {
        conn_close(call->conn, "a fault");
        exchange_finish(&call->exchange, &call->piece, 1);
    } else if (fault && fault->silent) {
        /* Never: it ends with the broker. */
        buf_unref(frame);
    } else if (fault && fault->delay_ms > 0) {
        loop_timer_set(&call->broker->loop, &call->timer,
                       call->broker->loop.now_ns + fault->delay_ms * 1000000ll);
    } else {
        exchange_finish(&call->exchange, &call->piece, 1);
    }
}

static void answer_api_versions(struct call *call)
{
    struct fake_cluster *cluster = call->broker->cluster;
    static const int16_t keys[] = {API_PRODUCE,  API_FETCH,        API_LIST_OFFSETS,
                                   API_METADATA, API_API_VERSIONS, API_INIT_PRODUCER_ID};
    struct api_versions_response response;
    struct api_versions_response_api_version items[6];
    api_versions_response_init(&response);
    bool known = call->version <= cluster->api_versions_max;
    response.error_code = known ? KAFKA_NONE : KAFKA_UNSUPPORTED_VERSION;
    response.api_keys.items = items;
    response.api_keys.count = cluster->no_producer_ids ? 5 : 6;
    for (int i = 0; i < 6; i++) {
        const struct api *api = api_find(keys[i]);
        api_versions_response_api_version_init(&items[i]);
        items[i].api_key = keys[i];
        items[i].min_version = api->min_version;
        items[i].max_version = api->max_version;
        if (keys[i] == API_API_VERSIONS)
            items[i].max_version = cluster->api_versions_max;
        if (keys[i] == API_PRODUCE)
            items[i].max_version = cluster->produce_max;
        if (keys[i] == API_FETCH)
            items[i].max_version = cluster->fetch_max;
    }
    answer(call, &response, known ? call->version : 0);
}

static void answer_metadata(struct call *call, const struct metadata_request *request)
{
    struct fake_cluster *cluster = call->broker->cluster;
    struct metadata_response response;
    struct arena *arena = &call->arena;
    char *hosts[FAKE_BROKERS_MAX];
    metadata_response_init(&response);
    response.throttle_time_ms = cluster->throttle_ms;
    response.cluster_id = STR("fake-cluster");
    response.controller_id = 0;
    response.brokers.items = metadata_response_broker_array(arena, cluster->broker_count);
    response.brokers.count = cluster->broker_count;
    for (int i = 0; i < cluster->broker_count; i++) {
        hosts[i] = arena_alloc(arena, 16);
        strcpy(hosts[i], sim_node_name(cluster->nodes[i]));
        response.brokers.items[i].node_id = i;
        response.brokers.items[i].host = str_of(hosts[i]);
        response.brokers.items[i].port = cluster->ports[i];
    }
    int32_t count = request->topics.count > 0 ? request->topics.count : 0;
    response.topics.items = metadata_response_topic_array(arena, count);
    response.topics.count = count;
    for (int32_t t = 0; t < count; t++) {
        struct metadata_response_topic *topic = &response.topics.items[t];
        topic->name = request->topics.items[t].name;
        if (!cluster->topic_exists || !str_equal(topic->name, STR("t"))) {
            topic->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        topic->error_code = cluster->topic_error;
        if (topic->error_code != KAFKA_NONE)
            continue;
        topic->topic_id = cluster->topic_id;
        topic->partitions.items = metadata_response_partition_array(arena, FAKE_PARTITIONS);
        topic->partitions.count = FAKE_PARTITIONS;
        for (int i = 0; i < FAKE_PARTITIONS; i++) {
            topic->partitions.items[i].partition_index = i;
            topic->partitions.items[i].leader_id = cluster->partitions[i].leader_id;
            topic->partitions.items[i].leader_epoch = cluster->partitions[i].leader_epoch;
            topic->partitions.items[i].replica_nodes.items = &cluster->partitions[i].leader_id;
            topic->partitions.items[i].replica_nodes.count = 1;
        }
    }
    answer(call, &response, call->version);
}

/* The error that a fault wants instead, or `error`. */
static int16_t faulty(const struct call *call, int16_t error)
{
    return call->fault && call->fault->error ? call->fault->error : error;
}

static bool does_it(const struct call *call)
{
    return !call->fault || !call->fault->error || call->fault->after;
}

static void answer_produce(struct call *call, const struct produce_request *request)
{
    const struct produce_request_topic_produce_data *topic = &request->topic_data.items[0];
    const struct produce_request_partition_produce_data *data = &topic->partition_data.items[0];
    struct produce_response response;
    struct produce_response_topic_produce_response result;
    struct produce_response_partition_produce_response part;
    struct produce_response_node_endpoint endpoint;
    struct fake_partition *partition;
    produce_response_init(&response);
    produce_response_topic_produce_response_init(&result);
    produce_response_partition_produce_response_init(&part);
    int16_t error = partition_of(call, topic->name, topic->topic_id, data->index, &partition);
    part.index = data->index;
    part.base_offset = -1;
    if (error == 0 && does_it(call))
        error = append(call->broker->cluster, partition, data->records, &part.base_offset);
    part.error_code = faulty(call, error);
    bool moved = part.error_code == KAFKA_NOT_LEADER_OR_FOLLOWER && call->fault &&
                 call->fault->tell_leader && call->version >= 10;
    if (moved) {
        part.current_leader.leader_id = partition->leader_id;
        part.current_leader.leader_epoch = partition->leader_epoch;
        produce_response_node_endpoint_init(&endpoint);
        endpoint.node_id = partition->leader_id;
        endpoint.host = str_of(sim_node_name(call->broker->cluster->nodes[partition->leader_id]));
        endpoint.port = call->broker->cluster->ports[partition->leader_id];
        response.node_endpoints.items = &endpoint;
        response.node_endpoints.count = 1;
    }
    result.name = topic->name;
    result.topic_id = topic->topic_id;
    result.partition_responses.items = &part;
    result.partition_responses.count = 1;
    response.responses.items = &result;
    response.responses.count = 1;
    response.throttle_time_ms = call->broker->cluster->throttle_ms;
    answer(call, &response, call->version);
}

static void read_log(const struct fake_partition *partition, int64_t offset, int32_t max_bytes,
                     struct fetch_response_partition_data *part)
{
    for (int i = 0; i < partition->batch_count; i++) {
        const struct fake_batch *batch = &partition->batches[i];
        if (batch->size == 0 || batch->base_offset + batch->count <= offset)
            continue;
        int32_t size = partition->log_size - batch->position;
        part->records.data = partition->log + batch->position;
        /* The first batch comes whole, whatever was asked for (KIP-74). */
        int32_t most = max_bytes > batch->size ? max_bytes : batch->size;
        part->records.size = size < most ? size : most;
        return;
    }
}

static void answer_fetch(struct call *call, const struct fetch_request *request)
{
    const struct fetch_request_topic *topic = &request->topics.items[0];
    const struct fetch_request_partition *asked = &topic->partitions.items[0];
    struct fetch_response response;
    struct fetch_response_fetchable_topic_response result;
    struct fetch_response_partition_data part;
    struct fake_partition *partition;
    fetch_response_init(&response);
    fetch_response_fetchable_topic_response_init(&result);
    fetch_response_partition_data_init(&part);
    part.partition_index = asked->partition;
    part.error_code =
        partition_of(call, topic->topic, topic->topic_id, asked->partition, &partition);
    if (part.error_code == 0) {
        part.high_watermark = part.last_stable_offset = partition->end_offset;
        part.log_start_offset = 0;
        part.records = (struct records){.data = partition->log, .size = 0};
        if (asked->fetch_offset < 0 || asked->fetch_offset > partition->end_offset)
            part.error_code = KAFKA_OFFSET_OUT_OF_RANGE;
        else
            read_log(partition, asked->fetch_offset, asked->partition_max_bytes, &part);
    }
    if (call->broker->cluster->mutant.watermark_wobbles && part.high_watermark > 10 &&
        part.records.size == 0 && call->broker->cluster->requests[API_FETCH] % 7 == 0)
        part.high_watermark -= 5;
    part.error_code = faulty(call, part.error_code);
    result.topic = topic->topic;
    result.topic_id = topic->topic_id;
    result.partitions.items = &part;
    result.partitions.count = 1;
    response.responses.items = &result;
    response.responses.count = 1;
    answer(call, &response, call->version);
}

static void answer_list_offsets(struct call *call, const struct list_offsets_request *request)
{
    const struct list_offsets_request_partition *asked =
        &request->topics.items[0].partitions.items[0];
    struct list_offsets_response response;
    struct list_offsets_response_topic_response result;
    struct list_offsets_response_partition_response part;
    struct fake_partition *partition;
    list_offsets_response_init(&response);
    list_offsets_response_topic_response_init(&result);
    list_offsets_response_partition_response_init(&part);
    part.partition_index = asked->partition_index;
    part.error_code = partition_of(call, request->topics.items[0].name, (struct uuid){{0}},
                                   asked->partition_index, &partition);
    if (part.error_code == 0)
        part.offset = asked->timestamp == -2 ? 0 : partition->end_offset;
    part.error_code = faulty(call, part.error_code);
    result.name = request->topics.items[0].name;
    result.partitions.items = &part;
    result.partitions.count = 1;
    response.topics.items = &result;
    response.topics.count = 1;
    answer(call, &response, call->version);
}

static void answer_init_producer_id(struct call *call)
{
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    response.error_code = faulty(call, 0);
    response.producer_id = response.error_code ? -1 : call->broker->cluster->next_producer_id++;
    response.producer_epoch = response.error_code ? -1 : 0;
    answer(call, &response, call->version);
}

static void take_fault(struct call *call)
{
    struct fake_cluster *cluster = call->broker->cluster;
    for (size_t i = 0; i < sizeof cluster->faults / sizeof *cluster->faults; i++) {
        struct fake_fault *fault = &cluster->faults[i];
        if (fault->count == 0 || fault->key != call->api->key)
            continue;
        fault->count--;
        call->fault_copy = *fault;
        call->fault = &call->fault_copy;
        return;
    }
}

static void dispatch(struct call *call, const void *request)
{
    switch (call->api->key) {
    case API_API_VERSIONS:
        answer_api_versions(call);
        break;
    case API_METADATA:
        answer_metadata(call, request);
        break;
    case API_PRODUCE:
        answer_produce(call, request);
        break;
    case API_FETCH:
        answer_fetch(call, request);
        break;
    case API_LIST_OFFSETS:
        answer_list_offsets(call, request);
        break;
    case API_INIT_PRODUCER_ID:
        answer_init_producer_id(call);
        break;
    default:
        must(false);
    }
}

static bool on_frame(struct conn *conn, struct buf *frame)
{
    struct fake_broker *broker = conn->set->owner;
    struct reader in = reader_of(frame->data, frame->size);
    struct request_header header;
    struct call *call = calloc(1, sizeof *call);
    must(call && request_header_decode(&in, &header, &call->api) == 0);
    call->broker = broker;
    call->conn = conn;
    call->version = header.request_api_version;
    call->correlation_id = header.correlation_id;
    arena_init(&call->arena, 0);
    loop_timer_init(&call->timer, send_answer);
    exchange_begin(conn, &call->exchange, exchange_done);
    broker->cluster->requests[call->api->key]++;
    take_fault(call);
    void *request = arena_alloc(&call->arena, message_struct_size(call->api->request));
    bool known =
        call->api->key != API_API_VERSIONS || call->version <= broker->cluster->api_versions_max;
    must(!known ||
         message_decode(call->api->request, call->version, &in, &call->arena, request) == 0);
    must(!known || reader_left(&in) == 0);
    dispatch(call, request);
    conn_set_release(conn->set, frame);
    return true;
}

static void on_listener(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    (void)events;
    struct fake_broker *broker = container_of(watch, struct fake_broker, listener);
    struct net_address peer;
    struct conn *conn;
    int sock = env_accept(loop->env, watch->sock, &peer);
    if (sock < 0)
        return;
    broker->cluster->connections++;
    must(conn_accept(&broker->conns, sock, &peer, broker, &conn) == 0);
}

static const struct conn_ops ops = {.frame = on_frame};

static void drop_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    (void)line;
    (void)size;
}

static void run(struct env *env, void *context)
{
    struct fake_cluster *cluster = context;
    struct fake_broker *broker = calloc(1, sizeof *broker);
    struct net_address address;
    struct conn_limits limits = {.frame_max_bytes = 1 << 20,
                                 .inflight_max = 100,
                                 .output_max_bytes = 1 << 24,
                                 .send_buffer_bytes = -1,
                                 .receive_buffer_bytes = -1};
    must(broker);
    broker->cluster = cluster;
    while (sim_env(cluster->nodes[broker->id]) != env)
        broker->id++;
    broker->budget.limit_bytes = 1 << 24;
    broker->say = (struct say){.write = drop_line};
    must(loop_init(&broker->loop, env, 0) == 0);
    must(conn_set_init(&broker->conns, &broker->loop, &ops, &limits, &broker->budget,
                       &broker->say) == 0);
    broker->conns.owner = broker;
    must(net_address_parse("0.0.0.0", cluster->ports[broker->id], &address) == 0);
    broker->listener =
        (struct loop_sock){.sock = env_listen(env, &address, 10), .ready = on_listener};
    must(broker->listener.sock >= 0);
    must(loop_sock_add(&broker->loop, &broker->listener, ENV_POLL_IN) == 0);
    while (loop_turn(&broker->loop))
        ;
}

void fake_broker_start(struct fake_cluster *cluster, int id)
{
    sim_start(cluster->nodes[id], run, cluster);
}
