#include "fold_shard.h"

#include <string.h>

#include "base/errors.h"

#define FOLD_WALL_MS INT64_C(1700000000000)

static void fold_random(struct env *env, void *data, size_t size)
{
    (void)env;
    memset(data, 7, size);
}

static int64_t fold_wall(struct env *env)
{
    (void)env;
    return FOLD_WALL_MS;
}

static const struct env_ops fold_ops = {.random = fold_random, .wall_ms = fold_wall};
static struct env fold_env = {.ops = &fold_ops};

static void fold_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)context, (void)level, (void)line, (void)size;
}

static const struct say fold_say = {.level = SAY_ERROR, .write = fold_line};

void fold_shard_init(struct fold_shard *fold, const struct coord_fold *rules, void *context)
{
    *fold =
        (struct fold_shard){.coord.params = {.env = &fold_env, .say = &fold_say, .fold = rules}};
    struct coord_shard *shard = &fold->shard;
    fold->settings = (struct broker_settings){
        .group_max_size = 3,
        .group_memory_bytes = 1 << 20,
        .group_min_session_timeout_ms = 10,
        .group_max_session_timeout_ms = 100000,
        .offset_metadata_max_bytes = 100,
        .offsets_retention_minutes = 1,
        .offsets_retention_check_interval_ms = 1000,
        .transactional_id_expiration_ms = 10000,
        .transaction_remove_expired_interval_ms = 1000,
    };
    wakes_init(&fold->wakes);
    atomic_init(&shard->refs, 1000);
    atomic_init(&shard->asked, ASK_POSTED); /* so that nobody posts to a loop */
    atomic_init(&shard->timers_due_ns, INT64_MAX);
    heap_init(&shard->timers);
    list_init(&shard->effects);
    shard->coord = &fold->coord;
    shard->home = &fold->loop;
    shard->wakes = &fold->wakes;
    fold->turn = (struct coord_turn){.loop = &fold->loop,
                                     .now_ns = INT64_C(1000000000000),
                                     .wall_ms = FOLD_WALL_MS,
                                     .settings = &fold->settings};
    image_builder_init(&fold->builder, NULL);
    fold->image = image_builder_snapshot(&fold->builder);
    fold->turn.image = fold->image;
    fold->state = rules->create(shard, context);
    must(fold->state);
}

void fold_shard_apply(struct fold_shard *fold, struct coord_record *record)
{
    record->offset = fold->shard.applied;
    must(fold->coord.params.fold->apply(fold->state, record));
    fold->shard.applied++;
}

void fold_shard_mark(struct fold_shard *fold, struct coord_marker *marker)
{
    marker->offset = fold->shard.applied;
    must(fold->coord.params.fold->mark(fold->state, marker));
    fold->shard.applied++;
}

void fold_shard_load(struct fold_shard *fold)
{
    fold->coord.params.fold->loaded(fold->state, &fold->turn);
}

/* As the runtime does before it asks. */
static void op_begin(struct fold_shard *fold, struct coord_op *op)
{
    op->shard = &fold->shard;
    op->wakes = &fold->wakes;
    op->last_put = &op->first_put;
}

int fold_shard_decide(struct fold_shard *fold, struct coord_op *op)
{
    op_begin(fold, op);
    int err = op->decide(op, fold->state, &fold->turn);
    arena_close(&op->arena);
    return err;
}

void fold_shard_pass(struct fold_shard *fold, int64_t ms, int times, int error)
{
    for (int i = 0; i < times; i++) {
        struct heap_node *first = heap_first(&fold->shard.timers);
        if (!first)
            return;
        fold->turn.now_ns += ms * 1000000;
        fold->turn.wall_ms += ms;
        if (first->key > fold->turn.now_ns)
            continue;
        heap_remove(&fold->shard.timers, first);
        struct coord_timer *timer = container_of(first, struct coord_timer, node);
        struct coord_op op;
        coord_op_init(&op);
        op.access = COORD_WRITE;
        op_begin(fold, &op);
        int err = timer->decide(timer, &op, fold->state, &fold->turn);
        /* With records, it failed; without, there was nothing to append. */
        if (timer->settle)
            timer->settle(timer, &op, fold->state, &fold->turn,
                          err != 0           ? err
                          : op.put_count > 0 ? error
                                             : 0);
        arena_close(&op.arena);
    }
}

void fold_shard_close(struct fold_shard *fold)
{
    if (fold->coord.params.fold->unloaded)
        fold->coord.params.fold->unloaded(fold->state, &fold->wakes);
    heap_close(&fold->shard.timers);
    while (list_pop(&fold->shard.effects))
        ;
    fold->coord.params.fold->destroy(fold->state);
    image_unref(fold->image);
    image_builder_close(&fold->builder);
}

/* ---- input ---- */

uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->data++;
}

int64_t fuzz_number(struct fuzz_input *input)
{
    static const int64_t special[] = {0,         1,         -1,        INT16_MAX, INT16_MIN,
                                      INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, FOLD_WALL_MS};
    uint8_t kind = fuzz_byte(input);
    if (kind < sizeof special / sizeof special[0])
        return special[kind];
    return kind < 128 ? kind - 10 : (int64_t)((uint64_t)fuzz_byte(input) << (kind % 56));
}

struct bytes fuzz_bytes(struct fuzz_input *input, size_t most)
{
    size_t size = fuzz_byte(input);
    size = size > most ? most : size;
    size = size > input->left ? input->left : size;
    struct bytes taken = {input->data, (int32_t)size};
    input->data += size;
    input->left -= size;
    return taken;
}

struct str fuzz_name(struct fuzz_input *input, const struct str *names, size_t count)
{
    uint8_t byte = fuzz_byte(input);
    if (byte < 200)
        return names[byte % count];
    struct bytes any = fuzz_bytes(input, 16);
    return (struct str){(const char *)any.data, any.size};
}
