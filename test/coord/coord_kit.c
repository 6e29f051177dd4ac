#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "coord_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../log/ram_disk.h"
#include "base/errors.h"
#include "log/log_dir.h"
#include "partition/set_private.h"

#define NODE 1
#define DATA "/data"

/* ---- the toy ---- */

static struct toy_counter *toy_counter(struct toy *toy, const char *name, size_t size)
{
    for (int32_t i = 0; i < toy->count; i++)
        if (strlen(toy->counters[i].name) == size && !memcmp(toy->counters[i].name, name, size))
            return &toy->counters[i];
    must(toy->count < TOY_KEYS && size < sizeof toy->counters[0].name);
    struct toy_counter *made = &toy->counters[toy->count++];
    memcpy(made->name, name, size);
    return made;
}

int64_t toy_value(const struct toy *toy, const char *name)
{
    for (int32_t i = 0; i < toy->count; i++)
        if (!strcmp(toy->counters[i].name, name))
            return toy->counters[i].value;
    return 0;
}

static void *toy_create(struct coord_shard *shard, void *context)
{
    struct kit *kit = context;
    struct toy *toy = calloc(1, sizeof *toy);
    must(toy);
    toy->shard = shard;
    toy->kit = kit;
    toy->last_offset = -1;
    list_init(&toy->waits);
    kit->toys[coord_shard_partition(shard)] = toy;
    kit->toys_made++;
    return toy;
}

static void toy_destroy(void *state)
{
    struct toy *toy = state;
    must(toy->loaded == toy->unloaded && list_empty(&toy->waits));
    struct toy **slot = &toy->kit->toys[coord_shard_partition(toy->shard)];
    if (*slot == toy)
        *slot = NULL;
    toy->kit->toys_freed++;
    free(toy);
}

static bool toy_apply(void *state, const struct coord_record *record)
{
    struct toy *toy = state;
    if (toy->out_of_memory)
        return false;
    must(record->offset > toy->last_offset);
    toy->last_offset = record->offset;
    toy->applied++;
    const char *name = (const char *)record->key.data;
    if (record->transactional) {
        must(toy->pending_count < TOY_PENDING);
        struct toy_pending *pending = &toy->pending[toy->pending_count++];
        *pending = (struct toy_pending){.producer_id = record->producer_id};
        memcpy(pending->name, name, (size_t)record->key.size);
        pending->delta = (int64_t)load_be64(record->value.data);
        return true;
    }
    struct toy_counter *counter = toy_counter(toy, name, (size_t)record->key.size);
    if (record->value.data)
        counter->value += (int64_t)load_be64(record->value.data);
    else
        counter->value = 0;
    return true;
}

static bool toy_mark(void *state, const struct coord_marker *marker)
{
    struct toy *toy = state;
    must(marker->offset > toy->last_offset);
    toy->last_offset = marker->offset;
    toy->marked++;
    for (int32_t i = 0; i < toy->pending_count;) {
        struct toy_pending *pending = &toy->pending[i];
        if (pending->producer_id != marker->producer_id) {
            i++;
            continue;
        }
        if (marker->commit)
            toy_counter(toy, pending->name, strlen(pending->name))->value += pending->delta;
        *pending = toy->pending[--toy->pending_count];
    }
    return true;
}

static void toy_loaded(void *state, const struct coord_turn *turn)
{
    struct toy *toy = state;
    must(turn->loop && coord_shard_wakes(toy->shard));
    toy->loaded++;
}

static void toy_unloaded(void *state, struct wakes *wakes)
{
    struct toy *toy = state;
    toy->unloaded++;
    while (!list_empty(&toy->waits))
        coord_wait_complete(list_first(&toy->waits, struct coord_wait, link), KAFKA_NOT_COORDINATOR,
                            wakes);
}

static void toy_image_changed(void *state, const struct coord_turn *turn)
{
    (void)turn;
    ((struct toy *)state)->images++;
}

/* ---- an env of a RAM disk and a clock ---- */

static struct kit *the_kit;

static int64_t kit_now(struct env *env)
{
    (void)env;
    return the_kit->now_ns;
}

static bool kit_allow_blocking(struct env *env, bool allow)
{
    (void)env;
    return allow;
}

static void kit_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)level;
    struct kit *kit = context;
    size_t used = strlen(kit->lines);
    if (used + size + 2 < sizeof kit->lines) {
        memcpy(kit->lines + used, line, size);
        memcpy(kit->lines + used + size, "\n", 2);
    }
}

static void kit_turn_for(void *server, struct loop *loop, struct coord_turn *ret_turn)
{
    struct kit *kit = server;
    *ret_turn = (struct coord_turn){.loop = loop,
                                    .now_ns = loop->now_ns,
                                    .wall_ms = env_wall_ms(kit->env) + kit->now_ns / 1000000,
                                    .image = kit->image,
                                    .settings = &kit->broker};
}

void kit_init(struct kit *kit, int64_t flush_messages)
{
    static struct env_ops ops;
    *kit = (struct kit){.now_ns = 1000};
    the_kit = kit;
    kit->disk = ram_disk_create(7);
    kit->env = ram_disk_env(kit->disk);
    ops = *kit->env->ops;
    ops.now_ns = kit_now;
    ops.allow_blocking = kit_allow_blocking;
    kit->env->ops = &ops;
    must(env_mkdir(kit->env, DATA) == 0);
    kit->say = (struct say){.level = SAY_DEBUG, .write = kit_line, .context = kit};
    kit->settings = (struct topic_settings){
        .segment_bytes = 1 << 20,
        .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .retention_ms = -1,
        .retention_bytes = -1,
        .cleanup_compact = true,
        .flush_messages = flush_messages,
        .flush_ms = INT64_MAX,
        .file_delete_delay_ms = 60000,
        .max_message_bytes = 10000,
        .min_insync_replicas = 1,
        .compression_type = COMPRESSION_SETTING_PRODUCER,
    };
    kit->topic.id = uuid_of(3, 4);
    kit->topic.name = STR("__toy");
    kit->fold = (struct coord_fold){
        .name = "toy",
        .topic = "__toy",
        .create = toy_create,
        .destroy = toy_destroy,
        .apply = toy_apply,
        .mark = toy_mark,
        .loaded = toy_loaded,
        .unloaded = toy_unloaded,
        .image_changed = toy_image_changed,
    };
    epoch_init(&kit->epochs);
    epoch_reader_add(&kit->epochs, &kit->reader);
    epoch_online(&kit->reader);
    for (int i = 0; i < KIT_LOOPS; i++)
        must(loop_init(&kit->loops[i], kit->env, i) == 0);
}

void kit_close(struct kit *kit)
{
    if (kit->coord)
        kit_crash(kit);
    for (int i = 0; i < KIT_LOOPS; i++)
        loop_close(&kit->loops[i]);
    epoch_offline(&kit->reader);
    epoch_reader_remove(&kit->reader);
    epoch_close(&kit->epochs);
    ram_disk_destroy(kit->disk);
}

static void kit_open_partitions(struct kit *kit, int32_t leader_epoch)
{
    struct partition_dir *dir = calloc(1, sizeof *dir);
    must(dir);
    dir->dir = (struct log_dir){.env = kit->env, .path = strdup(DATA), .lock_file = -1};
    kit->files = file_cache_create(kit->env, 16);
    kit->broker.producer_id_expiration_ms = 86400000;
    kit->broker.disk_slow_ms = 1000;
    must(partition_set_init(&kit->set, kit->env, &kit->loops[0], &kit->epochs, &kit->say,
                            kit->files, NODE, dir, 1, &kit->broker) == 0);
    for (int32_t i = 0; i < KIT_PARTITIONS; i++) {
        struct partition_assignment item = {.topic_id = kit->topic.id,
                                            .topic = kit->topic.name,
                                            .index = i,
                                            .leader_id = NODE,
                                            .leader_epoch = leader_epoch,
                                            .isr_size = 1,
                                            .replica_count = 1,
                                            .settings = &kit->settings};
        const struct found_log found = {0};
        struct partition *partition = set_partition_create(&kit->set, &item);
        must(partition && set_partition_open(partition, &found) == 0);
        must(set_insert(&kit->set, partition) == 0);
    }
}

void kit_open(struct kit *kit, int32_t leader_epoch)
{
    struct loop *const loops[KIT_LOOPS] = {&kit->loops[0], &kit->loops[1]};
    const struct coord_params params = {
        .env = kit->env,
        .say = &kit->say,
        .loops = loops,
        .loop_count = KIT_LOOPS,
        .partitions = &kit->set,
        .epochs = &kit->epochs,
        .fold = &kit->fold,
        .context = kit->fold_context ? kit->fold_context : kit,
        .turn = kit_turn_for,
        .server = kit,
    };
    kit_open_partitions(kit, leader_epoch);
    must(coord_create(&params, &kit->coord) == 0);
    kit->topic.partitions.size = KIT_PARTITIONS;
    coord_follow(kit->coord, &kit->topic, false);
}

int kit_setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit, INT64_MAX);
    kit_open(kit, 5);
    *state = kit;
    return 0;
}

int kit_setup_held(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit, 1);
    kit_open(kit, 5);
    kit->jobs_held = true;
    *state = kit;
    return 0;
}

int kit_teardown(void **state)
{
    kit_close(*state);
    free(*state);
    return 0;
}

void kit_crash(struct kit *kit)
{
    coord_stop(kit->coord);
    kit->jobs_held = false;
    for (int i = 0; i < 100 && !(coord_quiet(kit->coord) && partition_set_quiet(&kit->set)); i++)
        kit_turn(kit);
    must(coord_quiet(kit->coord) && partition_set_quiet(&kit->set));
    coord_destroy(kit->coord);
    kit->coord = NULL;
    must(kit->toys_made == kit->toys_freed);
    (void)partition_set_close(&kit->set, false, -1);
    file_cache_destroy(kit->files);
}

void kit_run_jobs(struct kit *kit)
{
    while (ram_disk_run_job(kit->disk))
        ;
}

void kit_turn(struct kit *kit)
{
    for (int i = 0; i < KIT_LOOPS; i++)
        must(loop_turn(&kit->loops[i]));
    if (!kit->jobs_held)
        kit_run_jobs(kit);
    epoch_offline(&kit->reader);
    epoch_online(&kit->reader);
}

void kit_turns(struct kit *kit, int count)
{
    while (count-- > 0)
        kit_turn(kit);
}

struct partition *kit_partition(struct kit *kit, int32_t index)
{
    return partition_find(&kit->set, kit->topic.id, index);
}

struct coord_shard *kit_shard(struct kit *kit, int32_t partition)
{
    struct coord_shard *shard;
    for (int i = 0; i < 20; i++) {
        if (coord_shard_find(kit->coord, partition, &shard) == 0)
            return shard;
        kit_turn(kit);
    }
    fail_msg("shard %d is not loaded", partition);
    return NULL;
}

void kit_turn_of(struct kit *kit, int loop, struct coord_turn *ret_turn)
{
    kit_turn_for(kit, &kit->loops[loop], ret_turn);
}

void kit_lead(struct kit *kit, int32_t partition, int32_t leader_epoch)
{
    struct partition_assignment item = {.topic_id = kit->topic.id,
                                        .topic = kit->topic.name,
                                        .index = partition,
                                        .leader_id = leader_epoch < 0 ? NODE + 1 : NODE,
                                        .isr_size = 1,
                                        .replica_count = 1,
                                        .settings = &kit->settings};
    int32_t now = atomic_load(&kit_partition(kit, partition)->leader_epoch);
    item.leader_epoch = leader_epoch < 0 ? now + 1 : leader_epoch;
    partition_set_apply(&kit->set, &item, 1, 1);
    coord_follow(kit->coord, &kit->topic, true);
}

/* ---- one use of the toy ---- */

static int toy_op_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct toy_op *toy = container_of(op, struct toy_op, op);
    (void)turn;
    (void)state;
    toy->decided++;
    op->await_offset = coord_shard_applied(op->shard) + toy->await_ahead;
    if (toy->refuse)
        return toy->refuse;
    if (toy->delta == 0)
        return 0;
    size_t size = toy->value_size ? (size_t)toy->value_size : 8;
    uint8_t *value = calloc(1, size);
    store_be64(value, (uint64_t)toy->delta);
    int err = coord_op_put_bytes(
        op, (struct bytes){(const uint8_t *)toy->name, (int32_t)strlen(toy->name)},
        (struct bytes){value, (int32_t)size});
    free(value);
    return err;
}

static void toy_op_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                          int error)
{
    struct toy_op *toy = container_of(op, struct toy_op, op);
    struct toy *counters = state;
    (void)turn;
    toy->settled++;
    toy->settle_error = error;
    toy->seen = toy_value(counters, toy->name);
    if (error != 0)
        return;
    if (toy->effect)
        coord_effect_add(op->shard, toy->effect);
    if (toy->timer)
        coord_timer_set(op->shard, toy->timer, toy->timer_due_ns);
    if (toy->wait)
        list_push_back(&counters->waits, &toy->wait->link);
}

static void toy_op_wake(struct coord_op *op, struct wakes *wakes)
{
    (void)wakes;
    container_of(op, struct toy_op, op)->woken++;
}

void toy_op_init(struct toy_op *toy, struct kit *kit, int32_t partition, const char *name,
                 int64_t delta)
{
    *toy = (struct toy_op){.kit = kit, .name = name, .delta = delta};
    coord_op_init(&toy->op);
    toy->op.shard = kit_shard(kit, partition);
    toy->op.access = delta ? COORD_WRITE : COORD_READ;
    toy->op.decide = toy_op_decide;
    toy->op.settle = toy_op_settle;
    toy->op.wake = toy_op_wake;
}

bool toy_op_run(struct toy_op *toy)
{
    struct coord_turn turn;
    kit_turn_of(toy->kit, 0, &turn);
    toy->over = coord_op_run(&toy->op, &turn, &toy->error);
    return toy->over;
}

static void toy_op_finish(struct toy_op *toy)
{
    for (int i = 0; i < 20 && !toy_op_run(toy); i++)
        kit_turn(toy->kit);
    assert_true(toy->over);
}

int toy_add(struct kit *kit, int32_t partition, const char *name, int64_t delta)
{
    struct toy_op toy;
    toy_op_init(&toy, kit, partition, name, delta);
    toy_op_finish(&toy);
    return toy.error;
}

int64_t toy_get(struct kit *kit, int32_t partition, const char *name)
{
    struct toy_op toy;
    toy_op_init(&toy, kit, partition, name, 0);
    toy_op_finish(&toy);
    assert_int_equal(toy.error, 0);
    return toy.seen;
}
