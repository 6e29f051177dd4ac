#include "server/coordinators.h"

#include <errno.h>
#include <stdlib.h>

#include "server/broker.h"

void coordinators_turn(struct broker *broker, struct loop *loop, struct coord_turn *ret_turn)
{
    struct broker_loop *home = loop->owner;
    *ret_turn = (struct coord_turn){
        .loop = loop,
        .now_ns = loop->now_ns,
        .wall_ms = env_wall_ms(broker->env),
        .image = image_get(&home->images),
        .settings = broker_settings_now(broker),
    };
}

static void turn_of(void *server, struct loop *loop, struct coord_turn *ret_turn)
{
    coordinators_turn(server, loop, ret_turn);
}

static int start_one(struct broker *broker, const struct coord_fold *fold, void *context,
                     struct coord **ret_coord)
{
    if (!fold)
        return 0;
    struct loop **loops = calloc((size_t)broker->loop_count, sizeof(struct loop *));
    if (!loops)
        return -ENOMEM;
    for (int32_t i = 0; i < broker->loop_count; i++)
        loops[i] = &broker->loops[i].loop;
    const struct coord_params params = {
        .env = broker->env,
        .say = &broker->say,
        .loops = loops,
        .loop_count = broker->loop_count,
        .partitions = &broker->partitions,
        .epochs = &broker->epochs,
        .fold = fold,
        .context = context,
        .turn = turn_of,
        .server = broker,
    };
    int err = coord_create(&params, ret_coord);
    free(loops);
    return err;
}

static void follow_one(struct coord *coord, const struct coord_fold *fold,
                       const struct image *image)
{
    if (coord)
        coord_follow(coord, image_topic_named(image, str_of(fold->topic)), true);
}

/* The partitions may be behind the newest image; then look again when they have followed it. With
 * `now` look in any case: what they followed so far is not to wait until images stop coming. */
static void follow_look(struct broker *broker, bool now)
{
    struct coordinators *all = &broker->coordinators;
    struct watermark *mark = &broker->partitions.applied;
    const struct image *image = image_get(&broker_home(broker)->images);
    watermark_cancel(mark, &all->applied);
    all->waiting = watermark_wait(mark, &all->applied, image->offset, 0);
    if (all->waiting && !now)
        return;
    follow_one(all->groups, all->group_fold, image);
    follow_one(all->transactions, all->transaction_fold, image);
}

static void follow_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct broker *broker = container_of(task, struct broker, coordinators.follow);
    atomic_store(&broker->coordinators.posted, false);
    if (broker->coordinators.following)
        follow_look(broker, true);
}

static void applied(struct waiter *waiter, struct wakes *wakes)
{
    struct broker *broker = container_of(waiter, struct broker, coordinators.applied);
    if (!atomic_exchange(&broker->coordinators.posted, true))
        loop_post_later(&broker_home(broker)->loop, &broker->coordinators.follow, wakes);
}

int coordinators_start(struct broker *broker)
{
    struct coordinators *all = &broker->coordinators;
    int err = start_one(broker, all->group_fold, all->group_context, &all->groups);
    if (err == 0)
        err =
            start_one(broker, all->transaction_fold, all->transaction_context, &all->transactions);
    if (err != 0)
        return err;
    waiter_init(&all->applied, applied);
    all->follow.run = follow_run;
    all->following = true;
    follow_look(broker, true);
    return 0;
}

void coordinators_image(struct broker *broker)
{
    struct coordinators *all = &broker->coordinators;
    if (all->following && !all->waiting) /* else the look that comes finds this image, too */
        follow_look(broker, false);
}

void coordinators_stop(struct broker *broker)
{
    struct coordinators *all = &broker->coordinators;
    if (!all->following)
        return;
    watermark_cancel(&broker->partitions.applied, &all->applied);
    all->following = false;
    if (all->groups)
        coord_stop(all->groups);
    if (all->transactions)
        coord_stop(all->transactions);
}

bool coordinators_quiet(const struct broker *broker)
{
    const struct coordinators *all = &broker->coordinators;
    return (!all->groups || coord_quiet(all->groups)) &&
           (!all->transactions || coord_quiet(all->transactions)) && !atomic_load(&all->posted);
}

void coordinators_destroy(struct broker *broker)
{
    coord_destroy(broker->coordinators.groups);
    coord_destroy(broker->coordinators.transactions);
}

void coordinators_gap(struct broker *broker, struct loop *loop)
{
    if (!atomic_load_explicit(&broker->serving, memory_order_acquire))
        return;
    if (broker->coordinators.groups)
        coord_gap(broker->coordinators.groups, loop);
    if (broker->coordinators.transactions)
        coord_gap(broker->coordinators.transactions, loop);
}
