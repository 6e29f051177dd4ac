/* What a copier does. */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "copier_life.h"
#include "history.h"

/* ---- what is known ---- */

static void forget_open(struct copies *copies, int32_t place)
{
    copies->open[place] = copies->open[--copies->open_count];
}

/* From here on it must not have been committed: others have, from where it began, or the position
 * was read that was before it. */
static void drop_rivals(struct copies *copies, int32_t share)
{
    for (int32_t i = copies->open_count - 1; i >= 0; i--) {
        struct attempt *attempt = &copies->attempts[copies->open[i]];
        if (attempt->count[share] == 0)
            continue;
        if (attempt->fate == FATE_ASKED)
            attempt->fate = FATE_NEVER;
        forget_open(copies, i);
    }
}

static void attempt_committed(struct copies *copies, struct attempt *attempt)
{
    if (attempt->fate == FATE_COMMITTED)
        return; /* whoever took a share over has seen it */
    if (attempt->fate == FATE_NEVER)
        history_fail("a commit is answered of inputs that were committed by others or not at all");
    attempt->fate = FATE_COMMITTED;
    copies->commits++;
    for (int32_t share = 0; share < COPY_SHARES; share++) {
        if (attempt->count[share] == 0)
            continue;
        if (copies->position[share] != attempt->first[share])
            history_fail("share %d: committed from %d on, and before up to %d", share,
                         attempt->first[share], copies->position[share]);
        copies->position[share] += attempt->count[share];
        copies->changes[share]++;
        drop_rivals(copies, share);
    }
}

static struct attempt *open_attempt(struct copies *copies, int32_t share, int32_t position)
{
    for (int32_t i = 0; i < copies->open_count; i++) {
        struct attempt *attempt = &copies->attempts[copies->open[i]];
        if (attempt->count[share] > 0 && attempt->first[share] + attempt->count[share] == position)
            return attempt;
    }
    return NULL;
}

/* Whether the position is one that the copies allow; the fate of open attempts is then known, and
 * with it the positions of all shares that they were about. */
static void take_position(struct copier *copier, int32_t share, int64_t offset)
{
    struct copies *copies = copier->copies;
    int32_t position = offset < 0 ? 0 : (int32_t)offset;
    struct attempt *attempt = open_attempt(copies, share, position);
    if (position != copies->position[share] && attempt)
        attempt_committed(copies, attempt);
    if (position != copies->position[share])
        history_fail("share %d: the position is %d, and should be %d", share, position,
                     copies->position[share]);
    drop_rivals(copies, share);
    copier->position[share] = position;
}

/* What was read while another copier went on says nothing. */
static int read_position(struct copier *copier)
{
    struct copies *copies = copier->copies;
    int32_t share = copier->share, changes = copies->changes[share];
    int64_t offset = -1;
    int error = fetch_position(copier, share, &offset);
    if (error == 0 && copies->changes[share] != changes)
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (error == 0)
        take_position(copier, share, offset);
    return error;
}

static bool read_positions(struct copier *copier, uint64_t shares)
{
    for (copier->share = 0; copier->share < COPY_SHARES; copier->share++)
        if ((shares >> copier->share & 1) && insist(copier, read_position) != 0)
            return false;
    return true;
}

/* ---- the group ---- */

/* Whether it has shares to copy, and knows from where: of its own, or given by the group. */
static bool take_place(struct copier *copier)
{
    struct membership *place = &copier->place;
    if (!copier->plan->grouped)
        return read_positions(copier, place->owned = UINT64_C(1) << copier->plan->index);
    int error = *place->id && place->owned != 0 ? membership_beat(place) : KAFKA_ILLEGAL_GENERATION;
    if (error != 0 && error != GROUP_NO_ANSWER && !life_passes(error)) {
        membership_forget(place, error == KAFKA_UNKNOWN_MEMBER_ID);
        error = membership_join(place, COPY_JOIN_MS);
        if (error == KAFKA_MEMBER_ID_REQUIRED)
            error = membership_join(place, COPY_JOIN_MS);
        if (error == 0)
            error = membership_sync(place, (uint32_t)dice(copier, 8), COPY_JOIN_MS);
        if (error == KAFKA_UNKNOWN_MEMBER_ID)
            membership_forget(place, true);
    }
    return error == 0 && read_positions(copier, place->owned);
}

/* Whether it may go on with what it has. */
static bool keeps_place(struct copier *copier)
{
    return !copier->plan->grouped || membership_beat(&copier->place) == 0;
}

/* ---- a transaction ---- */

/* Until it is answered, as idempotent producers do: what was taken already is not taken again. */
static int send_until_answered(struct copier *copier, int32_t partition, int32_t share,
                               int32_t input, int32_t number)
{
    int error = GROUP_NO_ANSWER;
    for (int tries = 0; error == GROUP_NO_ANSWER && tries < COPY_SENDS_MAX; tries++)
        error = send_record(copier, copier->epoch, partition, share, input, number);
    return error;
}

/* Each record once. */
static bool write_records(struct copier *copier, int32_t number, int32_t share)
{
    const struct attempt *attempt = &copier->copies->attempts[number];
    int error, tries = 0;
    for (int32_t i = 0; i < attempt->count[share]; i++) {
        int32_t input = copier->position[share] + i;
        int32_t partition = (int32_t)dice(copier, COPY_PARTITIONS);
        do
            error = copier->plan->newer ? 0 : add_partition(copier, partition);
        while (life_wait_for(&copier->life, error, &tries));
        if (error != 0)
            return false;
        do
            error = send_until_answered(copier, partition, share, input, number);
        while (life_wait_for(&copier->life, error, &tries));
        if (error != 0)
            return false;
        copier->sequence[partition]++;
    }
    return true;
}

/* Of a generation that is over: it must not be taken. */
static bool commit_of_before(struct copier *copier, const int32_t positions[COPY_SHARES])
{
    int error = commit_positions(copier, copier->epoch, positions, copier->place.generation - 1);
    if (error == 0)
        history_fail("copier %d: positions of an old generation are taken", copier->plan->index);
    return error > 0;
}

/* Records, then the positions. False: the life of this producer is over. */
static bool write_attempt(struct copier *copier, int32_t number)
{
    const struct attempt *attempt = &copier->copies->attempts[number];
    int32_t positions[COPY_SHARES];
    int error, tries = 0;
    for (int32_t share = 0; share < COPY_SHARES; share++) {
        positions[share] =
            attempt->count[share] > 0 ? copier->position[share] + attempt->count[share] : -1;
        if (!write_records(copier, number, share))
            return false;
    }
    do
        error = copier->plan->newer ? 0 : add_group(copier);
    while (life_wait_for(&copier->life, error, &tries));
    if (error != 0)
        return false;
    if (copier->place.generation > 1 && dice(copier, 8) == 0 &&
        !commit_of_before(copier, positions))
        return false;
    do
        error = commit_positions(copier, copier->epoch, positions, copier->place.generation);
    while (life_wait_for(&copier->life, error, &tries));
    return error == 0;
}

/* What was sent before the end of the transaction and arrives after it must not open anything.
 * Until its markers are written it would be part of it, as with Kafka. False: no answer came, and
 * an older client's may yet arrive in its next transaction, so that must have another epoch. */
static bool be_late(struct copier *copier, int16_t old_epoch)
{
    struct copies *copies = copier->copies;
    int error;
    if (insist(copier, look_for_end) != 0)
        return false;
    if (dice(copier, 2) == 0) {
        int32_t number = copies->attempt_count++;
        must(number < COPY_ATTEMPTS_MAX);
        copies->attempts[number] = (struct attempt){.fate = FATE_NEVER};
        error = send_record(copier, old_epoch, 0, 0, copier->position[0], number);
    } else {
        const int32_t positions[COPY_SHARES] = {COPY_INPUTS_MAX, -1, -1};
        error = commit_positions(copier, old_epoch, positions, copier->place.generation);
    }
    if (error == 0)
        history_fail("copier %d: what came after the end of its transaction was taken",
                     copier->plan->index);
    return error > 0;
}

/* The number of an attempt at the next inputs of some of its shares. */
static int32_t attempt_begin(struct copier *copier)
{
    struct copies *copies = copier->copies;
    must(copies->attempt_count < COPY_ATTEMPTS_MAX);
    struct attempt *attempt = &copies->attempts[copies->attempt_count];
    *attempt = (struct attempt){.fate = FATE_NEVER};
    for (int32_t share = 0; share < COPY_SHARES; share++)
        if (copier->place.owned >> share & 1) {
            attempt->first[share] = copier->position[share];
            attempt->count[share] = 1 + (int32_t)dice(copier, 4);
            must(copier->position[share] + attempt->count[share] < COPY_INPUTS_MAX);
            if (dice(copier, 2) == 0)
                break;
        }
    return copies->attempt_count++;
}

/* If others have gone on from where it began it cannot be committed any more: its transaction has
 * timed out while this copier stood still. */
static void ask_commit(struct copier *copier, int32_t number)
{
    struct copies *copies = copier->copies;
    struct attempt *attempt = &copies->attempts[number];
    for (int32_t share = 0; share < COPY_SHARES; share++)
        if (attempt->count[share] > 0 && copies->position[share] != attempt->first[share])
            return;
    attempt->fate = FATE_ASKED;
    must(copies->open_count < COPY_OPEN_MAX);
    copies->open[copies->open_count++] = number;
    for (int32_t share = 0; share < COPY_SHARES; share++)
        copies->changes[share] += attempt->count[share] > 0;
}

static bool end_attempt(struct copier *copier, int32_t number)
{
    struct copies *copies = copier->copies;
    struct attempt *attempt = &copies->attempts[number];
    bool commit = dice(copier, 4) != 0;
    int64_t id = copier->producer_id, again_id = id;
    int16_t before = copier->epoch, epoch = before, again_epoch;
    int error, tries = 0;
    if (copier->plan->grouped && dice(copier, 24) == 0) /* until others have its shares */
        life_rest(&copier->life, COPY_SESSION_MS + (int64_t)dice(copier, 6000));
    if (commit)
        ask_commit(copier, number);
    do
        error = end_transaction(copier, before, commit, &id, &epoch);
    while (life_wait_for(&copier->life, error, &tries));
    if (error != 0)
        return false;
    if (copier->plan->newer && dice(copier, 4) == 0) { /* the answer was lost, say */
        again_epoch = epoch;
        error = end_transaction(copier, before, commit, &again_id, &again_epoch);
        if (error == 0 && (again_id != id || again_epoch != epoch))
            history_fail("copier %d: a repeated end has another answer", copier->plan->index);
    }
    if (commit) {
        attempt_committed(copies, attempt);
        for (int32_t share = 0; share < COPY_SHARES; share++)
            copier->position[share] += attempt->count[share];
    }
    if (dice(copier, 4) == 0 && !be_late(copier, before))
        return false;
    if (copier->plan->newer)
        memset(copier->sequence, 0, sizeof copier->sequence);
    copier->producer_id = id;
    copier->epoch = epoch;
    return true;
}

static void copy(struct copier *copier)
{
    while (!copier->copies->stop && copier->place.owned != 0) {
        int32_t number = attempt_begin(copier);
        if (!write_attempt(copier, number) || !end_attempt(copier, number))
            return;
        if (copier->plan->grouped && dice(copier, 40) == 0)
            (void)membership_leave(&copier->place);
        life_rest(&copier->life, (int64_t)dice(copier, 30));
        if (!keeps_place(copier) && !take_place(copier))
            return;
    }
}

void copier_main(struct env *env, void *plan)
{
    struct copier *copier = copier_begin(env, plan);
    int32_t index = copier->plan->index;
    uint64_t all = copier->plan->grouped ? (UINT64_C(1) << COPY_SHARES) - 1 : UINT64_C(1) << index;
    while (insist(copier, make_topics) != 0 || insist(copier, find_group) != 0 ||
           insist(copier, find_transaction) != 0)
        ;
    while (!copier->copies->stop) {
        while (insist(copier, init_producer) != 0)
            ;
        if (take_place(copier))
            copy(copier); /* until it fails: then with a new epoch */
        else
            life_rest(&copier->life, (int64_t)dice(copier, 100));
        if (copier->place.owned == 0)
            life_rest(&copier->life, 200); /* a member without a share waits for one */
    }
    /* What it has left open ends; when that is so for all it is known how. */
    while (insist(copier, init_producer) != 0)
        ;
    copier->copies->ended[index] = true;
    for (int i = 0; i < COPIERS; i++)
        while (!copier->copies->ended[i])
            life_rest(&copier->life, 20);
    while (!read_positions(copier, all))
        ;
    copier->copies->idle[index] = true;
    copier_end(copier);
}
