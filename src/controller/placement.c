#include "controller/placement.h"

#include <errno.h>
#include <stdlib.h>

/* Brokers of one rack and one state, walked from an offset that moves on with every partition. */
struct stripe {
    int32_t *brokers;
    int32_t count;
    int32_t epoch; /* the partition it was last walked for */
    int32_t index;
    int32_t offset;
};

struct rack {
    struct str name;
    struct stripe live;
    struct stripe fenced;
};

struct placer {
    struct env *env;
    struct rack *racks; /* by name */
    int32_t rack_count;
    int32_t broker_count;
    int32_t live_count;
    int32_t epoch;
    int32_t offset;
};

static int32_t random_below(struct env *env, int32_t bound)
{
    uint32_t number;
    env_random(env, &number, sizeof number);
    return (int32_t)(number % (uint32_t)bound);
}

bool broker_is_cordoned(const struct broker_image *broker)
{
    if (broker->cordoned_log_dir_count <= 0 || broker->log_dir_count == 0)
        return false;
    for (int32_t i = 0; i < broker->log_dir_count; i++) {
        bool found = false;
        for (int32_t j = 0; j < broker->cordoned_log_dir_count; j++)
            found |= uuid_equal(broker->log_dirs[i], broker->cordoned_log_dirs[j]);
        if (!found)
            return false;
    }
    return true;
}

bool broker_is_active(const struct image *image, int32_t broker_id)
{
    const struct broker_image *broker = image_broker(image, broker_id);
    return broker && !broker->fenced && !broker->in_controlled_shutdown;
}

struct uuid placement_directory(const struct image *image, int32_t broker_id)
{
    const struct broker_image *broker = image_broker(image, broker_id);
    return broker && broker->log_dir_count == 1 ? broker->log_dirs[0] : uuid_of(0, 1);
}

static int rack_order(const void *a, const void *b)
{
    return str_compare(((const struct rack *)a)->name, ((const struct rack *)b)->name);
}

static struct rack *find_rack(struct placer *placer, struct str name)
{
    for (int32_t i = 0; i < placer->rack_count; i++)
        if (str_equal(placer->racks[i].name, name))
            return &placer->racks[i];
    struct rack *rack = &placer->racks[placer->rack_count++];
    *rack = (struct rack){.name = name};
    return rack;
}

static bool is_usable(const struct broker_image *broker)
{
    return !broker->in_controlled_shutdown && !broker_is_cordoned(broker);
}

/* Round one counts each rack's brokers, round two lists them; by id, as the image gives them. */
static bool collect(struct decision *decision, struct placer *placer)
{
    struct tree_cursor cursor;
    const struct broker_image *broker;
    brokers_from(decision->head, INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor))) {
        if (!is_usable(broker))
            continue;
        struct rack *rack = find_rack(placer, broker->rack);
        struct stripe *stripe = broker->fenced ? &rack->fenced : &rack->live;
        stripe->count++;
        placer->broker_count++;
        placer->live_count += !broker->fenced;
    }
    qsort(placer->racks, (size_t)placer->rack_count, sizeof placer->racks[0], rack_order);
    for (int32_t i = 0; i < placer->rack_count; i++) {
        struct stripe *stripes[] = {&placer->racks[i].live, &placer->racks[i].fenced};
        for (int s = 0; s < 2; s++) {
            struct stripe *stripe = stripes[s];
            stripe->brokers =
                arena_array(decision->scratch, (size_t)stripe->count, sizeof stripe->brokers[0]);
            if (!stripe->brokers)
                return false;
            stripe->epoch = -1;
            stripe->offset = stripe->count ? random_below(decision->env, stripe->count) : 0;
            stripe->count = 0;
        }
    }
    brokers_from(decision->head, INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor))) {
        if (!is_usable(broker))
            continue;
        struct rack *rack = find_rack(placer, broker->rack);
        struct stripe *stripe = broker->fenced ? &rack->fenced : &rack->live;
        stripe->brokers[stripe->count++] = broker->id;
    }
    return true;
}

struct placer *placer_create(struct decision *decision)
{
    struct placer *placer = arena_alloc(decision->scratch, sizeof *placer);
    size_t racks_max = (size_t)tree_size(&decision->head->brokers) + 1;
    if (placer)
        placer->racks = arena_array(decision->scratch, racks_max, sizeof placer->racks[0]);
    if (!placer || !placer->racks || !collect(decision, placer)) {
        decision->error = -ENOMEM;
        return NULL;
    }
    placer->env = decision->env;
    placer->offset = placer->rack_count ? random_below(decision->env, placer->rack_count) : 0;
    return placer;
}

struct outcome placer_check(struct decision *decision, const struct placer *placer,
                            int32_t replication_factor)
{
    if (replication_factor <= 0)
        return outcome_printf(
            decision, KAFKA_INVALID_REPLICATION_FACTOR,
            "Invalid replication factor %d: the replication factor must be positive.",
            replication_factor);
    if (placer->live_count == 0)
        return outcome_of(
            KAFKA_INVALID_REPLICATION_FACTOR,
            "All brokers are currently fenced, or have all their log directories cordoned.");
    if (replication_factor > placer->broker_count)
        return outcome_printf(decision, KAFKA_INVALID_REPLICATION_FACTOR,
                              "The target replication factor of %d cannot be reached because only "
                              "%d broker(s) are registered or some brokers have all their log "
                              "directories cordoned.",
                              replication_factor, placer->broker_count);
    return OUTCOME_OK;
}

/* The next broker for this partition, or -1 when all were given. */
static int32_t stripe_next(struct stripe *stripe, int32_t epoch)
{
    if (stripe->count == 0)
        return -1;
    if (stripe->epoch != epoch) {
        stripe->epoch = epoch;
        stripe->index = 0;
        stripe->offset = (stripe->offset + 1) % stripe->count;
    }
    if (stripe->index >= stripe->count)
        return -1;
    return stripe->brokers[(stripe->index++ + stripe->offset) % stripe->count];
}

static int32_t rack_next(struct rack *rack, int32_t epoch)
{
    int32_t broker = stripe_next(&rack->live, epoch);
    return broker >= 0 ? broker : stripe_next(&rack->fenced, epoch);
}

static void stripe_shuffle(struct placer *placer, struct stripe *stripe)
{
    for (int32_t i = stripe->count - 1; i > 0; i--) {
        int32_t j = random_below(placer->env, i + 1);
        int32_t swap = stripe->brokers[i];
        stripe->brokers[i] = stripe->brokers[j];
        stripe->brokers[j] = swap;
    }
}

/* As many partitions as live brokers have gone by: the same combinations would come again. */
static void shuffle(struct placer *placer)
{
    for (int32_t i = placer->rack_count - 1; i > 0; i--) {
        int32_t j = random_below(placer->env, i + 1);
        struct rack swap = placer->racks[i];
        placer->racks[i] = placer->racks[j];
        placer->racks[j] = swap;
    }
    for (int32_t i = 0; i < placer->rack_count; i++) {
        stripe_shuffle(placer, &placer->racks[i].live);
        stripe_shuffle(placer, &placer->racks[i].fenced);
        placer->racks[i].live.epoch = -1;
        placer->racks[i].fenced.epoch = -1;
    }
}

void placer_place(struct placer *placer, int32_t replication_factor, int32_t *ret_replicas)
{
    if (placer->epoch == placer->live_count) {
        shuffle(placer);
        placer->epoch = 0;
    }
    if (placer->offset == placer->rack_count)
        placer->offset = 0;
    /* The leader: the first live broker from this rack on. */
    int32_t first = placer->offset;
    int32_t broker;
    while ((broker = stripe_next(&placer->racks[first].live, placer->epoch)) < 0)
        first = (first + 1) % placer->rack_count;
    ret_replicas[0] = broker;
    /* The others: a rack after the other, the leader's left out once. */
    int32_t rack = placer->offset;
    for (int32_t i = 1; i < replication_factor; i++) {
        do {
            broker = -1;
            if (rack == first)
                first = -1;
            else
                broker = rack_next(&placer->racks[rack], placer->epoch);
            rack = (rack + 1) % placer->rack_count;
        } while (broker < 0);
        ret_replicas[i] = broker;
    }
    placer->epoch++;
    placer->offset++;
}
