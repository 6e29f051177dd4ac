#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "broker_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/errors.h"
#include "os/linux_env.h"
#include "record/batch.h"
#include "server/fetch_watch.h"

#define ANSWER_MAX_BYTES (64 * 1024 * 1024)
#define OVERRIDES_MAX 32

/* ---- the node ---- */

static void fixture_line(void *context, enum say_level level, const char *line, size_t size)
{
    struct broker_fixture *fixture = context;
    pthread_mutex_lock(&fixture->lock);
    if (size + 1 > sizeof fixture->log - fixture->log_size) {
        size_t half = sizeof fixture->log / 2;
        size_t drop = fixture->log_size > half ? fixture->log_size - half : 0;
        memmove(fixture->log, fixture->log + drop, fixture->log_size - drop);
        fixture->log_size -= drop;
    }
    if (size + 1 <= sizeof fixture->log - fixture->log_size) {
        memcpy(fixture->log + fixture->log_size, line, size);
        fixture->log[fixture->log_size + size] = '\n';
        fixture->log_size += size + 1;
    }
    pthread_mutex_unlock(&fixture->lock);
    if (level == SAY_ERROR || getenv("FIXTURE_LOG"))
        fprintf(stderr, "%.*s\n", (int)size, line);
}

bool broker_fixture_said(struct broker_fixture *fixture, const char *text)
{
    pthread_mutex_lock(&fixture->lock);
    bool said = memmem(fixture->log, fixture->log_size, text, strlen(text));
    pthread_mutex_unlock(&fixture->lock);
    return said;
}

static void fixture_set(struct broker_fixture *fixture, bool *flag, int result)
{
    pthread_mutex_lock(&fixture->lock);
    *flag = true;
    fixture->result = result;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static void on_ready(void *context, struct broker *broker)
{
    struct broker_fixture *fixture = context;
    broker_address(broker, fixture->address);
    fixture_set(fixture, &fixture->ready, 0);
}

static void on_stopped(void *context, struct broker *broker, int result)
{
    struct broker_fixture *fixture = context;
    struct image *image = image_acquire(&broker->publisher);
    const struct broker_image *self = image_broker(image, broker->static_config->settings.node_id);
    fixture->fenced = self && self->fenced;
    image_unref(image);
    fixture_set(fixture, &fixture->stopped, result);
}

static struct broker_config *config_make(const struct broker_fixture *fixture)
{
    char dirs[256];
    snprintf(dirs, sizeof dirs, "log.dirs=%s/data%s%s%s", fixture->dir,
             fixture->two_dirs ? "," : "", fixture->two_dirs ? fixture->dir : "",
             fixture->two_dirs ? "/more" : "");
    const char *all[OVERRIDES_MAX] = {dirs, "listeners=PLAINTEXT://127.0.0.1:0",
                                      "jackdaw.event.loops=2"};
    int32_t count = 3;
    for (int32_t i = 0; fixture->overrides && fixture->overrides[i]; i++) {
        assert_true(count < OVERRIDES_MAX);
        all[count++] = fixture->overrides[i];
    }
    struct config_messages messages = {0};
    struct broker_config *config = NULL;
    int err = broker_config_load((struct bytes){NULL, 0}, all, count, &messages, &config);
    if (err != 0)
        print_error("%s\n", config_messages_error(&messages));
    assert_int_equal(err, 0);
    config_messages_close(&messages);
    return config;
}

static void fixture_end(struct broker_fixture *fixture)
{
    broker_destroy(fixture->broker);
    fixture->broker = NULL;
    linux_env_destroy(fixture->env);
    fixture->env = NULL;
}

int broker_fixture_start(struct broker_fixture *fixture)
{
    struct linux_env_options options = {.pool_threads = 4};
    fixture->ready = fixture->stopped = false;
    fixture->env = linux_env_create(&options);
    assert_non_null(fixture->env);
    if (fixture->prepare)
        fixture->prepare(fixture->env);
    struct broker_config *config = config_make(fixture);
    fixture->say = (struct say){.level = getenv("FIXTURE_LOG") ? SAY_DEBUG : SAY_INFO,
                                .write = fixture_line,
                                .context = fixture};
    assert_int_equal(broker_create(fixture->env, &fixture->say, config, on_ready, on_stopped,
                                   fixture, &fixture->broker),
                     0);
    assert_int_equal(broker_start(fixture->broker), 0);
    pthread_mutex_lock(&fixture->lock);
    while (!fixture->ready && !fixture->stopped)
        pthread_cond_wait(&fixture->changed, &fixture->lock);
    bool ready = fixture->ready;
    int result = fixture->result;
    pthread_mutex_unlock(&fixture->lock);
    if (!ready) {
        fixture_end(fixture);
        assert_int_not_equal(result, 0);
        return result;
    }
    fixture->port = (uint16_t)atoi(strrchr(fixture->address, ':') + 1);
    return 0;
}

void broker_fixture_wait_stopped(struct broker_fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    while (!fixture->stopped)
        pthread_cond_wait(&fixture->changed, &fixture->lock);
    pthread_mutex_unlock(&fixture->lock);
}

int broker_fixture_stop(struct broker_fixture *fixture)
{
    broker_stop(fixture->broker);
    broker_fixture_wait_stopped(fixture);
    int result = fixture->result;
    fixture_end(fixture);
    return result;
}

static struct broker_fixture *fixture_create(const char *const *overrides,
                                             void (*prepare)(struct env *env), bool two_dirs)
{
    struct broker_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/jackdaw-broker-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    fixture->overrides = overrides;
    fixture->prepare = prepare;
    fixture->two_dirs = two_dirs;
    assert_int_equal(broker_fixture_start(fixture), 0);
    return fixture;
}

struct broker_fixture *broker_fixture_create(const char *const *overrides)
{
    return fixture_create(overrides, NULL, false);
}

struct broker_fixture *broker_fixture_create_on(const char *const *overrides,
                                                void (*prepare)(struct env *env))
{
    return fixture_create(overrides, prepare, false);
}

struct broker_fixture *broker_fixture_create_two_dirs(const char *const *overrides,
                                                      void (*prepare)(struct env *env))
{
    return fixture_create(overrides, prepare, true);
}

void broker_fixture_destroy(struct broker_fixture *fixture)
{
    if (fixture->broker)
        assert_int_equal(broker_fixture_stop(fixture), 0);
    struct env *env = linux_env_create(NULL);
    assert_non_null(env);
    assert_int_equal(env_remove_tree(env, fixture->dir), 0);
    linux_env_destroy(env);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->lock);
    free(fixture);
}

/* ---- a client ---- */

int peer_connect(struct broker_fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer >= 0);
    assert_int_equal(connect(peer, (const struct sockaddr *)&address, sizeof address), 0);
    struct timeval patience = {.tv_sec = FIXTURE_PATIENCE_S};
    int on = 1;
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    return peer;
}

void peer_close(int peer)
{
    close(peer);
}

bool peer_send(int peer, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = send(peer, at, size, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        assert_true(n > 0);
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* All of it; false at the end of the connection. */
static bool receive_all(int peer, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        ssize_t n = recv(peer, at, size, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return false;
        assert_true(n > 0); /* else nothing came for FIXTURE_PATIENCE_S */
        at += n;
        size -= (size_t)n;
    }
    return true;
}

uint8_t *peer_receive(int peer, size_t *ret_size)
{
    uint8_t head[4];
    if (!receive_all(peer, head, sizeof head))
        return NULL;
    uint32_t size = load_be32(head);
    assert_true(size <= ANSWER_MAX_BYTES);
    uint8_t *answer = malloc(size + 1);
    assert_non_null(answer);
    if (!receive_all(peer, answer, size)) {
        free(answer);
        return NULL;
    }
    *ret_size = size;
    return answer;
}

bool peer_has_answer(int peer)
{
    struct pollfd poll_in = {.fd = peer, .events = POLLIN};
    return poll(&poll_in, 1, 0) > 0;
}

bool peer_is_closed(int peer)
{
    char byte;
    ssize_t n = recv(peer, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

void request_frame(struct writer *out, int16_t api_key, int16_t version, int32_t correlation_id,
                   const void *request)
{
    const struct api *api = api_find(api_key);
    assert_non_null(api);
    size_t start = out->size;
    struct request_header header = {.request_api_key = api_key,
                                    .request_api_version = version,
                                    .correlation_id = correlation_id,
                                    .client_id = STR("fixture")};
    write_int32(out, 0);
    assert_int_equal(request_header_encode(&header, out), 0);
    assert_int_equal(message_encode(api->request, version, request, out, NULL), 0);
    assert_false(out->failed);
    store_be32(out->data + start, (uint32_t)(out->size - start - 4));
}

void peer_ask(int peer, int16_t api_key, int16_t version, int32_t correlation_id,
              const void *request)
{
    struct writer out = {0};
    request_frame(&out, api_key, version, correlation_id, request);
    assert_true(peer_send(peer, out.data, out.size));
    writer_close(&out);
}

void peer_answer(int peer, struct arena *arena, int16_t api_key, int16_t version,
                 int32_t correlation_id, void *ret_response)
{
    const struct api *api = api_find(api_key);
    size_t size;
    uint8_t *answer = peer_receive(peer, &size);
    assert_non_null(answer);
    uint8_t *kept = arena_alloc(arena, size);
    assert_non_null(kept);
    memcpy(kept, answer, size);
    free(answer);
    struct reader reader = reader_of(kept, size);
    int32_t got;
    assert_int_equal(response_header_decode(api, version, &reader, &got), 0);
    assert_int_equal(got, correlation_id);
    assert_int_equal(message_decode(api->response, version, &reader, arena, ret_response), 0);
    assert_int_equal(reader_left(&reader), 0);
}

void peer_call(int peer, struct arena *arena, int16_t api_key, int16_t version, const void *request,
               void *ret_response)
{
    int32_t correlation_id = 1000 + api_key;
    peer_ask(peer, api_key, version, correlation_id, request);
    peer_answer(peer, arena, api_key, version, correlation_id, ret_response);
}

/* ---- what most tests need ---- */

void peer_create_topic(int peer, const char *name, int32_t partitions)
{
    struct arena arena;
    struct create_topics_request request;
    struct create_topics_response response;
    arena_init(&arena, 0);
    create_topics_request_init(&request);
    request.topics.items = create_topics_request_creatable_topic_array(&arena, 1);
    request.topics.count = 1;
    request.topics.items[0].name = str_of(name);
    request.topics.items[0].num_partitions = partitions;
    request.topics.items[0].replication_factor = 1;
    request.timeout_ms = FIXTURE_PATIENCE_S * 1000;
    peer_call(peer, &arena, API_CREATE_TOPICS, 7, &request, &response);
    assert_int_equal(response.topics.items[0].error_code, 0);
    arena_close(&arena);
}

void peer_delete_topic(int peer, const char *name)
{
    struct arena arena;
    struct delete_topics_request request;
    struct delete_topics_response response;
    struct str text = str_of(name);
    arena_init(&arena, 0);
    delete_topics_request_init(&request);
    request.topic_names = (struct str_array){&text, 1};
    request.timeout_ms = FIXTURE_PATIENCE_S * 1000;
    peer_call(peer, &arena, API_DELETE_TOPICS, 5, &request, &response);
    assert_int_equal(response.responses.items[0].error_code, 0);
    arena_close(&arena);
}

struct bytes fixture_batch_make(struct arena *arena, const struct fixture_batch *batch)
{
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.producer_id = batch->producer_id;
    builder.producer_epoch = batch->producer_epoch;
    builder.base_sequence = batch->base_sequence;
    for (int32_t i = 0; i < batch->count; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "%d", batch->first + i);
        batch_builder_add(&builder, 1700000000000 + i, (struct bytes){NULL, 0},
                          (struct bytes){(uint8_t *)text, n}, NULL, 0);
    }
    assert_int_equal(batch_builder_finish(&builder), 0);
    uint8_t *data = arena_alloc(arena, builder.out.size);
    assert_non_null(data);
    memcpy(data, builder.out.data, builder.out.size);
    struct bytes bytes = {data, (int32_t)builder.out.size};
    batch_builder_close(&builder);
    return bytes;
}

struct bytes fixture_plain_batch(struct arena *arena, int32_t count)
{
    struct fixture_batch batch = {
        .count = count, .producer_id = -1, .producer_epoch = -1, .base_sequence = -1};
    return fixture_batch_make(arena, &batch);
}

const struct produce_request *produce_of(struct arena *arena, const char *topic, int32_t partition,
                                         int16_t acks, struct bytes batch)
{
    struct produce_request *request = arena_alloc(arena, sizeof *request);
    assert_non_null(request);
    produce_request_init(request);
    request->acks = acks;
    request->timeout_ms = FIXTURE_PATIENCE_S * 1000;
    request->topic_data.items = produce_request_topic_produce_data_array(arena, 1);
    request->topic_data.count = 1;
    struct produce_request_topic_produce_data *data = &request->topic_data.items[0];
    data->name = str_of(topic);
    data->partition_data.items = produce_request_partition_produce_data_array(arena, 1);
    data->partition_data.count = 1;
    data->partition_data.items[0].index = partition;
    data->partition_data.items[0].records =
        (struct records){.data = batch.data, .size = batch.size};
    return request;
}

int64_t peer_produce(int peer, const char *topic, int32_t partition, int32_t count)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct bytes batch = fixture_plain_batch(&arena, count);
    struct produce_response response;
    peer_call(peer, &arena, API_PRODUCE, 11, produce_of(&arena, topic, partition, -1, batch),
              &response);
    assert_int_equal(response.responses.count, 1);
    assert_int_equal(response.responses.items[0].partition_responses.items[0].error_code, 0);
    int64_t base = response.responses.items[0].partition_responses.items[0].base_offset;
    arena_close(&arena);
    return base;
}

struct partition *fixture_partition(struct broker_fixture *fixture, const char *topic,
                                    int32_t partition)
{
    struct broker *broker = fixture->broker;
    struct epoch_reader reader;
    struct image *image = image_acquire(&broker->publisher);
    const struct topic_image *found = image_topic_named(image, str_of(topic));
    assert_non_null(found);
    epoch_reader_add(broker->partitions.epochs, &reader);
    epoch_online(&reader);
    struct partition *at = partition_find(&broker->partitions, found->id, partition);
    assert_non_null(at);
    at = partition_ref(at);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    image_unref(image);
    return at;
}

/* Nobody but fetches waits on the high watermark of a partition with one replica. */
static bool is_fetched(struct partition *partition)
{
    bool fetching = false;
    pthread_mutex_lock(&partition->high_watermark.lock);
    list_for_each (node, &partition->high_watermark.waiters) {
        struct waiter *waiter = container_of(node, struct waiter, link);
        struct fetch_watch *watch = container_of(waiter, struct fetch_partition, waiter)->watch;
        pthread_mutex_lock(&watch->lock);
        fetching |= watch->request != NULL;
        pthread_mutex_unlock(&watch->lock);
    }
    pthread_mutex_unlock(&partition->high_watermark.lock);
    return fetching;
}

void fixture_until_fetching(struct broker_fixture *fixture, const char *topic, int32_t partition)
{
    struct partition *at = fixture_partition(fixture, topic, partition);
    int64_t until = env_now_ns(fixture->env) + (int64_t)FIXTURE_PATIENCE_S * 1000000000;
    bool fetching;
    while (!(fetching = is_fetched(at)) && env_now_ns(fixture->env) < until)
        sched_yield();
    partition_unref(at);
    assert_true(fetching);
}

struct fetch_request *fetch_of(struct arena *arena, const char *topic, int32_t partition,
                               int64_t offset)
{
    struct fetch_request *request = arena_alloc(arena, sizeof *request);
    assert_non_null(request);
    fetch_request_init(request);
    request->session_epoch = -1;
    request->max_wait_ms = FIXTURE_PATIENCE_S * 1000;
    request->min_bytes = 1;
    request->max_bytes = 1024 * 1024;
    request->topics.items = fetch_request_topic_array(arena, 1);
    request->topics.count = 1;
    request->topics.items[0].topic = str_of(topic);
    request->topics.items[0].partitions.items = fetch_request_partition_array(arena, 1);
    request->topics.items[0].partitions.count = 1;
    request->topics.items[0].partitions.items[0].partition = partition;
    request->topics.items[0].partitions.items[0].fetch_offset = offset;
    request->topics.items[0].partitions.items[0].partition_max_bytes = 1024 * 1024;
    return request;
}
