/* Random lives of consumer groups. Members join, leave, come back, change their minds, fall silent
 * and hold on to what they have; topics come, grow and go; the process dies again and again.
 *
 * Every other life has its assignments computed by a pool that now and then takes its time.
 *
 * At every moment no partition has two owners among the members that the group knows; what a load
 * makes of the log is what was there; and when it calms down, each partition that is wanted has an
 * owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "consumer_kit.h"

enum { SEEDS = 10, STEPS = 400, MEMBERS = 8 };

struct world {
    struct kit kit;
    uint64_t random;
    struct consumer members[MEMBERS];
    bool alive[MEMBERS]; /* it believes that it is in the group */
    int32_t counts[CONSUMER_TOPICS];
    int next_id;
};

static uint32_t pick(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world->random >> 33) % below;
}

/* ---- what the log promises, as text ---- */

static void line(struct writer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct writer *out, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_in_range(size, 0, (int)sizeof text - 1);
    write_bytes(out, text, (size_t)size);
}

static void dump_assignment(const struct assignment *assignment, const char *what,
                            struct writer *out)
{
    for (int32_t i = 0; i < assignment->count; i++)
        line(out, "  %s %d-%d at %d\n", what, assignment->items[i].topic.bytes[15],
             assignment->items[i].partition, assignment->items[i].epoch);
}

static int member_order(const void *a, const void *b)
{
    return str_compare((*(struct consumer_member *const *)a)->id,
                       (*(struct consumer_member *const *)b)->id);
}

static char *dump(struct world *world)
{
    const struct consumer_group *consumer = group_of(&world->kit);
    struct consumer_member *members[64];
    struct writer out = {0};
    int count = 0;
    if (consumer) {
        line(&out,
             "epoch %d hash %lx assignment %d at %ld owned %zu topics %zu statics %zu held %ld\n",
             consumer->epoch, (long)consumer->metadata_hash, consumer->assignment_epoch,
             (long)consumer->assignment_timestamp_ms, map_count(&consumer->owned_epochs),
             map_count(&consumer->topics), map_count(&consumer->statics),
             (long)group_kit_state(&world->kit)->counts.held);
        for (struct map_at at = map_begin(&consumer->members); map_next(&consumer->members, &at);)
            members[count++] = *(struct consumer_member **)at.value;
    }
    qsort(members, (size_t)count, sizeof *members, member_order);
    for (int i = 0; i < count; i++) {
        const struct consumer_member *member = members[i];
        line(&out, "%.*s in %d epoch %d before %d state %d timeout %d topics %d\n", member->id.size,
             member->id.data, member->in_group, member->current.epoch,
             member->current.previous_epoch, member->current.state,
             member->subscription.rebalance_timeout_ms, member->subscription.topics.count);
        dump_assignment(&member->current.assigned, "has", &out);
        dump_assignment(&member->current.revoking, "gives up", &out);
        dump_assignment(&member->target, "is to have", &out);
    }
    write_bytes(&out, "", 1);
    char *text = strdup((char *)out.data);
    writer_close(&out);
    return text;
}

/* ---- checks ---- */

/* By what the members themselves believe, as far as the group knows them under that epoch: one that
 * was put out does not know it yet. */
static void check_owners(struct world *world)
{
    const struct consumer_group *consumer = group_of(&world->kit);
    int owner[CONSUMER_TOPICS][64];
    memset(owner, 0xff, sizeof owner);
    for (int m = 0; m < MEMBERS; m++) {
        struct consumer *member = &world->members[m];
        if (!world->alive[m] || !consumer || !consumer_member_find(consumer, str_of(member->id)))
            continue;
        for (int i = 0; i < member->owned_count; i++) {
            struct owned owned = member->owned[i];
            assert_int_equal(owner[owned.topic][owned.partition], -1);
            owner[owned.topic][owned.partition] = m;
        }
    }
}

static void check_complete(struct world *world)
{
    for (int t = 0; t < CONSUMER_TOPICS; t++) {
        int wanted = 0, owned = 0;
        char name[4];
        snprintf(name, sizeof name, "t%d", t);
        for (int m = 0; m < MEMBERS; m++) {
            if (!world->alive[m])
                continue;
            for (int i = 0; i < world->members[m].topic_count; i++)
                wanted += strcmp(world->members[m].topics[i], name) == 0;
            for (int i = 0; i < world->members[m].owned_count; i++)
                owned += world->members[m].owned[i].topic == t;
        }
        assert_int_equal(owned, wanted > 0 ? world->counts[t] : 0);
    }
}

/* ---- steps ---- */

static void subscribe(struct world *world, struct consumer *member)
{
    static const char *const names[CONSUMER_TOPICS] = {"t0", "t1", "t2", "t3"};
    uint32_t some = 1 + pick(world, (1u << CONSUMER_TOPICS) - 1);
    member->topic_count = 0;
    for (int t = 0; t < CONSUMER_TOPICS; t++)
        if (some >> t & 1)
            member->topics[member->topic_count++] = names[t];
}

static void beat(struct world *world, int m)
{
    struct consumer *member = &world->members[m];
    int error = pick(world, 3) == 0 && member->epoch > 0 ? consumer_ping(member)
                                                         : consumer_heartbeat(member);
    if (error == 0)
        return;
    if (error == KAFKA_UNRELEASED_INSTANCE_ID) {
        world->alive[m] = false;
        return;
    }
    assert_true(error == KAFKA_UNKNOWN_MEMBER_ID || error == KAFKA_FENCED_MEMBER_EPOCH ||
                error == KAFKA_FENCED_INSTANCE_ID || error == KAFKA_GROUP_ID_NOT_FOUND);
    member->epoch = member->owned_count = 0; /* it gives up everything and joins again */
    world->alive[m] = error != KAFKA_FENCED_INSTANCE_ID;
}

static void join(struct world *world, int m)
{
    static const char *const instances[] = {"i0", "i1"};
    struct consumer *member = &world->members[m];
    char id[32];
    snprintf(id, sizeof id, "m%d", world->next_id++);
    consumer_init(member, &world->kit, "g", id);
    member->rebalance_ms = 20000;
    if (m < 2)
        member->instance_id = instances[m];
    subscribe(world, member);
    world->alive[m] = true;
    beat(world, m);
}

static void change_topics(struct world *world)
{
    int t = (int)pick(world, CONSUMER_TOPICS);
    if (world->counts[t] == 20)
        return;
    world->counts[t]++;
    consumer_kit_topics(&world->kit, world->counts);
}

static void leave(struct world *world, int m)
{
    struct consumer *member = &world->members[m];
    if (member->instance_id && pick(world, 2) == 0)
        (void)consumer_leave_static(member);
    else
        (void)consumer_leave(member);
    member->owned_count = 0;
    world->alive[m] = false;
}

static void crash(struct world *world)
{
    char *before = dump(world);
    group_kit_restart(&world->kit);
    char *after = dump(world);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void step(struct world *world)
{
    int m = (int)pick(world, MEMBERS);
    uint32_t what = pick(world, 100);
    if (!world->alive[m]) {
        if (what < 40)
            join(world, m);
    } else if (what < 60) {
        beat(world, m);
    } else if (what < 66) {
        leave(world, m);
    } else if (what < 72) {
        subscribe(world, &world->members[m]);
    } else if (what < 76) {
        world->members[m].holds_on = !world->members[m].holds_on;
    } else if (what < 80) {
        world->alive[m] = false; /* it dies */
    } else if (what < 90) {
        group_kit_pass(&world->kit, 1000 + pick(world, 9000));
    } else if (what < 94) {
        change_topics(world);
    } else if (what < 96) {
        crash(world);
    } else if (what < 99) {
        world->kit.jobs_held = !world->kit.jobs_held;
    }
    check_owners(world);
}

static void calm_down(struct world *world)
{
    world->kit.jobs_held = false;
    for (int round = 0; round < 40; round++) {
        group_kit_pass(&world->kit, 5000);
        for (int m = 0; m < MEMBERS; m++) {
            world->members[m].holds_on = false;
            if (world->alive[m] && consumer_heartbeat(&world->members[m]) != 0) {
                world->members[m].epoch = world->members[m].owned_count = 0;
                if (world->members[m].error == KAFKA_FENCED_INSTANCE_ID)
                    world->alive[m] = false;
            }
        }
        check_owners(world);
    }
    check_complete(world);
}

static void no_partition_ever_has_two_owners_and_in_the_end_each_has_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = calloc(1, sizeof *world);
        static const int32_t counts[CONSUMER_TOPICS] = {3, 4, 5, 6};
        consumer_kit_init(&world->kit);
        world->kit.broker.group_consumer_assignor_offload = seed % 2 == 0;
        memcpy(world->counts, counts, sizeof counts);
        world->random = seed * 7919;
        for (int i = 0; i < STEPS; i++)
            step(world);
        calm_down(world);
        crash(world);
        consumer_kit_close(&world->kit);
        free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_partition_ever_has_two_owners_and_in_the_end_each_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
