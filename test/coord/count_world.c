#include "count_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "coord/coord.h"
#include "log/log_dir.h"
#include "partition/set_private.h"

enum { NODE = 1 };

#define LOOK_NS 100000

/* The state of a shard: how many records of each kind there are. */
struct counts {
    struct coord_shard *shard;
    struct count_world *world;
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
    struct count_world *world;
    struct loop *loop;
    struct loop_task again;
    _Atomic bool posted;
    bool active, read, done;
    int left;
    uint32_t random;
    int32_t partition;
    int64_t acked_before, seen;
};

struct count_world {
    struct count_plan plan;
    struct count_history *history;
    struct env *env;
    struct say say;
    struct file_cache *files;
    struct epoch_domain epochs;
    struct server_loop loops[COUNT_LOOPS];
    struct partition_set set;
    struct topic_settings settings;
    struct broker_settings broker;
    struct topic_image topic;
    struct coord *coord;
    struct client clients[COUNT_CLIENTS];
    struct loop_task begin, stop;
    struct loop_timer flip, stop_timer;
    int32_t flips;
    _Atomic int64_t ops_ended;
    _Atomic int32_t clients_left;
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
    struct count_world *world = counts->world;
    must(state == counts && wakes);
    const struct partition *partition =
        partition_find(&world->set, world->topic.id, coord_shard_partition(counts->shard));
    must(watermark_get(&partition->high_watermark) >= effect->offset);
    must(world->plan.flush_messages > 1 || log_recovery_point(partition->log) >= effect->offset);
    atomic_fetch_add(&world->history->effects, 1);
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
    struct count_history *history = counts->world->history;
    int32_t shard = coord_shard_partition(counts->shard);
    must(counts->adds >= atomic_load(&history->acked[shard]));
    must(counts->adds <= atomic_load(&history->sent[shard]));
    atomic_fetch_add(&history->loads, 1);
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
    struct count_world *world = client->world;
    struct coord_shard *shard;
    client->partition = (int32_t)(client_random(client) % COUNT_SHARDS);
    if (coord_shard_find(world->coord, client->partition, &shard) != 0)
        return false;
    client->read = client_random(client) % 3 == 0;
    client->acked_before = atomic_load(&world->history->acked[client->partition]);
    if (!client->read)
        atomic_fetch_add(&world->history->sent[client->partition], 1);
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
    struct count_world *world = client->world;
    if (client->read)
        must(error != 0 || client->seen >= client->acked_before);
    else if (error == 0)
        atomic_fetch_add(&world->history->acked[client->partition], 1);
    atomic_fetch_add(&world->ops_ended, 1);
    client->active = false;
    client->left--;
}

static void client_done(struct client *client)
{
    struct count_world *world = client->world;
    client->done = true;
    if (atomic_fetch_sub(&world->clients_left, 1) == 1)
        loop_post(&world->loops[0].loop, &world->stop);
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
        atomic_fetch_add(&client->world->history->given_up, 1);
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

static struct partition_assignment assignment(struct count_world *world, int32_t index)
{
    return (struct partition_assignment){.topic_id = world->topic.id,
                                         .topic = world->topic.name,
                                         .index = index,
                                         .leader_id = NODE,
                                         .leader_epoch = world->history->leader_epoch,
                                         .isr_size = 1,
                                         .replica_count = 1,
                                         .settings = &world->settings};
}

static void partitions_open(struct count_world *world, const char *path)
{
    struct partition_dir *dir = calloc(1, sizeof *dir);
    must(dir);
    dir->dir = (struct log_dir){.env = world->env, .path = strdup(path), .lock_file = -1};
    world->broker.disk_slow_ms = 1000;
    world->broker.producer_id_expiration_ms = 86400000;
    must(partition_set_init(&world->set, world->env, &world->loops[0].loop, &world->epochs,
                            &world->say, world->files, NODE, dir, 1, &world->broker) == 0);
    for (int32_t i = 0; i < COUNT_SHARDS; i++) {
        const struct found_log found = {0};
        struct partition_assignment item = assignment(world, i);
        struct partition *partition = set_partition_create(&world->set, &item);
        must(partition && set_partition_open(partition, &found) == 0);
        must(set_insert(&world->set, partition) == 0);
    }
}

/* Lead one partition under a new epoch, after every so many ops. */
static void flip_look(struct loop *loop, struct loop_timer *timer)
{
    struct count_world *world = container_of(timer, struct count_world, flip);
    int64_t all = (int64_t)COUNT_CLIENTS * world->plan.ops;
    if (atomic_load(&world->clients_left) == 0 || world->flips == world->plan.flips)
        return;
    if (atomic_load(&world->ops_ended) >= world->flips * all / world->plan.flips) {
        int32_t epoch = ++world->history->leader_epoch;
        world->flips++;
        struct partition_assignment item = assignment(world, epoch % COUNT_SHARDS);
        partition_set_apply(&world->set, &item, 1, epoch);
        coord_follow(world->coord, &world->topic, true);
    }
    loop_timer_set(loop, timer, loop->now_ns + LOOK_NS);
}

static void begin_run(struct loop *loop, struct loop_task *task)
{
    struct count_world *world = container_of(task, struct count_world, begin);
    coord_follow(world->coord, &world->topic, false);
    for (int i = 0; i < COUNT_CLIENTS; i++)
        client_again(&world->clients[i]);
    flip_look(loop, &world->flip);
}

static void stop_look(struct loop *loop, struct loop_timer *timer)
{
    struct count_world *world = container_of(timer, struct count_world, stop_timer);
    coord_stop(world->coord);
    if (coord_quiet(world->coord) && partition_set_quiet(&world->set))
        world->plan.ended(world->plan.context);
    else
        loop_timer_set(loop, timer, loop->now_ns + LOOK_NS);
}

static void stop_run(struct loop *loop, struct loop_task *task)
{
    struct count_world *world = container_of(task, struct count_world, stop);
    loop_timer_cancel(loop, &world->flip);
    stop_look(loop, &world->stop_timer);
}

static void loops_init(struct count_world *world)
{
    for (int i = 0; i < COUNT_LOOPS; i++) {
        struct server_loop *home = &world->loops[i];
        must(loop_init(&home->loop, world->env, i) == 0);
        home->loop.owner = home;
        home->loop.turn_begin = turn_begin;
        home->loop.turn_end = turn_end;
        epoch_reader_add(&world->epochs, &home->epoch);
    }
}

static void coord_init(struct count_world *world)
{
    struct loop *const loops[COUNT_LOOPS] = {&world->loops[0].loop, &world->loops[1].loop};
    const struct coord_params params = {.env = world->env,
                                        .say = &world->say,
                                        .loops = loops,
                                        .loop_count = COUNT_LOOPS,
                                        .partitions = &world->set,
                                        .epochs = &world->epochs,
                                        .fold = &counts_fold,
                                        .context = world,
                                        .turn = turn_of,
                                        .server = world};
    must(coord_create(&params, &world->coord) == 0);
}

static void clients_init(struct count_world *world)
{
    uint32_t seed;
    env_random(world->env, &seed, sizeof seed);
    atomic_store(&world->clients_left, COUNT_CLIENTS);
    for (int i = 0; i < COUNT_CLIENTS; i++)
        world->clients[i] = (struct client){.world = world,
                                            .loop = &world->loops[i % COUNT_LOOPS].loop,
                                            .again.run = client_run,
                                            .left = world->plan.ops,
                                            .random = seed + (uint32_t)i * 7919};
}

struct count_world *count_world_create(struct env *env, const struct count_plan *plan)
{
    struct count_world *world = aligned_alloc(64, (sizeof *world + 63) / 64 * 64);
    must(world);
    memset(world, 0, sizeof *world);
    world->plan = *plan;
    world->history = plan->history;
    world->history->leader_epoch++;
    world->env = env;
    env_say_init(env, SAY_ERROR, &world->say);
    world->files = file_cache_create(env, 16);
    world->settings = (struct topic_settings){
        .segment_bytes = 1 << 20,
        .segment_ms = INT64_MAX / 2,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .retention_ms = -1,
        .retention_bytes = -1,
        .cleanup_compact = true,
        .flush_messages = plan->flush_messages,
        .flush_ms = INT64_MAX,
        .max_message_bytes = 1000000,
        .min_insync_replicas = 1,
        .compression_type = COMPRESSION_SETTING_PRODUCER,
    };
    world->topic.id = uuid_of(1, 2);
    world->topic.name = STR("__counts");
    world->topic.partitions.size = COUNT_SHARDS;
    epoch_init(&world->epochs);
    loops_init(world);
    partitions_open(world, plan->dir);
    coord_init(world);
    clients_init(world);
    world->begin.run = begin_run;
    world->stop.run = stop_run;
    loop_timer_init(&world->flip, flip_look);
    loop_timer_init(&world->stop_timer, stop_look);
    return world;
}

void count_world_start(struct count_world *world)
{
    for (int i = 0; i < COUNT_LOOPS; i++)
        must(loop_start(&world->loops[i].loop, "loop") == 0);
    loop_post(&world->loops[0].loop, &world->begin);
}

void count_world_destroy(struct count_world *world)
{
    for (int i = 0; i < COUNT_LOOPS; i++)
        loop_stop(&world->loops[i].loop);
    for (int i = 0; i < COUNT_LOOPS; i++)
        loop_join(&world->loops[i].loop);
    for (int i = 0; i < COUNT_LOOPS; i++) {
        epoch_reader_remove(&world->loops[i].epoch);
        loop_close(&world->loops[i].loop);
    }
    coord_destroy(world->coord);
    (void)partition_set_close(&world->set, false, -1);
    epoch_close(&world->epochs);
    file_cache_destroy(world->files);
    free(world);
}
