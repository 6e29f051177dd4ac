#include "member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "member_life.h"

#define SECOND INT64_C(1000000000)

bool member_chance(struct member *member, uint64_t one_in)
{
    return life_dice(&member->life, one_in) == 0;
}

void member_tell(struct member *member, bool settled)
{
    member->plan->settled = settled;
    member->plan->generation = member->place.generation;
    member->plan->owned = member->place.owned;
}

/* ---- joining ---- */

void member_forget_id(struct member *member)
{
    if (!*member->place.id)
        return;
    memcpy(member->old_id, member->place.id, sizeof member->old_id);
    member->old_generation = member->place.generation;
    membership_forget(&member->place, true);
}

/* 0, or why this life has no place any more. */
static void judge(struct member *member, int error)
{
    if (error == KAFKA_UNKNOWN_MEMBER_ID)
        member_forget_id(member);
    else if (error == KAFKA_FENCED_INSTANCE_ID)
        member->plan->fenced = true;
    else
        must(error < 0 || life_passes(error) || error == 0 ||
             error == KAFKA_REBALANCE_IN_PROGRESS || error == KAFKA_ILLEGAL_GENERATION ||
             error == KAFKA_MEMBER_ID_REQUIRED);
}

/* As long as joining may take, or, by chance, less patience than that. */
static int64_t patience_ms(struct member *member)
{
    int64_t whole = member->place.rebalance_ms * 2 + 10000;
    return member->plan->calm || !member_chance(member, 5)
               ? whole
               : 500 + (int64_t)life_dice(&member->life, (uint64_t)whole);
}

/* Whether it has its assignment; what is wrong was judged. */
static bool join(struct member *member)
{
    int error = membership_join(&member->place, patience_ms(member));
    if (error == KAFKA_MEMBER_ID_REQUIRED)
        error = membership_join(&member->place, patience_ms(member));
    if (error == 0)
        error = membership_sync(&member->place, (uint32_t)life_dice(&member->life, 64),
                                patience_ms(member));
    judge(member, error);
    return error == 0;
}

bool member_fetch_positions(struct member *member, uint64_t partitions)
{
    for (int32_t p = 0; p < MEMBER_PARTITIONS; p++) {
        int64_t offset;
        int error, tries = 0;
        if (!(partitions >> p & 1))
            continue;
        do
            error = membership_fetch(&member->place, p, &offset);
        while (life_wait_for(&member->life, error, &tries));
        if (error != 0)
            return false;
        member->position[p] = offset < 0 ? 0 : offset;
    }
    return true;
}

/* ---- at work ---- */

/* A partition that it owns, or -1. */
static int32_t pick_owned(struct member *member)
{
    int32_t count = __builtin_popcountll(member->place.owned);
    if (count == 0)
        return -1;
    int32_t nth = (int32_t)life_dice(&member->life, (uint64_t)count);
    for (int32_t p = 0;; p++)
        if ((member->place.owned >> p & 1) && nth-- == 0)
            return p;
}

static int commit(struct member *member, int32_t partition)
{
    const struct membership_claim claim = {member->place.id, member->place.generation};
    int error = membership_commit(&member->place, &claim, partition, member->position[partition]);
    member->plan->commits += error == 0;
    return error;
}

int member_work(struct member *member)
{
    int32_t partition = pick_owned(member);
    if (partition < 0)
        return 0;
    member->position[partition] += 1 + (int64_t)life_dice(&member->life, 5);
    return commit(member, partition);
}

/* Whoever asks, of whatever partition. */
void member_look(struct member *member)
{
    int64_t offset;
    (void)membership_fetch(&member->place, (int32_t)life_dice(&member->life, MEMBER_PARTITIONS),
                           &offset);
}

/* A commit that is too late; from wherever this member believes to be. */
void member_commit_too_late(struct member *member)
{
    int32_t partition = (int32_t)life_dice(&member->life, MEMBER_PARTITIONS);
    struct membership_claim claim = {member->place.id, member->place.generation - 1};
    if (*member->old_id && member_chance(member, 2))
        claim = (struct membership_claim){member->old_id, member->old_generation};
    if (claim.generation < 1)
        return;
    /* In the consumer protocol an older epoch will do for what it has held ever since. */
    if (member->plan->consumer && (member->place.owned >> partition & 1))
        return;
    (void)membership_commit(&member->place, &claim, partition,
                            member->position[partition] + (int64_t)life_dice(&member->life, 10));
}

/* 0, or an error that ends this assignment. */
static int mischief(struct member *member)
{
    int error = 0;
    switch (life_dice(&member->life, 30)) {
    case 0:
        (void)membership_leave(&member->place);
        member_forget_id(member);
        member->plan->gone = member_chance(member, 2);
        return KAFKA_UNKNOWN_MEMBER_ID;
    case 1: /* silent for too long; then as if nothing had been */
        member_tell(member, false);
        life_rest(&member->life,
                  member->place.session_ms + (int64_t)life_dice(&member->life, 4000));
        error = member_work(member);
        break;
    case 2: /* once more from the beginning, perhaps with another subscription */
        member->place.flavour += (uint32_t)life_dice(&member->life, 2);
        return KAFKA_REBALANCE_IN_PROGRESS;
    case 3: /* a new application under the same instance id, or a client that forgot who it was */
        member_forget_id(member);
        return KAFKA_UNKNOWN_MEMBER_ID;
    case 4:
    case 5:
    case 6:
    case 7:
        member_commit_too_late(member);
        break;
    default:
        break;
    }
    return error;
}

static bool ends_assignment(int error)
{
    return error > 0 && !life_passes(error);
}

/* Until the assignment is over, and why. */
static int serve(struct member *member)
{
    struct member_plan *plan = member->plan;
    int error = 0;
    while (!plan->stop) {
        error = membership_beat(&member->place);
        member_tell(member, error == 0);
        if (ends_assignment(error)) {
            if (error == KAFKA_REBALANCE_IN_PROGRESS && pick_owned(member) >= 0)
                (void)member_work(member); /* what it still can */
            return error;
        }
        if (!plan->calm)
            error = mischief(member);
        for (int i = (int)life_dice(&member->life, 4); i > 0 && !ends_assignment(error); i--)
            error = member_work(member);
        if (member_chance(member, 3))
            member_look(member);
        if (ends_assignment(error))
            return error;
        plan->resting = plan->rest;
        while (plan->rest)
            life_rest(&member->life, 20);
        plan->resting = false;
        life_rest(&member->life,
                  100 + (int64_t)life_dice(&member->life, (uint64_t)member->place.session_ms / 3));
    }
    return 0;
}

static struct member *member_begin(struct env *env, struct member_plan *plan)
{
    struct member *member = calloc(1, sizeof *member);
    must(member);
    member->plan = plan;
    life_begin(&member->life, env, plan->bootstrap, 3 * SECOND);
    member->place = (struct membership){
        .life = &member->life,
        .history = plan->history,
        .group = plan->group,
        .instance = plan->instance,
        .topic = MEMBER_TOPIC,
        .partition_count = MEMBER_PARTITIONS,
        .session_ms = plan->session_ms,
        .rebalance_ms = plan->rebalance_ms,
        .join_version = plan->join_version,
        .assignor = plan->assignor,
        .generation = -1,
    };
    plan->fenced = plan->gone = plan->settled = plan->resting = false;
    return member;
}

static void insist(struct member *member, bool topic)
{
    int error;
    do {
        error = topic ? life_make_topic(&member->life, STR(MEMBER_TOPIC), MEMBER_PARTITIONS)
                      : life_find(&member->life, str_of(member->plan->group), 0);
        if (error != 0)
            life_rest(&member->life, 5 + (int64_t)life_dice(&member->life, 100));
    } while (error != 0 && !member->plan->stop);
}

void member_main(struct env *env, void *context)
{
    struct member_plan *plan = context;
    struct member *member = member_begin(env, plan);
    insist(member, true);
    insist(member, false);
    if (plan->consumer)
        member_consume(member);
    while (!plan->consumer && !plan->stop && !plan->fenced && !plan->gone) {
        if (!join(member) || !member_fetch_positions(member, member->place.owned)) {
            life_rest(&member->life, 20 + (int64_t)life_dice(&member->life, 200));
            continue;
        }
        judge(member, serve(member));
        member_tell(member, false);
    }
    if (!plan->consumer && plan->stop && plan->calm && *member->place.id)
        (void)membership_leave(&member->place);
    life_end(&member->life);
    free(member);
}
