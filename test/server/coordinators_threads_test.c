/* Clients on threads of their own use groups and transactions, vanish while they are waited for,
 * and come again, while the coordinators lose their leadership and find it again. Meant for
 * ThreadSanitizer; what must hold besides: every request is answered, with an error that clients
 * know what to do with, and in the end all of it works and nothing is left over.
 *
 * Client threads do not assert through cmocka: what they see is checked with must(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "group_peer.h"
#include "txn_peer.h"

enum { ACTORS = 4, GROUPS = 2, ROUNDS = 60, MOVES = 40, FULL_COMMIT = 5, SHORT_MS = 100 };

struct storm {
    struct world *world;
    _Atomic int running;
    _Atomic int64_t joined, synced, committed, ended, moved_meanwhile;
};

struct actor {
    struct storm *storm;
    int number;
    uint32_t chance;
    pthread_t thread;
};

static bool happens(struct actor *actor, uint32_t one_in)
{
    actor->chance = actor->chance * 1664525 + 1013904223;
    return (actor->chance >> 16) % one_in == 0;
}

/* ---- members of groups ---- */

static void must_be_known(int16_t error)
{
    switch (error) {
    case 0:
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_REBALANCE_IN_PROGRESS:
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_ILLEGAL_GENERATION:
    case KAFKA_MEMBER_ID_REQUIRED:
    case KAFKA_GROUP_ID_NOT_FOUND:
        return;
    default:
        print_error("an error that no client expects: %d\n", error);
        must(false);
    }
}

/* One life of a member, until it errs or chooses to go. */
static void member_lives(struct actor *actor)
{
    struct storm *storm = actor->storm;
    struct group_peer member;
    char group[16];
    snprintf(group, sizeof group, "g%d", actor->number % GROUPS);
    group_peer_open(&member, storm->world->fixture, group);
    member.session_ms = member.rebalance_ms = SHORT_MS;
    for (int i = 0; i < 6; i++) {
        member_join_ask(&member);
        if (happens(actor, 6))
            break; /* vanishes while it is waited for */
        int16_t error = member_join_answer(&member);
        must_be_known(error);
        if (error != 0) {
            if (error != KAFKA_MEMBER_ID_REQUIRED)
                member.id[0] = '\0';
            continue;
        }
        atomic_fetch_add(&storm->joined, 1);
        member_sync_ask(&member);
        if (happens(actor, 8))
            break;
        error = member_sync_answer(&member);
        must_be_known(error);
        if (error == 0)
            atomic_fetch_add(&storm->synced, 1);
        must_be_known(member_heartbeat(&member));
        error = member_commit(&member, 0, i, "metadata");
        must_be_known(error);
        if (error == 0)
            atomic_fetch_add(&storm->committed, 1);
        if (happens(actor, 3)) {
            must_be_known(member_leave(&member));
            break;
        }
    }
    group_peer_close(&member);
}

/* ---- transactional producers ---- */

static void must_be_known_of_transactions(int16_t error)
{
    switch (error) {
    case 0:
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_CONCURRENT_TRANSACTIONS:
    case KAFKA_INVALID_PRODUCER_EPOCH:
    case KAFKA_PRODUCER_FENCED:
    case KAFKA_INVALID_TXN_STATE:
    case KAFKA_TRANSACTION_ABORTABLE:
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_NOT_ENOUGH_REPLICAS:
        return;
    default:
        print_error("an error that no producer expects: %d\n", error);
        must(false);
    }
}

static bool begins(struct world *world, struct producer *producer)
{
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    init_producer_id_request_init(&request);
    request.transactional_id = str_of(producer->id);
    request.transaction_timeout_ms = 10 * SHORT_MS;
    request.producer_id = -1;
    request.producer_epoch = -1;
    peer_call(world->peer, &world->arena, API_INIT_PRODUCER_ID, 5, &request, &response);
    must_be_known_of_transactions(response.error_code);
    producer->producer_id = response.producer_id;
    producer->epoch = response.producer_epoch;
    return response.error_code == 0;
}

static void producer_lives(struct actor *actor)
{
    struct storm *storm = actor->storm;
    struct world own = {.fixture = storm->world->fixture,
                        .peer = peer_connect(storm->world->fixture)};
    char id[16];
    struct producer producer = {.id = id};
    /* Mostly its own id; now and then the other's, which is fenced then. */
    snprintf(id, sizeof id, "t%d", (actor->number / 2 + happens(actor, 4)) % GROUPS);
    arena_init(&own.arena, 0);
    bool begun = begins(&own, &producer);
    for (int tries = 0; !begun && tries < 200; tries++, sched_yield())
        begun = begins(&own, &producer);
    if (begun) {
        for (int i = 0; i < 5; i++) {
            int16_t error = txn_produce(&own, producer, ADDS, 0, "out", actor->number % 2);
            must_be_known_of_transactions(error);
            error = txn_commit_offset(&own, producer, FULL_COMMIT, "g", i);
            must_be_known_of_transactions(error);
            if (happens(actor, 5))
                break; /* leaves it open */
            error = txn_end(&own, 5, &producer, happens(actor, 2));
            must_be_known_of_transactions(error);
            if (error != 0)
                break;
            atomic_fetch_add(&storm->ended, 1);
        }
    }
    peer_close(own.peer);
    arena_close(&own.arena);
}

/* ---- who watches, and who moves ---- */

/* Lists and describes, as monitoring does, beside it all. */
static void watcher_looks(struct actor *actor)
{
    struct world own = {.fixture = actor->storm->world->fixture,
                        .peer = peer_connect(actor->storm->world->fixture)};
    struct list_groups_request list;
    struct list_groups_response listed;
    struct list_transactions_request transactions;
    struct list_transactions_response found;
    arena_init(&own.arena, 0);
    list_groups_request_init(&list);
    peer_call(own.peer, &own.arena, API_LIST_GROUPS, 5, &list, &listed);
    must_be_known(listed.error_code);
    list_transactions_request_init(&transactions);
    peer_call(own.peer, &own.arena, API_LIST_TRANSACTIONS, 1, &transactions, &found);
    must_be_known_of_transactions(found.error_code);
    (void)txn_describe(&own, "t0");
    peer_close(own.peer);
    arena_close(&own.arena);
}

static void *actor_run(void *context)
{
    struct actor *actor = context;
    for (int round = 0; round < ROUNDS; round++) {
        if (actor->number % 2 == 0)
            member_lives(actor);
        else
            producer_lives(actor);
        if (actor->number == 0)
            watcher_looks(actor);
    }
    atomic_fetch_sub(&actor->storm->running, 1);
    return NULL;
}

struct move {
    struct loop_task task;
    struct broker *broker;
    const char *topic;
    int32_t index;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* lock */
};

/* The partition is led under another epoch, as the image might say. */
static void move_run(struct loop *loop, struct loop_task *task)
{
    struct move *move = container_of(task, struct move, task);
    struct broker *broker = move->broker;
    const struct image *image = image_get(&broker_home(broker)->images);
    const struct topic_image *topic = image_topic_named(image, str_of(move->topic));
    const struct partition *partition = partition_find(&broker->partitions, topic->id, move->index);
    const struct partition_assignment item = {.topic_id = topic->id,
                                              .topic = topic->name,
                                              .index = move->index,
                                              .leader_id = broker->static_config->settings.node_id,
                                              .leader_epoch =
                                                  atomic_load(&partition->leader_epoch) + 1,
                                              .isr_size = 1,
                                              .replica_count = 1,
                                              .dir = -1,
                                              .settings = partition_settings(partition)};
    (void)loop;
    partition_set_apply(&broker->partitions, &item, 1, image->offset);
    coordinators_image(broker);
    pthread_mutex_lock(&move->lock);
    move->done = true;
    pthread_cond_signal(&move->changed);
    pthread_mutex_unlock(&move->lock);
}

static void move_leadership(struct broker *broker, const char *topic, int32_t index)
{
    struct move move = {.task.run = move_run,
                        .broker = broker,
                        .topic = topic,
                        .index = index,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};
    loop_post(&broker_home(broker)->loop, &move.task);
    pthread_mutex_lock(&move.lock);
    while (!move.done)
        pthread_cond_wait(&move.changed, &move.lock);
    pthread_mutex_unlock(&move.lock);
}

/* ---- the storm ---- */

static int setup(void **state)
{
    static const char *const overrides[] = {
        "offsets.topic.num.partitions=2",     "transaction.state.log.num.partitions=2",
        "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",    "group.initial.rebalance.delay.ms=0",
        "group.min.session.timeout.ms=10",    NULL};
    return world_setup(state, overrides);
}

/* In the end a group and a transaction live as if nothing had been. */
static void live_in_peace(struct world *world)
{
    struct group_peer member;
    struct producer producer = producer_of(world, "t0");
    group_peer_open(&member, world->fixture, "g0");
    int16_t error;
    do { /* the leader may be one of the vanished, whose session has to end first */
        error = member_join(&member);
        must_be_known(error);
        if (error != 0) {
            member.id[0] = '\0';
            continue;
        }
        member_sync_ask(&member);
        error = member_sync_answer(&member);
        must_be_known(error);
    } while (error != 0);
    assert_int_equal(member_commit(&member, 0, 7, ""), 0);
    assert_int_equal(member_leave(&member), 0);
    group_peer_close(&member);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    assert_int_equal(txn_end(world, 5, &producer, true), 0);
    txn_until_state(world, "t0", "CompleteCommit");
    for (int32_t p = 0; p < 2; p++)
        while (world_end_of(world, "out", p, READ_COMMITTED) !=
               world_end_of(world, "out", p, READ_UNCOMMITTED))
            sched_yield(); /* what was left open is aborted when its time is over */
}

static void clients_on_threads_survive_coordinators_that_move(void **state)
{
    struct world *world = *state;
    struct storm storm = {.world = world};
    struct actor actors[ACTORS];
    world_find_coordinator(world, TRANSACTION, "t0");
    atomic_store(&storm.running, ACTORS);
    for (int i = 0; i < ACTORS; i++) {
        actors[i] = (struct actor){.storm = &storm, .number = i, .chance = (uint32_t)i * 77};
        assert_int_equal(pthread_create(&actors[i].thread, NULL, actor_run, &actors[i]), 0);
    }
    /* A move for so many things done, until all is done. */
    for (int moves = 0; atomic_load(&storm.running) > 0;) {
        int64_t done = atomic_load(&storm.joined) + atomic_load(&storm.ended);
        if (moves < MOVES && done >= moves * 2) {
            move_leadership(world->fixture->broker,
                            moves % 2 ? "__transaction_state" : "__consumer_offsets",
                            moves / 2 % 2);
            moves++;
        }
        sched_yield();
    }
    for (int i = 0; i < ACTORS; i++)
        pthread_join(actors[i].thread, NULL);
    assert_true(atomic_load(&storm.joined) > 0);
    assert_true(atomic_load(&storm.synced) > 0);
    assert_true(atomic_load(&storm.committed) > 0);
    assert_true(atomic_load(&storm.ended) > 0);
    live_in_peace(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clients_on_threads_survive_coordinators_that_move, setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
