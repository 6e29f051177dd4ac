/* Where replicas go. */
#ifndef JACKDAW_CONTROLLER_PLACEMENT_H
#define JACKDAW_CONTROLLER_PLACEMENT_H

#include "controller/decision.h"

/* Kafka's striped placement: replicas of a partition go to different racks as far as there are
 * racks, live brokers come before fenced ones, and successive partitions start at successive racks
 * and brokers, so that leaders and followers spread evenly. Racks and brokers start at random
 * places. */
struct placer;

/* The brokers that may get replicas: registered, not shutting down, not with all their log
 * directories cordoned. NULL when memory runs out (then decision->error is set). Lives in scratch.
 */
struct placer *placer_create(struct decision *decision);

/* Whether that many replicas can be placed; else INVALID_REPLICATION_FACTOR with Kafka's text. */
struct outcome placer_check(struct decision *decision, const struct placer *placer,
                            int32_t replication_factor);

/* The replicas of the next partition; after placer_check. */
void placer_place(struct placer *placer, int32_t replication_factor, int32_t *ret_replicas);

/* The broker's one log directory, or the reserved ids UNASSIGNED (it has several, or is unknown).
 */
struct uuid placement_directory(const struct image *image, int32_t broker_id);

bool broker_is_cordoned(const struct broker_image *broker);

/* Registered, neither fenced nor in controlled shutdown: may be in an ISR and lead. */
bool broker_is_active(const struct image *image, int32_t broker_id);

#endif
