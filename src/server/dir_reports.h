/* What the controller hears of this broker's log directories (KIP-858): where a replica lies when
 * the metadata does not say so, and which directories failed. It takes the leaders away from those,
 * so that clients are told that there is none instead of being sent here. Home loop.
 *
 * What cannot be told now is told later; nobody waits for it. */
#ifndef JACKDAW_SERVER_DIR_REPORTS_H
#define JACKDAW_SERVER_DIR_REPORTS_H

#include "base/arena.h"
#include "controller/controller.h"
#include "partition/partition.h"

struct broker;

struct dir_reports {
    struct controller_op op;
    struct arena arena; /* of the op */
    struct loop_timer retry;
    bool started, running;
    int32_t failed_told; /* directories that the controller knows to be offline */
    int32_t failed_count;
    struct partition **placed; /* of the op: a reference each */
    int32_t placed_count;
};

/* After the broker has begun to follow the image. */
void dir_reports_start(struct broker *broker);
/* A directory failed. */
void dir_reports_failed(struct broker *broker);
/* At a stop; what is under way ends by itself: see dir_reports_quiet. */
void dir_reports_stop(struct broker *broker);
bool dir_reports_quiet(const struct broker *broker);

#endif
