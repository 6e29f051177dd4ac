/* Two loops, their pool, timers, effects and a leadership that changes, on a real disk; meant for
 * ThreadSanitizer. What was acknowledged is there, what is there was sent, and a reader never sees
 * less than was acknowledged before it asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "coord/coord.h"
#include "log/log_dir.h"
#include "os/linux_env.h"
#include "partition/set_private.h"

enum { LOOPS = 2, SHARDS = 3, CLIENTS = 24, OPS = 400, FLIPS = 40, NODE = 1 };

struct world;

/* The state of a shard: how many records of each kind there are. */
struct counts {
    struct coord_shard *shard;
    struct world *world;
    int64_t adds, ticks, last_offset;
    struct coord_timer timer;
    struct coord_effect effect;
};

struct server_loop {
    struct loop loop;
    struct epoch_reader epoch;
};

struct client {
    struct coord_op op;
    struct world *world;
    struct loop *loop;
    struct loop_task again;
    _Atomic bool posted;
    bool active, read, done;
    int left;
    int32_t only; /* uses this shard alone; -1: any */
    uint32_t random;
    int32_t partition;
    int64_t acked_before, seen;
};

struct world {
    struct env *env;
    struct say say;
    struct file_cache *files;
    struct epoch_domain epochs;
    struct server_loop loops[LOOPS];
    struct partition_set set;
    struct topic_settings settings;
    struct broker_settings broker;
    struct topic_image topic;
    struct coord *coord;
    struct client clients[CLIENTS];
    struct loop_task begin, flip, stop;
    int32_t epoch, flips_left;
    _Atomic int64_t acked[SHARDS], unsure[SHARDS], ops_ended, effects;
    _Atomic int64_t found[SHARDS]; /* by the last load */
    _Atomic int32_t clients_left;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* ---- the fold ---- */

static int tick_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                       const struct coord_turn *turn)
{
    (void)timer, (void)state, (void)turn;
    return coord_op_put_bytes(op, (struct bytes){(const uint8_t *)"t", 1}, (struct bytes){0});
}

static void effect_release(struct coord_effect *effect, void *state, struct wakes *wakes)
{
    struct counts *counts = container_of(effect, struct counts, effect);
    must(state == counts && wakes);
    atomic_fetch_add(&counts->world->effects, 1);
}

static void *counts_create(struct coord_shard *shard, void *context)
{
    struct counts *counts = calloc(1, sizeof *counts);
    must(counts);
    counts->shard = shard;
    counts->world = context;
    counts->last_offset = -1;
    coord_timer_init(&counts->timer);
    counts->timer.decide = tick_decide;
    coord_effect_init(&counts->effect, effect_release);
    return counts;
}

static void counts_destroy(void *state)
{
    struct counts *counts = state;
    coord_timer_cancel(counts->shard, &counts->timer);
    coord_effect_cancel(&counts->effect);
    free(counts);
}

static bool counts_apply(void *state, const struct coord_record *record)
{
    struct counts *counts = state;
    must(record->offset > counts->last_offset);
    counts->last_offset = record->offset;
    if (record->key.data[0] == 't')
        counts->ticks++;
    else
        counts->adds++;
    return true;
}

static void counts_loaded(void *state, const struct coord_turn *turn)
{
    struct counts *counts = state;
    atomic_store(&counts->world->found[coord_shard_partition(counts->shard)], counts->adds);
    coord_timer_set(counts->shard, &counts->timer, turn->now_ns + 100000);
}

static const struct coord_fold counts_fold = {
    .name = "counts",
    .topic = "__counts",
    .create = counts_create,
    .destroy = counts_destroy,
    .apply = counts_apply,
    .loaded = counts_loaded,
};

/* ---- clients ---- */

static uint32_t client_random(struct client *client)
{
    client->random = client->random * 1664525 + 1013904223;
    return client->random >> 8;
}

static void client_wake(struct coord_op *op, struct wakes *wakes)
{
    struct client *client = container_of(op, struct client, op);
    if (!atomic_exchange(&client->posted, true))
        loop_post_later(client->loop, &client->again, wakes);
}

static void client_again(struct client *client)
{
    if (!atomic_exchange(&client->posted, true))
        loop_post(client->loop, &client->again);
}

static int client_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct client *client = container_of(op, struct client, op);
    (void)state, (void)turn;
    op->await_offset = coord_shard_applied(op->shard);
    if (client->read)
        return 0;
    return coord_op_put_bytes(op, (struct bytes){(const uint8_t *)"a", 1}, (struct bytes){0});
}

static void client_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                          int error)
{
    struct client *client = container_of(op, struct client, op);
    struct counts *counts = state;
    client->seen = counts->adds;
    if (error != 0 || client->read)
        return;
    if (client_random(client) % 4 == 0)
        coord_timer_set(op->shard, &counts->timer, turn->now_ns + client_random(client) % 200000);
    if (client_random(client) % 4 == 0)
        coord_effect_add(op->shard, &counts->effect);
}

/* False: there is no shard now. */
static bool client_start(struct client *client)
{
    struct world *world = client->world;
    struct coord_shard *shard;
    client->partition =
        client->only >= 0 ? client->only : (int32_t)(client_random(client) % SHARDS);
    if (coord_shard_find(world->coord, client->partition, &shard) != 0)
        return false;
    client->read = client_random(client) % 3 == 0;
    client->acked_before = atomic_load(&world->acked[client->partition]);
    coord_op_init(&client->op);
    client->op.shard = shard;
    client->op.access = client->read ? COORD_READ : COORD_WRITE;
    client->op.decide = client_decide;
    client->op.settle = client_settle;
    client->op.wake = client_wake;
    return true;
}

static void client_ended(struct client *client, int error)
{
    struct world *world = client->world;
    if (client->read) {
        must(error != 0 || client->seen >= client->acked_before);
    } else if (error == 0) {
        atomic_fetch_add(&world->acked[client->partition], 1);
    } else {
        atomic_fetch_add(&world->unsure[client->partition], 1);
    }
    atomic_fetch_add(&world->ops_ended, 1);
    client->active = false;
    client->left--;
}

static void client_done(struct client *client)
{
    struct world *world = client->world;
    client->done = true;
    pthread_mutex_lock(&world->lock);
    atomic_fetch_sub(&world->clients_left, 1);
    pthread_cond_signal(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static void client_run(struct loop *loop, struct loop_task *task)
{
    struct client *client = container_of(task, struct client, again);
    atomic_store(&client->posted, false);
    if (client->done)
        return;
    struct coord_turn turn = {.loop = loop, .now_ns = loop->now_ns, .wall_ms = 1};
    if (!client->active && !(client->active = client_start(client))) {
        client_again(client);
        return;
    }
    int error;
    if (coord_op_run(&client->op, &turn, &error)) {
        client_ended(client, error);
    } else if (client_random(client) % 16 == 0 && coord_op_give_up(&client->op)) {
        client_ended(client, -ECANCELED);
    } else {
        return;
    }
    if (client->left > 0)
        client_again(client);
    else
        client_done(client);
}

/* ---- the node ---- */

static void turn_of(void *server, struct loop *loop, struct coord_turn *ret_turn)
{
    (void)server;
    *ret_turn = (struct coord_turn){.loop = loop, .now_ns = loop->now_ns, .wall_ms = 1};
}

static void turn_begin(struct loop *loop)
{
    epoch_online(&((struct server_loop *)loop->owner)->epoch);
}

static void turn_end(struct loop *loop)
{
    epoch_offline(&((struct server_loop *)loop->owner)->epoch);
}

static struct partition_assignment assignment(struct world *world, int32_t index)
{
    return (struct partition_assignment){.topic_id = world->topic.id,
                                         .topic = world->topic.name,
                                         .index = index,
                                         .leader_id = NODE,
                                         .leader_epoch = world->epoch,
                                         .isr_size = 1,
                                         .replica_count = 1,
                                         .settings = &world->settings};
}

static void partitions_open(struct world *world, const char *path)
{
    struct partition_dir *dir = calloc(1, sizeof *dir);
    must(dir);
    dir->dir = (struct log_dir){.env = world->env, .path = strdup(path), .lock_file = -1};
    world->broker.disk_slow_ms = 1000;
    world->broker.producer_id_expiration_ms = 86400000;
    must(partition_set_init(&world->set, world->env, &world->loops[0].loop, &world->epochs,
                            &world->say, world->files, NODE, dir, 1, &world->broker) == 0);
    for (int32_t i = 0; i < SHARDS; i++) {
        const struct found_log found = {.clean = true};
        struct partition_assignment item = assignment(world, i);
        struct partition *partition = set_partition_create(&world->set, &item);
        must(partition && set_partition_open(partition, &found) == 0);
        must(set_insert(&world->set, partition) == 0);
    }
}

static void begin_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct world *world = container_of(task, struct world, begin);
    coord_follow(world->coord, &world->topic, false);
    for (int i = 0; i < CLIENTS; i++)
        client_again(&world->clients[i]);
    loop_post(loop, &world->flip);
}

/* Lead one partition under a new epoch, after every so many ops. */
static void flip_run(struct loop *loop, struct loop_task *task)
{
    struct world *world = container_of(task, struct world, flip);
    int64_t due = (int64_t)(FLIPS - world->flips_left) * (CLIENTS * OPS / FLIPS);
    if (atomic_load(&world->clients_left) == 0)
        return;
    if (atomic_load(&world->ops_ended) >= due && world->flips_left > 0) {
        world->flips_left--;
        world->epoch++;
        struct partition_assignment item = assignment(world, world->epoch % SHARDS);
        partition_set_apply(&world->set, &item, 1, world->epoch);
        coord_follow(world->coord, &world->topic, true);
    }
    loop_defer(loop, task);
}

static void stop_run(struct loop *loop, struct loop_task *task)
{
    struct world *world = container_of(task, struct world, stop);
    coord_stop(world->coord);
    if (!coord_quiet(world->coord) || !partition_set_quiet(&world->set)) {
        loop_defer(loop, task);
        return;
    }
    pthread_mutex_lock(&world->lock);
    atomic_store(&world->clients_left, -1);
    pthread_cond_signal(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static void wait_for_clients(struct world *world, int32_t left)
{
    pthread_mutex_lock(&world->lock);
    while (atomic_load(&world->clients_left) != left)
        pthread_cond_wait(&world->changed, &world->lock);
    pthread_mutex_unlock(&world->lock);
}

static void world_init(struct world *world, const char *dir, int64_t flush_messages)
{
    *world = (struct world){.flips_left = FLIPS, .epoch = 1};
    world->env = linux_env_create(NULL);
    must(world->env);
    env_say_init(world->env, SAY_ERROR, &world->say);
    world->files = file_cache_create(world->env, 16);
    world->settings = (struct topic_settings){
        .segment_bytes = 1 << 20,
        .segment_ms = INT64_MAX / 2,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .retention_ms = -1,
        .retention_bytes = -1,
        .cleanup_compact = true,
        .flush_messages = flush_messages,
        .flush_ms = INT64_MAX,
        .max_message_bytes = 1000000,
        .min_insync_replicas = 1,
        .compression_type = COMPRESSION_SETTING_PRODUCER,
    };
    world->topic.id = uuid_of(1, 2);
    world->topic.name = STR("__counts");
    world->topic.partitions.size = SHARDS;
    must(pthread_mutex_init(&world->lock, NULL) == 0 &&
         pthread_cond_init(&world->changed, NULL) == 0);
    epoch_init(&world->epochs);
    struct loop *loops[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        struct server_loop *home = &world->loops[i];
        loops[i] = &home->loop;
        must(loop_init(&home->loop, world->env, i) == 0);
        home->loop.owner = home;
        home->loop.turn_begin = turn_begin;
        home->loop.turn_end = turn_end;
        epoch_reader_add(&world->epochs, &home->epoch);
    }
    partitions_open(world, dir);
    const struct coord_params params = {.env = world->env,
                                        .say = &world->say,
                                        .loops = loops,
                                        .loop_count = LOOPS,
                                        .partitions = &world->set,
                                        .epochs = &world->epochs,
                                        .fold = &counts_fold,
                                        .context = world,
                                        .turn = turn_of,
                                        .server = world};
    must(coord_create(&params, &world->coord) == 0);
    world->begin.run = begin_run;
    world->flip.run = flip_run;
    world->stop.run = stop_run;
    atomic_store(&world->clients_left, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        world->clients[i] = (struct client){.world = world,
                                            .loop = loops[i % LOOPS],
                                            .again.run = client_run,
                                            .left = OPS,
                                            .only = -1,
                                            .random = (uint32_t)i * 7919 + 1};
}

static void world_close(struct world *world)
{
    for (int i = 0; i < LOOPS; i++)
        loop_stop(&world->loops[i].loop);
    for (int i = 0; i < LOOPS; i++)
        loop_join(&world->loops[i].loop);
    for (int i = 0; i < LOOPS; i++) {
        epoch_reader_remove(&world->loops[i].epoch);
        loop_close(&world->loops[i].loop);
    }
    coord_destroy(world->coord);
    (void)partition_set_close(&world->set, false, -1);
    epoch_close(&world->epochs);
    file_cache_destroy(world->files);
    linux_env_destroy(world->env);
    pthread_cond_destroy(&world->changed);
    pthread_mutex_destroy(&world->lock);
}

static void run(int64_t flush_messages)
{
    char dir[] = "/tmp/coord-threads-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct world *world = aligned_alloc(64, (sizeof *world + 63) / 64 * 64);
    world_init(world, dir, flush_messages);
    for (int i = 0; i < LOOPS; i++)
        must(loop_start(&world->loops[i].loop, "loop") == 0);
    loop_post(&world->loops[0].loop, &world->begin);
    wait_for_clients(world, 0);
    loop_post(&world->loops[0].loop, &world->stop);
    wait_for_clients(world, -1);
    for (int i = 0; i < SHARDS; i++)
        assert_true(atomic_load(&world->acked[i]) > 0);
    assert_true(atomic_load(&world->effects) > 0);
    int64_t acked[SHARDS], unsure[SHARDS];
    for (int i = 0; i < SHARDS; i++) {
        acked[i] = atomic_load(&world->acked[i]);
        unsure[i] = atomic_load(&world->unsure[i]);
    }
    world_close(world);

    /* Once more, for what the logs hold. */
    world_init(world, dir, flush_messages);
    for (int i = 0; i < LOOPS; i++)
        must(loop_start(&world->loops[i].loop, "loop") == 0);
    for (int i = 0; i < CLIENTS; i++) {
        world->clients[i].left = 1;
        world->clients[i].only = i % SHARDS;
    }
    loop_post(&world->loops[0].loop, &world->begin);
    wait_for_clients(world, 0);
    loop_post(&world->loops[0].loop, &world->stop);
    wait_for_clients(world, -1);
    for (int i = 0; i < SHARDS; i++) {
        int64_t found = atomic_load(&world->found[i]);
        int64_t more = atomic_load(&world->acked[i]) + atomic_load(&world->unsure[i]);
        assert_true(found >= acked[i]);
        assert_true(found <= acked[i] + unsure[i] + more);
    }
    struct env *env = linux_env_create(NULL);
    world_close(world);
    assert_int_equal(env_remove_tree(env, dir), 0);
    linux_env_destroy(env);
    free(world);
}

static void loops_share_shards_while_the_leadership_changes(void **state)
{
    (void)state;
    run(INT64_MAX);
}

static void the_same_when_every_commit_waits_for_the_device(void **state)
{
    (void)state;
    run(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_share_shards_while_the_leadership_changes),
        cmocka_unit_test(the_same_when_every_commit_waits_for_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
