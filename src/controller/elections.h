/* Changes of one partition: who leads, who is in sync, who is eligible (KIP-966), which
 * reassignments are complete.
 *
 * A change starts as the partition is; the caller sets what it wants; update_finish elects a leader
 * where one is needed and adds a PartitionChangeRecord when anything differs. */
#ifndef JACKDAW_CONTROLLER_ELECTIONS_H
#define JACKDAW_CONTROLLER_ELECTIONS_H

#include "controller/decision.h"

enum { REPLICAS_MAX = 1024 }; /* of one partition; more are not taken in assignments */

enum election_kind {
    ELECT_ONLINE,    /* the leader stays if it can; else any in-sync or eligible replica */
    ELECT_PREFERRED, /* the first replica if it can; else as ELECT_ONLINE */
    ELECT_UNCLEAN,   /* as ELECT_ONLINE; else any live replica, at the price of records */
};

/* Brokers to be seen otherwise than the head shows them, because the same decision fences or
 * unfences them. -1: none. */
struct broker_exceptions {
    int32_t leaving; /* no leader any more, though alive in the head */
    int32_t joining; /* may lead, though fenced in the head */
    int32_t unclean; /* lost its memory: neither leader nor eligible */
};

#define NO_EXCEPTIONS ((struct broker_exceptions){-1, -1, -1})

struct partition_update {
    struct decision *decision;
    const struct topic_image *topic;
    const struct partition_image *partition;
    struct broker_exceptions exceptions;
    enum election_kind election;
    bool elr_enabled;
    int32_t min_isr; /* effective min.insync.replicas, at most the replicas there are */
    /* The target. */
    struct broker_ids replicas;
    struct broker_ids isr;
    struct broker_ids removing;
    struct broker_ids adding;
    struct broker_ids elr;
    int8_t recovery_state;
    const struct uuid *directories; /* as many as replicas; NULL: as they are */
};

void update_init(struct partition_update *update, struct decision *decision,
                 const struct topic_image *topic, const struct partition_image *partition);

/* The broker's replica leaves the ISR and does not lead. */
void update_leave(struct partition_update *update, int32_t broker_id);

/* True when a record was added; ret_record is then what it says. */
bool update_finish(struct partition_update *update, struct partition_change_record *ret_record);

/* Effective min.insync.replicas and unclean.leader.election.enable of a topic, as the head has
 * them. */
int32_t topic_min_isr(const struct decision *decision, const struct topic_image *topic);
bool topic_unclean_election(const struct decision *decision, const struct topic_image *topic);

/* Which partitions a sweep looks at. */
struct sweep {
    enum {
        SWEEP_IN_ISR,     /* the broker is in the ISR */
        SWEEP_IN_ELR,     /* the broker is eligible */
        SWEEP_LEADERLESS, /* nobody leads */
    } kind;
    int32_t broker;
    const struct uuid *directories; /* the broker's replica is in one of them; NULL: anywhere */
    int32_t directory_count;
};

/* Take the leaving and the unclean broker out of the ISRs of every such partition, and elect
 * leaders. Costs a walk over all partitions: brokers come and go rarely. */
void elections_sweep(struct decision *decision, const struct sweep *sweep,
                     struct broker_exceptions exceptions);

/* Does the broker lead anything? */
bool leads_anything(const struct image *image, int32_t broker);

#endif
