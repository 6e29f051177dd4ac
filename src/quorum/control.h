/* Control batches of the metadata log: who leads, who votes, and which kraft.version holds.
 * Source: KIP-595, KIP-853. */
#ifndef JACKDAW_QUORUM_CONTROL_H
#define JACKDAW_QUORUM_CONTROL_H

#include "base/arena.h"
#include "quorum/quorum.h"

/* Types of control records. */
enum control_type {
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_VOTERS = 6,
};

/* What the control records read so far say. */
struct voter_set {
    struct arena arena; /* of the voters */
    struct quorum_voter *items;
    int32_t count;
    int16_t kraft_version;
    int32_t records_read;   /* VotersRecords seen by voter_set_read */
    int64_t last_timestamp; /* of the snapshot header read last; -1 none */
};

void voter_set_init(struct voter_set *set);
void voter_set_close(struct voter_set *set);
struct quorum_voters voter_set_view(const struct voter_set *set);

/* Replace the voters by a copy. 0 or -ENOMEM. */
int voter_set_assign(struct voter_set *set, int16_t kraft_version,
                     const struct quorum_voter *voters, int32_t count);

/* Take in a control batch of a log or a snapshot. 0, -EBADMSG, -ENOMEM; -EOVERFLOW above
 * QUORUM_VOTERS_MAX or QUORUM_ENDPOINTS_MAX. */
int voter_set_read(struct voter_set *set, const struct batch *batch);

/* Append one record to a control batch under construction. Failures show in the builder. */
void control_add_leader_change(struct batch_builder *builder, int64_t timestamp, int32_t leader_id);
void control_add_voters(struct batch_builder *builder, int64_t timestamp,
                        struct quorum_voters voters); /* KRaftVersion and Voters */
void control_add_snapshot_header(struct batch_builder *builder, int64_t timestamp,
                                 int64_t last_timestamp);
void control_add_snapshot_footer(struct batch_builder *builder, int64_t timestamp);

#endif
