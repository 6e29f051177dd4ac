/* A controller through crashes: topics are created, grown and deleted, several at a time, while the
 * node is killed or loses power at any call to its environment.
 *
 * What is checked at every start: what was answered is so; what was under way is there whole or not
 * at all; nobody's topic changes its id; broker epochs and blocks of producer ids never come twice.
 */
#include "controller_test.h"

#include "sim/sim_main.h"

enum {
    NAMES = 30,
    AT_ONCE = 4,
    LIVES = 10,
    CALLS_PER_LIFE = 900,
    LARGE = 10000, /* with its topic's record more than a batch holds */
};

/* What the test knows of one name: the partitions it surely has, or, while an op was under way at a
 * crash, may have. -1: it may be absent, or is. */
struct expectation {
    int32_t certain; /* partitions; 0 absent; -1: see maybe */
    int32_t maybe[2];
    struct uuid id; /* once known */
};

struct history {
    struct expectation names[NAMES];
    int64_t broker_epoch;
    int64_t next_producer_id;
    int32_t starts;
    int32_t answers;
};

static void name_text(int index, char text[8])
{
    snprintf(text, 8, "t%d", index);
}

static void check_image(struct history *history, const struct image *image)
{
    int32_t topics = 0;
    for (int i = 0; i < NAMES; i++) {
        char text[8];
        struct expectation *expected = &history->names[i];
        name_text(i, text);
        const struct topic_image *topic = image_topic_named(image, str_of(text));
        int32_t count = topic ? topic_partition_count(topic) : 0;
        if (expected->certain >= 0)
            must(count == expected->certain);
        else
            must(count == expected->maybe[0] || count == expected->maybe[1]);
        if (topic && !uuid_is_zero(expected->id))
            must(uuid_equal(topic->id, expected->id));
        expected->certain = count;
        expected->id = topic ? topic->id : (struct uuid){{0}};
        for (int32_t p = 0; p < count; p++)
            must(topic_partition(topic, p));
        topics += topic != NULL;
    }
    must(image_topic_count(image) == topics);
}

/* One op under way, on a name of its own. */
struct running {
    struct test_op op;
    int name; /* -1: none */
    int32_t before;
    int32_t after;
    struct create_topics_request create;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_response created;
    struct delete_topics_request delete;
    struct delete_topics_request_delete_topic_state state;
    struct delete_topics_response deleted;
    struct create_partitions_request grow;
    struct create_partitions_request_topic more;
    struct create_partitions_response grown;
    struct arena arena;
    char text[8];
};

static void submit(struct test_cluster *cluster, struct running *running, int16_t api_key,
                   const void *request, void *response)
{
    cluster_submit(cluster, api_key, request, response, &running->op);
    running->op.op.arena = &running->arena;
}

static void begin(struct test_cluster *cluster, struct history *history, struct running *running,
                  uint32_t dice)
{
    int name = (int)(dice % NAMES);
    struct expectation *expected = &history->names[name];
    if (expected->certain < 0)
        return; /* another op is at it */
    dice /= NAMES;
    running->name = name;
    running->before = expected->certain;
    name_text(name, running->text);
    struct str text = str_of(running->text);
    arena_reset(&running->arena, 0);
    if (running->before == 0) {
        running->after = dice % 60 == 0 ? LARGE : (int32_t)(dice % 5) + 1;
        create_topics_request_init(&running->create);
        create_topics_request_creatable_topic_init(&running->topic);
        running->topic.name = text;
        running->topic.num_partitions = running->after;
        running->topic.replication_factor = 1;
        running->create.topics.items = &running->topic;
        running->create.topics.count = 1;
        running->create.timeout_ms = 1000000;
        submit(cluster, running, API_CREATE_TOPICS, &running->create, &running->created);
    } else if (dice % 3 == 0 && running->before < 20) {
        running->after = running->before + 2;
        create_partitions_request_init(&running->grow);
        create_partitions_request_topic_init(&running->more);
        running->more.name = text;
        running->more.count = running->after;
        running->more.assignments.count = -1;
        running->grow.topics.items = &running->more;
        running->grow.topics.count = 1;
        running->grow.timeout_ms = 1000000;
        submit(cluster, running, API_CREATE_PARTITIONS, &running->grow, &running->grown);
    } else {
        running->after = 0;
        delete_topics_request_init(&running->delete);
        delete_topics_request_delete_topic_state_init(&running->state);
        running->state.name = text;
        running->delete.topics.items = &running->state;
        running->delete.topics.count = 1;
        running->delete.timeout_ms = 1000000;
        submit(cluster, running, API_DELETE_TOPICS, &running->delete, &running->deleted);
    }
    expected->certain = -1;
    expected->maybe[0] = running->before;
    expected->maybe[1] = running->after;
    if (running->before == 0 || running->after == 0)
        expected->id = (struct uuid){{0}};
}

static void collect(struct test_cluster *cluster, struct history *history, struct running *running)
{
    if (running->name < 0 || !running->op.done)
        return;
    struct expectation *expected = &history->names[running->name];
    must(running->op.op.result == 0);
    if (running->before == 0) {
        must(running->created.topics.items[0].error_code == 0);
        expected->id = running->created.topics.items[0].topic_id;
    } else if (running->after == 0) {
        must(running->deleted.responses.items[0].error_code == 0);
    } else {
        must(running->grown.results.items[0].error_code == 0);
    }
    /* Whoever was answered sees it. */
    const struct topic_image *topic =
        image_topic_named(cluster_image(cluster), str_of(running->text));
    must((topic ? topic_partition_count(topic) : 0) == running->after);
    expected->certain = running->after;
    running->name = -1;
    history->answers++;
}

static void allocate(struct test_cluster *cluster, struct history *history,
                     const struct test_broker *broker)
{
    struct allocate_producer_ids_request request = {1, broker->epoch};
    struct allocate_producer_ids_response response;
    must(cluster_ask(cluster, API_ALLOCATE_PRODUCER_IDS, &request, &response) == 0);
    must(response.error_code == 0);
    must(response.producer_id_start >= history->next_producer_id);
    history->next_producer_id = response.producer_id_start + response.producer_id_len;
}

static void live(struct env *env, void *context)
{
    struct history *history = context;
    struct test_cluster *cluster = malloc(sizeof *cluster);
    struct running *running = calloc(AT_ONCE, sizeof *running);
    bool formatted;
    must(cluster && running);
    must(quorum_is_formatted(env, TEST_DIR, &formatted) == 0);
    if (!formatted) {
        must(history->starts == 0);
        cluster_format(env);
    }
    cluster_init(cluster, env);
    cluster->local_broker_id = 1;
    cluster->snapshot_after_bytes = 6000;
    cluster_start(cluster);
    while (!cluster->ready && !cluster->error)
        cluster_turn(cluster);
    must(!cluster->error);
    history->starts++;
    check_image(history, cluster_image(cluster));
    struct test_broker broker = test_broker(1, NULL);
    env_random(env, broker.incarnation.bytes, sizeof broker.incarnation.bytes);
    must(broker_register(cluster, &broker) == 0);
    must(broker.epoch > history->broker_epoch);
    history->broker_epoch = broker.epoch;
    must(!broker_beat(cluster, &broker, false, false).is_fenced);
    allocate(cluster, history, &broker);
    for (int i = 0; i < AT_ONCE; i++) {
        running[i].name = -1;
        arena_init(&running[i].arena, 0);
    }
    for (;;) {
        bool any = false;
        for (int i = 0; i < AT_ONCE; i++) {
            uint32_t dice;
            collect(cluster, history, &running[i]);
            env_random(env, &dice, sizeof dice);
            if (running[i].name < 0 && dice % 2)
                begin(cluster, history, &running[i], dice / 2);
            any |= running[i].name >= 0;
        }
        if (any)
            cluster_turn(cluster);
    }
}

static void run(struct sim *sim, void *context)
{
    (void)context;
    struct history *history = calloc(1, sizeof *history);
    must(history);
    history->broker_epoch = -1;
    struct sim_node *node = sim_node_add(sim, "a");
    for (int life_count = 0; life_count < LIVES; life_count++) {
        enum sim_crash kind = sim_dice(sim, 2) ? SIM_KILL : SIM_POWER;
        sim_start(node, live, history);
        sim_crash_after(node, 1 + (int64_t)sim_dice(sim, CALLS_PER_LIFE), kind);
        must(sim_run_until(sim, life_has_ended, node, INT64_C(3600000000000)));
        sim_restart(node);
    }
    sim_note(sim, "starts %d answers %d", history->starts, history->answers);
    must(history->starts >= 2);
    free(history);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {.name = "controller-crash", .run = run, .seeds = 20};
    return sim_main(argc, argv, &program);
}
