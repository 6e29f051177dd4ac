/* bench/rdk: batched producing and plain reading through librdkafka, as its users run it.
 *
 *   rdk produce -b HOST:PORT -t TOPIC -n RECORDS -s SIZE [-X key=value…]
 *   rdk consume -b HOST:PORT -t TOPIC -n RECORDS -P PARTITIONS [-c CONSUMERS] [-X key=value…]
 *   rdk groups -b HOST:PORT -t TOPIC -c GROUPS -g PREFIX [-X key=value…]
 *
 * Settings are librdkafka's defaults but for -X. `consume` reads all partitions from the start
 * without a group; with -c several consumers each read the n records. One line of JSON.
 *
 * `groups` is one consumer in each of so many groups, which are called PREFIX-0, PREFIX-1 and so
 * on, until standard input ends: a line of JSON when each has its partitions, and one at the end.
 */
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS_MAX 32
#define PAYLOADS 1024
#define CONSUME_AT_ONCE 4096
#define IDLE_LIMIT_NS (20 * 1000000000ll)
#define QUEUE_POLL_MS 5
#define GROUPS_POLL_MS 100 /* between two looks at every consumer's queue */
#define GROUPS_LIMIT_NS (60 * 1000000000ll)

struct options {
    const char *bootstrap, *topic, *group;
    long records;
    int size, partitions, consumers;
    int setting_count;
    char *settings[SETTINGS_MAX];
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static double own_cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "rdk: %s: %s\n", what, why);
    exit(1);
}

static rd_kafka_conf_t *make_conf(const struct options *options)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", options->bootstrap, why, sizeof why))
        die("bootstrap.servers", why);
    for (int i = 0; i < options->setting_count; i++) {
        char *key = strdup(options->settings[i]), *equals = key ? strchr(key, '=') : NULL;
        if (!equals)
            die("want key=value", options->settings[i]);
        *equals = 0;
        if (rd_kafka_conf_set(conf, key, equals + 1, why, sizeof why))
            die(key, why);
        free(key);
    }
    return conf;
}

static rd_kafka_t *make(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (!client)
        die("rd_kafka_new", why);
    return client;
}

/* Text like log events: it compresses about as real payloads do. */
static char *make_payload(int size, uint32_t seed)
{
    char *payload = malloc((size_t)size + 1);
    for (int at = 0; payload && at < size;) {
        char line[128];
        seed = seed * 1664525u + 1013904223u;
        int n =
            snprintf(line, sizeof line, "{\"user\":%u,\"action\":\"%s\",\"page\":\"/item/%u\"}\n",
                     seed >> 8, seed & 0x10000 ? "view" : "order", (seed >> 20) % 1000);
        n = n < size - at ? n : size - at;
        memcpy(payload + at, line, (size_t)n);
        at += n;
    }
    return payload;
}

struct deliveries {
    long acknowledged, failed;
    const char *why;
};

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct deliveries *deliveries = opaque;
    (void)client;
    if (message->err) {
        deliveries->failed++;
        deliveries->why = rd_kafka_err2str(message->err);
    } else {
        deliveries->acknowledged++;
    }
}

static int produce(const struct options *options)
{
    struct deliveries deliveries = {0};
    char *payloads[PAYLOADS];
    for (int i = 0; i < PAYLOADS; i++)
        payloads[i] = make_payload(options->size, (uint32_t)i + 1);
    rd_kafka_conf_t *conf = make_conf(options);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_opaque(conf, &deliveries);
    rd_kafka_t *client = make(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, options->topic, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, topic, &metadata, 10000);
    if (err)
        die("metadata", rd_kafka_err2str(err));
    rd_kafka_metadata_destroy(metadata);
    double cpu_s = own_cpu_s();
    int64_t start_ns = now_ns();
    for (long i = 0; i < options->records; i++) {
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                payloads[i % PAYLOADS], (size_t)options->size, NULL, 0, NULL) < 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                die("produce", rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(client, QUEUE_POLL_MS);
        }
        if (i % 1024 == 0)
            rd_kafka_poll(client, 0);
    }
    while (deliveries.acknowledged + deliveries.failed < options->records)
        rd_kafka_poll(client, QUEUE_POLL_MS);
    double wall_s = (double)(now_ns() - start_ns) / 1e9;
    double bytes = (double)deliveries.acknowledged * options->size;
    printf("{\"mode\":\"produce\",\"records\":%ld,\"failed\":%ld,\"bytes\":%.0f,\"wall_s\":%.4f,"
           "\"per_s\":%.0f,\"MB_s\":%.2f,\"client_cpu_s\":%.4f}\n",
           deliveries.acknowledged, deliveries.failed, bytes, wall_s,
           (double)deliveries.acknowledged / wall_s, bytes / wall_s / 1e6, own_cpu_s() - cpu_s);
    if (deliveries.failed > 0)
        die("not delivered", deliveries.why);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return 0;
}

struct consumer {
    const struct options *options;
    pthread_t thread;
    long records;
    double bytes;
    int64_t first_ns, last_ns;
};

static void *consume_all(void *argument)
{
    struct consumer *consumer = argument;
    const struct options *options = consumer->options;
    rd_kafka_t *client = make(RD_KAFKA_CONSUMER, make_conf(options));
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, options->topic, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_message_t **messages = calloc(CONSUME_AT_ONCE, sizeof(rd_kafka_message_t *));
    for (int i = 0; i < options->partitions; i++)
        if (rd_kafka_consume_start_queue(topic, i, RD_KAFKA_OFFSET_BEGINNING, queue) < 0)
            die("consume", rd_kafka_err2str(rd_kafka_last_error()));
    int64_t active_ns = now_ns();
    while (consumer->records < options->records && now_ns() - active_ns < IDLE_LIMIT_NS) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages, CONSUME_AT_ONCE);
        if (count > 0)
            active_ns = now_ns();
        if (count > 0 && consumer->first_ns == 0)
            consumer->first_ns = active_ns;
        for (ssize_t i = 0; i < count; i++) {
            if (!messages[i]->err) {
                consumer->records++;
                consumer->bytes += (double)messages[i]->len;
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    consumer->last_ns = now_ns();
    for (int i = 0; i < options->partitions; i++)
        rd_kafka_consume_stop(topic, i);
    free(messages);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return NULL;
}

static int consume(const struct options *options)
{
    struct consumer *consumers = calloc((size_t)options->consumers, sizeof *consumers);
    double cpu_s = own_cpu_s(), bytes = 0;
    int64_t start_ns = now_ns(), last_ns = 0, first_ns = INT64_MAX;
    long records = 0, wanted = options->records * options->consumers;
    for (int i = 0; i < options->consumers; i++) {
        consumers[i].options = options;
        if (pthread_create(&consumers[i].thread, NULL, consume_all, &consumers[i]) != 0)
            die("pthread_create", "failed");
    }
    for (int i = 0; i < options->consumers; i++) {
        pthread_join(consumers[i].thread, NULL);
        records += consumers[i].records;
        bytes += consumers[i].bytes;
        last_ns = consumers[i].last_ns > last_ns ? consumers[i].last_ns : last_ns;
        first_ns = consumers[i].first_ns < first_ns ? consumers[i].first_ns : first_ns;
    }
    double wall_s = (double)(last_ns - start_ns) / 1e9;
    printf("{\"mode\":\"consume\",\"records\":%ld,\"bytes\":%.0f,\"wall_s\":%.4f,"
           "\"first_ms\":%.2f,\"MB_s\":%.2f,\"MB_s_after_first\":%.2f,\"client_cpu_s\":%.4f}\n",
           records, bytes, wall_s, (double)(first_ns - start_ns) / 1e6, bytes / wall_s / 1e6,
           bytes / (double)(last_ns - first_ns) * 1e3, own_cpu_s() - cpu_s);
    free(consumers);
    return records < wanted;
}

struct groups {
    rd_kafka_t **consumers;
    int count, assigned;
};

static void rebalanced(rd_kafka_t *consumer, rd_kafka_resp_err_t event,
                       rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct groups *groups = opaque;
    bool gained = event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    rd_kafka_assign(consumer, gained ? partitions : NULL);
    groups->assigned += gained ? 1 : -1;
}

static void groups_join(struct groups *groups, const struct options *options)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, options->topic, RD_KAFKA_PARTITION_UA);
    for (int i = 0; i < groups->count; i++) {
        char name[128], why[512];
        snprintf(name, sizeof name, "%s-%d", options->group, i);
        rd_kafka_conf_t *conf = make_conf(options);
        if (rd_kafka_conf_set(conf, "group.id", name, why, sizeof why))
            die("group.id", why);
        rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
        rd_kafka_conf_set_opaque(conf, groups);
        groups->consumers[i] = make(RD_KAFKA_CONSUMER, conf);
        rd_kafka_poll_set_consumer(groups->consumers[i]);
        rd_kafka_resp_err_t err = rd_kafka_subscribe(groups->consumers[i], topics);
        if (err)
            die("subscribe", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(topics);
}

/* Rebalances are served here. Records would be a mistake: the topic is to be empty. */
static void groups_serve(const struct groups *groups)
{
    for (int i = 0; i < groups->count; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(groups->consumers[i], 0);
        if (message && !message->err)
            die("groups", "there are records");
        if (message)
            rd_kafka_message_destroy(message);
    }
}

/* After a while; true when standard input has ended. */
static bool input_ended(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char byte;
    return poll(&input, 1, GROUPS_POLL_MS) > 0 && read(0, &byte, 1) <= 0;
}

/* A consumer has some ten. */
static void raise_descriptors(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int idle_groups(const struct options *options)
{
    struct groups groups = {.count = options->consumers};
    groups.consumers = calloc((size_t)groups.count, sizeof *groups.consumers);
    raise_descriptors();
    int64_t start_ns = now_ns();
    groups_join(&groups, options);
    while (groups.assigned < groups.count && now_ns() - start_ns < GROUPS_LIMIT_NS) {
        if (input_ended())
            die("groups", "the input ended before each consumer had its partitions");
        groups_serve(&groups);
    }
    if (groups.assigned < groups.count)
        die("groups", "not each consumer was given partitions");
    int64_t ready_ns = now_ns();
    double cpu_s = own_cpu_s();
    printf("{\"mode\":\"groups\",\"groups\":%d,\"form_s\":%.3f}\n", groups.count,
           (double)(ready_ns - start_ns) / 1e9);
    fflush(stdout);
    while (!input_ended())
        groups_serve(&groups);
    double wall_s = (double)(now_ns() - ready_ns) / 1e9;
    printf("{\"mode\":\"groups\",\"wall_s\":%.3f,\"assigned\":%d,\"client_cpu_s\":%.4f}\n", wall_s,
           groups.assigned, own_cpu_s() - cpu_s);
    fflush(stdout);
    _exit(groups.assigned < groups.count); /* to leave every group in turn would take minutes */
}

static long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || end == text || value < 1)
        die("not a possible number", text);
    return value;
}

int main(int argc, char **argv)
{
    struct options options = {.records = 1000, .size = 100, .partitions = 1, .consumers = 1};
    int option;
    if (argc < 2)
        die("usage", "rdk produce|consume|groups …");
    const char *mode = argv[1];
    argc--;
    argv++;
    while ((option = getopt(argc, argv, "b:t:n:s:P:c:g:X:")) != -1) {
        switch (option) {
        case 'b':
            options.bootstrap = optarg;
            break;
        case 't':
            options.topic = optarg;
            break;
        case 'n':
            options.records = number(optarg);
            break;
        case 's':
            options.size = (int)number(optarg);
            break;
        case 'P':
            options.partitions = (int)number(optarg);
            break;
        case 'c':
            options.consumers = (int)number(optarg);
            break;
        case 'g':
            options.group = optarg;
            break;
        case 'X':
            if (options.setting_count == SETTINGS_MAX)
                die("-X", "too many");
            options.settings[options.setting_count++] = optarg;
            break;
        default:
            return 2;
        }
    }
    if (!options.bootstrap || !options.topic)
        die("usage", "-b and -t are needed");
    if (strcmp(mode, "produce") == 0)
        return produce(&options);
    if (strcmp(mode, "consume") == 0)
        return consume(&options);
    if (strcmp(mode, "groups") == 0 && options.group)
        return idle_groups(&options);
    die("unknown mode", mode);
}
