#include "server/handlers/offsets_verify.h"

#include "server/internal_topics.h"

enum {
    OFFSETS_ABORTABLE_SINCE = 4, /* the version that knows TRANSACTION_ABORTABLE */
    OFFSETS_ADD_SINCE = 5,       /* transactions version 2: no AddOffsetsToTxn of the client */
};

static bool adds(const struct request *request)
{
    return request->version >= OFFSETS_ADD_SINCE;
}

static void lock_given(struct park_waiter *park, struct wakes *wakes)
{
    request_wake_later(container_of(park, struct offsets_verify, park)->request, wakes);
}

static int verify_find(struct offsets_verify *verify, struct request *request, int32_t index)
{
    struct partition_set *partitions = &request_broker(request)->partitions;
    const struct topic_image *topic = image_topic_named(request_image(request), STR(GROUP_TOPIC));
    struct partition *partition = topic ? partition_find(partitions, topic->id, index) : NULL;
    if (!partition)
        return KAFKA_NOT_COORDINATOR;
    verify->request = request;
    verify->partition = partition_ref(partition);
    verify->park.fire = lock_given;
    verify->index = index;
    return 0;
}

/* Under the append lock. */
static int verify_begin(struct offsets_verify *verify, struct request *request)
{
    const struct txn_offset_commit_request *body = request->body;
    verify->verification = partition_verification_begin(verify->partition, body->producer_id,
                                                        body->producer_epoch, -1, adds(request));
    if (verify->verification < 0)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (verify->verification == 0)
        return 0;
    verify->topic = (struct txn_topic){STR(GROUP_TOPIC), &verify->index, 1};
    const struct txn_question question = {
        .transactional_id = body->transactional_id,
        .producer_id = body->producer_id,
        .producer_epoch = body->producer_epoch,
        .adds = adds(request),
        .partitions = {&verify->topic, 1},
        .results = &verify->result,
    };
    txn_ask_init(&verify->ask, request, &question);
    return 0;
}

static bool done(struct offsets_verify *verify, int err, int *ret_error)
{
    verify->stage = OFFSETS_DONE;
    *ret_error = err;
    return true;
}

static bool answered(struct offsets_verify *verify, int err, int *ret_error)
{
    if (err == 0 && !adds(verify->request))
        err = verify->result;
    if (err == KAFKA_REQUEST_TIMED_OUT) /* as whoever waits for the commit itself is told */
        err = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (err == KAFKA_TRANSACTION_ABORTABLE && verify->request->version < OFFSETS_ABORTABLE_SINCE)
        err = KAFKA_INVALID_TXN_STATE;
    return done(verify, err, ret_error);
}

bool offsets_verify_run(struct offsets_verify *verify, struct request *request, int32_t partition,
                        struct coord_transaction *transaction, int *ret_error)
{
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    int err;
    if (verify->stage == OFFSETS_FIND) {
        if (!settings->transaction_partition_verification_enable && !adds(request))
            return done(verify, 0, ret_error);
        err = verify_find(verify, request, partition);
        if (err != 0)
            return done(verify, err, ret_error);
        verify->stage = OFFSETS_BEGIN;
    }
    if (verify->stage == OFFSETS_BEGIN) {
        if (!parklock_take(&verify->partition->append_lock, &verify->park))
            return false;
        err = verify_begin(verify, request);
        parklock_release(&verify->partition->append_lock);
        if (err != 0)
            return done(verify, err, ret_error);
        transaction->verify = true;
        transaction->verification = verify->verification;
        if (verify->verification == 0)
            return done(verify, 0, ret_error);
        verify->stage = OFFSETS_ASK;
    }
    return txn_ask_run(&verify->ask, &err) && answered(verify, err, ret_error);
}

void offsets_verify_close(struct offsets_verify *verify)
{
    partition_unref(verify->partition);
    verify->partition = NULL;
}
