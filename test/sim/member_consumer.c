/* Members of the consumer protocol. */
#include <stdio.h>

#include "base/errors.h"
#include "base/must.h"
#include "member_life.h"

enum { LEAVE = -1, LEAVE_STATIC = -2, JOIN = 0 };

static void make_id(struct member *member)
{
    if (!*member->place.id)
        snprintf(member->place.id, sizeof member->place.id, "%08llx-%04llx",
                 (unsigned long long)life_dice(&member->life, UINT32_MAX),
                 (unsigned long long)life_dice(&member->life, 0x10000));
}

/* What is given up is committed first, as far as it went; then what is new is read. */
static bool reconcile(struct member *member, uint64_t given)
{
    struct membership *place = &member->place;
    uint64_t gained = given & ~place->owned, kept = given & place->owned;
    if (kept == place->owned && gained == 0)
        return true;
    if (kept != place->owned)
        (void)member_work(member);
    place->owned = kept;
    place->told = false;
    if (!member_fetch_positions(member, gained)) {
        member->place.owned = given; /* it has them, and does not know where it stands in them */
        return false;
    }
    place->owned = given;
    return true;
}

/* One heartbeat and what follows from it. The error; -1 also when positions could not be read. */
static int beat(struct member *member, bool full)
{
    struct membership *place = &member->place;
    uint64_t given = 0;
    bool gives = false;
    int32_t epoch = place->generation > 0 ? place->generation : JOIN;
    int error = membership_heart(place, epoch, full || epoch == JOIN, &gives, &given);
    switch (error) {
    case 0:
        return !gives || reconcile(member, given) ? 0 : KAFKA_FENCED_MEMBER_EPOCH;
    case KAFKA_FENCED_MEMBER_EPOCH:
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_UNRELEASED_INSTANCE_ID:
    case KAFKA_FENCED_INSTANCE_ID:
        break;
    default:
        must(error < 0 || life_passes(error));
    }
    return error;
}

static void leave(struct member *member, int32_t epoch)
{
    uint64_t given;
    bool gives;
    int error = membership_heart(&member->place, epoch, false, &gives, &given);
    member_forget_id(member);
    if (error != 0 || epoch != LEAVE)
        *member->old_id = '\0';
}

/* Whoever that was is a member until its session is over, and may commit as one. */
static void forget(struct member *member)
{
    member_forget_id(member);
    *member->old_id = '\0';
}

/* Whether its place is lost. */
static bool mischief(struct member *member)
{
    struct member_plan *plan = member->plan;
    switch (life_dice(&member->life, 30)) {
    case 0:
        leave(member, plan->instance && member_chance(member, 2) ? LEAVE_STATIC : LEAVE);
        plan->gone = member_chance(member, 2);
        return true;
    case 1: /* silent for too long; then as if nothing had been */
        member_tell(member, false);
        life_rest(&member->life,
                  member->place.session_ms + (int64_t)life_dice(&member->life, 4000));
        (void)member_work(member);
        return false;
    case 2:
        forget(member);
        return true;
    case 3:
    case 4:
    case 5:
    case 6:
        member_commit_too_late(member);
        return false;
    default:
        return false;
    }
}

static void lose_place(struct member *member, int error)
{
    if (error == KAFKA_UNKNOWN_MEMBER_ID)
        member_forget_id(member);
    else if (member_chance(member, 3))
        forget(member);
    /* Another has its instance id, and keeps it: for clients that is the end. */
    member->plan->fenced =
        error == KAFKA_UNRELEASED_INSTANCE_ID || error == KAFKA_FENCED_INSTANCE_ID;
    membership_forget(&member->place, false);
    member->place.generation = -1;
    member_tell(member, false);
    life_rest(&member->life, 20 + (int64_t)life_dice(&member->life, 300));
}

/* Until the place is lost, and why. */
static int serve(struct member *member)
{
    struct member_plan *plan = member->plan;
    bool full = true;
    while (!plan->stop) {
        int error = beat(member, full);
        if (error > 0 && !life_passes(error))
            return error;
        full = error != 0 || member_chance(member, 8);
        member_tell(member, error == 0);
        if (!plan->calm && mischief(member))
            return 0;
        for (int i = (int)life_dice(&member->life, 4); i > 0; i--)
            (void)member_work(member);
        if (member_chance(member, 3))
            member_look(member);
        plan->resting = plan->rest;
        while (plan->rest)
            life_rest(&member->life, 20);
        plan->resting = false;
        life_rest(&member->life,
                  100 + (int64_t)life_dice(&member->life, (uint64_t)member->place.session_ms / 4));
    }
    return 0;
}

void member_consume(struct member *member)
{
    struct member_plan *plan = member->plan;
    while (!plan->stop && !plan->gone && !plan->fenced) {
        make_id(member);
        int error = serve(member);
        if (!plan->stop)
            lose_place(member, error);
    }
    if (plan->calm && member->place.generation > 0)
        leave(member, LEAVE);
}
