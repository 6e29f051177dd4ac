/* Random lives of groups, each cut short by a crash: what the log makes of them is what was there.
 * Members join, sync, leave, fall silent, restart; offsets are committed in and out of
 * transactions, deleted and expired; appends fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "group/classic.h"
#include "group_kit.h"

enum { SEEDS = 12, CRASHES = 8, STEPS = 120, MEMBERS = 10, GROUPS = 3, PRODUCERS = 3 };

static const char *const group_ids[GROUPS] = {"alpha", "beta", "gamma"};

struct world {
    struct kit kit;
    uint64_t random;
    struct member members[MEMBERS];
    int32_t synced[MEMBERS]; /* the last generation that it asked its assignment of */
    int stable;              /* groups that were so when the process died */
};

static uint32_t pick(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world->random >> 33) % below;
}

/* ---- what the log promises, as text ---- */

static void dump_offsets(const struct group *group, struct writer *out)
{
    char line[256];
    for (int32_t t = 0; t < group->topic_count; t++) {
        const struct group_topic *topic = group->topics[t];
        for (int32_t p = 0; p < topic->count; p++) {
            const struct group_partition *partition = &topic->partitions[p];
            int pending = 0;
            for (const struct group_pending *at = partition->pending; at; at = at->next)
                pending += (int)at->transaction->producer_id * 100 + (int)at->value.offset;
            int size = snprintf(line, sizeof line, "  %.*s-%d %d %ld at %ld by %ld pending %d\n",
                                topic->name->name.size, topic->name->name.data,
                                partition->partition, partition->committed,
                                (long)partition->value.offset, (long)partition->value.commit_ms,
                                (long)partition->value.record_offset, pending);
            write_bytes(out, line, (size_t)size);
        }
    }
}

static int member_order(const void *a, const void *b)
{
    return str_compare((*(struct classic_member *const *)a)->id,
                       (*(struct classic_member *const *)b)->id);
}

static void dump_members(const struct classic *classic, struct writer *out)
{
    const struct classic_member *all[64];
    int count = 0;
    char line[512];
    for (struct map_at at = map_begin(&classic->members); map_next(&classic->members, &at);)
        all[count++] = *(struct classic_member **)at.value;
    qsort(all, (size_t)count, sizeof *all, member_order);
    for (int i = 0; i < count; i++) {
        const struct classic_member *m = all[i];
        int size = snprintf(line, sizeof line, "  member %.*s instance %.*s %d %d: %.*s\n",
                            m->id.size, m->id.data, m->instance_id.size,
                            m->instance_id.data ? m->instance_id.data : "", m->session_timeout_ms,
                            m->rebalance_timeout_ms, m->assignment.size,
                            m->assignment.data ? (const char *)m->assignment.data : "");
        write_bytes(out, line, (size_t)size);
    }
}

/* `whole` says of which groups the live state is what is in the log: the others are amid a
 * rebalance, of which the log knows nothing. */
static void dump(struct world *world, bool *whole, bool decide, struct writer *out)
{
    struct group_shard *shard = group_kit_state(&world->kit);
    char line[512];
    for (int g = 0; g < GROUPS; g++) {
        const struct group *group = group_find_any(shard, str_of(group_ids[g]));
        if (!group)
            continue;
        const struct classic *classic = group->type == GROUP_CLASSIC ? group->classic : NULL;
        int size = snprintf(line, sizeof line, "%s type %d saved %d\n", group_ids[g], group->type,
                            classic ? classic->saved_generation : 0);
        write_bytes(out, line, (size_t)size);
        if (decide)
            whole[g] = classic && (classic->state == CLASSIC_STABLE ||
                                   (classic->state == CLASSIC_EMPTY && classic->generation > 0));
        if (decide)
            world->stable += classic && classic->state == CLASSIC_STABLE;
        if (whole[g] && classic) {
            size = snprintf(line, sizeof line, "  %s generation %d %.*s %.*s leader %.*s%s\n",
                            classic_kind.state_name(group).data, classic->generation,
                            classic->protocol_type.size,
                            classic->protocol_type.data ? classic->protocol_type.data : "",
                            classic->protocol_name.size,
                            classic->protocol_name.data ? classic->protocol_name.data : "",
                            classic->leader.size, classic->leader.data ? classic->leader.data : "",
                            classic->subscriptions_known ? " subscribed" : "");
            write_bytes(out, line, (size_t)size);
            dump_members(classic, out);
        }
        dump_offsets(group, out);
    }
    int size = snprintf(line, sizeof line, "groups %ld offsets %ld pending %ld transactions %zu\n",
                        (long)shard->counts.groups, (long)shard->counts.offsets,
                        (long)shard->counts.pending, map_count(&shard->transactions));
    write_bytes(out, line, (size_t)size);
    write_bytes(out, "", 1);
}

/* ---- one step ---- */

static void reborn(struct world *world, int m)
{
    struct member *member = &world->members[m];
    static const char *const instances[] = {"i0", "i1", "i2"};
    static const char *const clients[] = {"x", "y", "z"};
    member_close(member);
    member_init(member, &world->kit, group_ids[pick(world, GROUPS)], clients[pick(world, 3)]);
    if (pick(world, 3) == 0)
        member->instance_id = instances[pick(world, 3)];
    if (pick(world, 2))
        member->protocols[0] = "sticky", member->protocols[1] = "range";
    member->session_ms = 6000 + (int32_t)pick(world, 20000);
    member->rebalance_ms = 5000 + (int32_t)pick(world, 20000);
    member->version = pick(world, 4) ? 9 : 3;
}

/* What a client does next when all is well. */
static void proper_step(struct world *world, int m)
{
    struct member *member = &world->members[m];
    if (!member_joined(member) || !member_synced(member))
        return;
    if (member->generation < 0 || member->join_error != 0) {
        (void)member_join_as_new(member);
    } else if (world->synced[m] != member->generation) {
        world->synced[m] = member->generation;
        (void)member_sync(member);
    } else {
        int err = member_heartbeat(member);
        if (err == KAFKA_UNKNOWN_MEMBER_ID || err == KAFKA_FENCED_INSTANCE_ID)
            member->id[0] = 0;
        if (err != 0)
            (void)member_join_as_new(member);
    }
}

static void member_step(struct world *world, int m)
{
    struct member *member = &world->members[m];
    bool free_to_ask = member_joined(member) && member_synced(member);
    switch (pick(world, 40)) {
    default:
        proper_step(world, m);
        break;
    case 0:
    case 1:
    case 2:
        if (free_to_ask)
            (void)member_join_as_new(member);
        break;
    case 3:
    case 4:
        if (free_to_ask)
            (void)member_sync(member);
        break;
    case 5:
        (void)member_heartbeat(member);
        break;
    case 6:
        (void)member_commit(member, (int32_t)pick(world, 3), (int64_t)pick(world, 100), "m");
        break;
    case 7:
        if (pick(world, 3) == 0)
            (void)member_leave(member);
        break;
    }
}

static void offset_step(struct world *world)
{
    const char *group = group_ids[pick(world, GROUPS)];
    const char *topic = pick(world, 2) ? "t" : "u";
    int64_t producer = (int64_t)pick(world, PRODUCERS);
    switch (pick(world, 6)) {
    case 0:
        (void)commit_as_nobody(&world->kit, group, topic, (int32_t)pick(world, 3), 7);
        break;
    case 1:
    case 2:
        (void)commit_in_transaction(&world->kit, group, topic, (int32_t)pick(world, 3),
                                    (int64_t)pick(world, 100), producer);
        break;
    case 3:
        end_transaction(&world->kit, producer, pick(world, 2));
        break;
    case 4: {
        struct group_delete drop;
        group_delete_init(&drop);
        drop.group = str_of(group);
        (void)group_kit_run(&world->kit, &drop.op);
        break;
    }
    case 5: {
        struct offset_delete drop;
        int16_t error;
        const struct offset_delete_part part = {str_of(topic), 0, &error};
        offset_delete_init(&drop);
        drop.group = str_of(group);
        drop.parts = &part;
        drop.count = 1;
        (void)group_kit_run(&world->kit, &drop.op);
        break;
    }
    }
}

/* Appends fail for one step. */
static void failing_step(struct world *world)
{
    struct partition *partition = kit_partition(&world->kit, 0);
    coord_shard_unref(kit_shard(&world->kit, 0));
    atomic_store(&partition->isr_size, 0);
    member_step(world, (int)pick(world, MEMBERS));
    group_kit_pass(&world->kit, pick(world, 5000));
    atomic_store(&partition->isr_size, 1);
    group_kit_pass(&world->kit, GROUP_RETRY_MS);
}

static void step(struct world *world)
{
    uint32_t kind = pick(world, 20);
    if (kind < 13)
        member_step(world, (int)pick(world, MEMBERS));
    else if (kind < 15)
        offset_step(world);
    else if (kind < 18)
        group_kit_pass(&world->kit, pick(world, 2000));
    else if (kind == 18 && pick(world, 3) == 0)
        reborn(world, (int)pick(world, MEMBERS));
    else if (pick(world, 3) == 0)
        failing_step(world);
    if (pick(world, 400) == 0)
        group_kit_pass(&world->kit, INT64_C(8) * 24 * 3600 * 1000);
}

static void live_and_crash(struct world *world, uint64_t seed)
{
    bool whole[GROUPS] = {false};
    struct writer before = {0}, after = {0};
    for (int i = 0; i < STEPS; i++)
        step(world);
    dump(world, whole, true, &before);
    group_kit_restart(&world->kit);
    dump(world, whole, false, &after);
    if (strcmp((char *)before.data, (char *)after.data) != 0)
        fail_msg("seed %lu: before\n%sand after\n%s", (unsigned long)seed, (char *)before.data,
                 (char *)after.data);
    writer_close(&before);
    writer_close(&after);
}

static void what_was_there_is_there_after_a_crash(void **state)
{
    int stable = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = calloc(1, sizeof *world);
        world->random = seed * 0x9e3779b97f4a7c15u;
        group_kit_init(&world->kit, INT64_MAX);
        for (int m = 0; m < MEMBERS; m++)
            reborn(world, m);
        for (int crash = 0; crash < CRASHES; crash++)
            live_and_crash(world, seed);
        stable += world->stable;
        for (int m = 0; m < MEMBERS; m++)
            member_close(&world->members[m]);
        kit_close(&world->kit);
        free(world);
    }
    assert_in_range(stable, SEEDS * CRASHES / 2, SEEDS * CRASHES * GROUPS); /* it was worth it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_there_is_there_after_a_crash)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
