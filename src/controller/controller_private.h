/* The controller's own struct; controller.c runs ops, propose.c carries
 * decisions to the published image, activation.c listens to the quorum. */
#ifndef JACKDAW_CONTROLLER_PRIVATE_H
#define JACKDAW_CONTROLLER_PRIVATE_H

#include "base/heap.h"
#include "controller/controller.h"
#include "controller/decision.h"
#include "controller/sessions.h"
#include "metadata/loader.h"

enum {
    CONTROLLER_BATCH_BYTES = 4 * 1024 * 1024, /* records of one decision are split above this */
    CONTROLLER_BOOTSTRAP_MAX = 100,           /* features of a bootstrap snapshot */
    CONTROLLER_TIMEOUT_MIN_MS = 1000,         /* shorter timeouts of requests count as this */
    CONTROLLER_TIMEOUT_DEFAULT_MS = 60000,
};

enum controller_phase {
    CONTROLLER_NEW,
    CONTROLLER_LOADING, /* ops wait */
    CONTROLLER_ACTIVE,
    CONTROLLER_INACTIVE, /* another leads, or nobody */
    CONTROLLER_STOPPING,
    CONTROLLER_STOPPED,
};

/* A decision on its way: proposed, then committed, then published, then answered. */
struct work {
    struct list link;         /* in controller->works, by last_offset */
    struct controller_op *op; /* NULL: nobody waits any more, or ever did */
    int32_t proposals;        /* not yet done */
    int64_t last_offset;
    bool wrote; /* there were records */
    int result;
    void (*then)(struct controller *controller); /* when it is published; NULL: nothing */
};

struct controller {
    struct controller_params params; /* texts in `arena` */
    struct arena arena;
    struct quorum *quorum;
    struct metadata_loader loader;
    enum controller_phase phase;
    int32_t epoch; /* this node's, while active */
    bool failed;

    struct image_builder head;
    int64_t head_offset; /* of the last record proposed, or else of what is committed */
    bool head_void;      /* a proposal failed: the head is to be made anew */
    int void_error;      /* why */
    struct loop_task renew_head;
    bool renew_queued;
    struct loop_timer abort_timer;
    bool abort_needed; /* a metadata transaction is open in the log, and nobody will end it */
    struct arena scratch;

    struct list waiting; /* ops that came while loading */
    struct list works;
    int32_t op_count; /* arrived and not answered */
    struct heap deadlines;
    struct loop_timer deadline_timer;

    struct sessions sessions;
    struct loop_timer session_timer;
    struct loop_timer idle_timer;
    int64_t last_proposal_ns;

    struct snapshot_id loading_snapshot;
    struct feature_level_record bootstrap[CONTROLLER_BOOTSTRAP_MAX];
    int32_t bootstrap_count;
    struct uuid incarnation_id;
    const struct quorum_endpoint *endpoints; /* this node's, as a controller */
    int32_t endpoint_count;

    void (*ready)(void *context);
    void *ready_context;
    void (*stopped)(void *context, int result);
    void *stopped_context;
};

/* Begin a decision on the head, which is made anew first if it must be. */
void decision_begin(struct controller *controller, struct decision *decision,
                    struct arena *response_arena);

/* Propose what was decided, and apply it to the head. `op` or `then` may be NULL. 0, or an error
 * and nothing was done (then the caller answers). Scratch memory is void afterwards. */
int controller_propose(struct controller *controller, struct decision *decision,
                       struct controller_op *op, void (*then)(struct controller *controller));

/* A broker's session may end earlier than the timer is set for; remote brokers may have come. */
void controller_arm_timers(struct controller *controller);

/* Give the op back to its submitter: answered, or refused with the error in every part. */
void op_answer(struct controller *controller, struct controller_op *op, int result, int64_t offset);
void op_refuse(struct controller *controller, struct controller_op *op, int result,
               const char *message);

/* Answer every op that waits or is under way. */
void controller_fail_ops(struct controller *controller, int result);

/* Decide the ops that waited for the controller to be active. */
void controller_run_waiting(struct controller *controller);

/* The quorum's listener; activation.c. */
void controller_listener(struct controller *controller, struct quorum_listener *ret_listener);
/* The loader's callback, and a timer's; propose.c. */
void controller_abort_fire(struct loop *loop, struct loop_timer *timer);
void controller_free_works(struct controller *controller);
void controller_published(void *context, const struct image *image);

#endif
