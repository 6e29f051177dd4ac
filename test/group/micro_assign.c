/* How long one assignment holds the lock of a shard, with the requests and beside them.
 *
 *   micro-assign [MEMBERS [TOPICS [ASSIGNOR]]]      500, 100, uniform
 *
 * Each member subscribes to about so many of 1,000 topics with 10 partitions, at random. Times are
 * of the CPU, so that other work on the machine does not count. Build it optimised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../metadata/metadata_test.h"
#include "consumer_kit.h"

enum { TOPICS = 1000, PARTITIONS = 10 };

static char names[TOPICS][24];
static const char *assignor = "uniform";
static uint32_t topics_each = 100;

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void make_topics(struct kit *kit)
{
    struct image_builder builder;
    image_unref(kit->image);
    image_builder_init(&builder, NULL);
    for (int t = 0; t < TOPICS; t++) {
        snprintf(names[t], sizeof names[t], "topic-number-%05d", t);
        must(apply_topic_named(&builder, names[t], id_of(t + 1)));
        for (int32_t p = 0; p < PARTITIONS; p++)
            must(apply_partition_of(&builder, id_of(t + 1), p, 1));
    }
    struct image *image = image_builder_snapshot(&builder);
    image->offset = 100;
    kit->image = image;
    image_builder_close(&builder);
    coord_follow(kit->coord, &kit->topic, true);
    kit_turns(kit, 6);
}

/* A member joins, or joins again; what that takes from the begin of the operation to its end. */
static double join(struct kit *kit, int number)
{
    static struct str wanted[TOPICS];
    const struct classic_client client = {
        .client_id = STR("client"), .host = STR("/127.0.0.1"), .random = {{1, 9}}};
    struct consumer_group_heartbeat_request request;
    struct consumer_heartbeat heartbeat;
    struct arena arena;
    char id[32];
    uint64_t random = (uint64_t)number * 7919 + 1;
    arena_init(&arena, 0);
    snprintf(id, sizeof id, "member-%015d", number);
    consumer_group_heartbeat_request_init(&request);
    request.group_id = STR("g");
    request.member_id = str_of(id);
    request.rebalance_timeout_ms = 300000;
    request.server_assignor = str_of(assignor);
    request.subscribed_topic_names = (struct str_array){wanted, 0};
    request.topic_partitions.count = 0;
    for (int t = 0; t < TOPICS; t++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        if ((uint32_t)(random >> 33) % TOPICS < topics_each)
            wanted[request.subscribed_topic_names.count++] = str_of(names[t]);
    }
    consumer_heartbeat_init(&heartbeat, &request, 1, &client, &arena);
    double began = cpu_ms();
    must(group_kit_run(kit, &heartbeat.op) == 0);
    double took = cpu_ms() - began;
    arena_close(&arena);
    return took;
}

static void beside(struct kit *kit, int member, const char *what)
{
    kit->broker.group_consumer_assignor_offload = true;
    kit->jobs_held = true;
    double begins = join(kit, member);
    kit_turns(kit, 3);
    double began = cpu_ms();
    kit_run_jobs(kit);
    double worked = cpu_ms() - began;
    began = cpu_ms();
    kit_turns(kit, 3);
    printf("  %-34s %.1f, pool %.1f, records %.1f\n", what, begins, worked, cpu_ms() - began);
    kit->jobs_held = false;
    kit_turns(kit, 6);
    const struct consumer_group *consumer = consumer_group_of(group_kit_group(kit, "g"));
    must(consumer->assignment_epoch == consumer->epoch);
}

int main(int argc, char **argv)
{
    int members = argc > 1 ? atoi(argv[1]) : 500;
    struct kit *kit = calloc(1, sizeof *kit);
    must(kit);
    topics_each = argc > 2 ? (uint32_t)atoi(argv[2]) : topics_each;
    assignor = argc > 3 ? argv[3] : assignor;
    consumer_kit_init(kit);
    kit->settings.max_message_bytes = 64 << 20;
    make_topics(kit);
    kit->broker.group_consumer_max_assignment_interval_ms = INT32_MAX;
    kit->broker.group_consumer_assignment_interval_ms = INT32_MAX;
    double last = 0;
    for (int m = 0; m < members; m++)
        last = join(kit, m);
    printf("%d members, %u of %d topics with %d partitions each, %s; ms of CPU\n", members,
           topics_each, TOPICS, PARTITIONS, assignor);
    printf("  a join without an assignment       %.1f\n", last);
    kit->broker.group_consumer_assignment_interval_ms = 0;
    beside(kit, 0, "beside, all of the group");
    beside(kit, members, "beside, one member more");
    kit->broker.group_consumer_assignor_offload = false;
    printf("  at once, one member more           %.1f\n", join(kit, members + 1));
    consumer_kit_close(kit);
    free(kit);
    return 0;
}
