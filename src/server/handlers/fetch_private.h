/* What the stages of a fetch share: fetch.c (which partitions, waiting) and fetch_answer.c (reading
 * and answering). */
#ifndef JACKDAW_SERVER_FETCH_PRIVATE_H
#define JACKDAW_SERVER_FETCH_PRIVATE_H

#include "server/fetch_session.h"
#include "server/request.h"

/* A partition in the answer. */
struct fetch_part {
    struct fetch_partition *from; /* not the session's any more once it is answered */
    struct partition *partition;  /* a reference; NULL where there is an error */
    int64_t fetch_offset;
    int error;
    struct log_span *span; /* of `records`, or NULL: no records */
    struct request_records records;
    int64_t high_watermark, last_stable, log_start;
    struct aborted_transaction *aborted;
    int32_t aborted_count;
};

/* What may still be returned; the first batch comes whole whatever the limits (KIP-74). */
struct fetch_room {
    int64_t bytes_left;
    bool nothing_yet;
};

struct fetch_work {
    struct request *request;
    struct fetch_session *session; /* borrowed, or NULL */
    struct fetch_watch *watch;     /* the session's, or `own` */
    struct fetch_watch own;
    struct fetch_partition *own_partitions;
    int32_t own_count;
    bool incremental;
    bool parked; /* the deadline is set */

    /* From here on for the answer. */
    bool answering; /* the wait is over */
    bool reading;   /* a pool job reads on from part_at */
    struct fetch_part *parts;
    int32_t part_count;
    int32_t part_at;
    struct fetch_room room;
    struct pool_job cold;
};

/* Answer with what is there now, for the active partitions. PARKED while the device is waited for.
 */
enum outcome fetch_answer(struct request *request, struct fetch_work *work);
/* Drop what the answer referred to. */
void fetch_answer_cleanup(struct fetch_work *work);

/* The most that the answer may return. */
int32_t fetch_most_bytes(struct request *request);

#endif
