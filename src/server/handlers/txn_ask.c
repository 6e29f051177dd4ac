#include "server/handlers/txn_ask.h"

#define NS_PER_MS INT64_C(1000000)

/* Markers in this process take less than the least time that a client would wait: some 100 us
 * while the broker has time. */
#define PAUSE_FIRST_NS (NS_PER_MS / 8)

static void ask_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct txn_ask, add.op)->request, wakes);
}

static void pause_over(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct txn_ask *ask = container_of(timer, struct txn_ask, pause);
    ask->stage = TXN_ASK;
    request_wake(ask->request);
}

void txn_ask_init(struct txn_ask *ask, struct request *request, const struct txn_question *question)
{
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    *ask = (struct txn_ask){.request = request, .question = *question};
    ask->give_up_ns = request->home->loop.now_ns +
                      settings->add_partitions_to_txn_retry_backoff_max_ms * NS_PER_MS;
    loop_timer_init(&ask->pause, pause_over);
}

static int ask_begin(struct txn_ask *ask)
{
    const struct txn_question *question = &ask->question;
    ask->add = (struct txn_add_op){
        .transactional_id = question->transactional_id,
        .producer_id = question->producer_id,
        .producer_epoch = question->producer_epoch,
        .client_version = question->adds ? TXN_VERSION_EPOCH_BUMP : TXN_VERSION_PLAIN,
        .verify_only = !question->adds,
        .partitions = question->partitions,
        .results = question->results,
    };
    txn_add_op(&ask->add);
    ask->add.op.wake = ask_wakes;
    return coordinated_find(request_broker(ask->request)->coordinators.transactions,
                            question->transactional_id, &ask->add.op);
}

static void ask_end(struct txn_ask *ask, int err)
{
    ask->error = err == KAFKA_PRODUCER_FENCED ? KAFKA_INVALID_PRODUCER_EPOCH : err;
    ask->stage = TXN_ASKED;
}

/* Whether to put the question again after a pause. */
static bool ask_again(struct txn_ask *ask, int err)
{
    struct request *request = ask->request;
    struct loop *loop = &request->home->loop;
    if (err != KAFKA_CONCURRENT_TRANSACTIONS || !ask->question.adds || request->timed_out ||
        loop->now_ns >= ask->give_up_ns)
        return false;
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    int64_t most_ns = settings->add_partitions_to_txn_retry_backoff_ms * NS_PER_MS;
    ask->pause_ns = ask->pause_ns == 0 ? PAUSE_FIRST_NS : ask->pause_ns * 2;
    if (ask->pause_ns > most_ns)
        ask->pause_ns = most_ns;
    ask->stage = TXN_ASK_PAUSE;
    loop_timer_set(loop, &ask->pause, loop->now_ns + ask->pause_ns);
    return true;
}

bool txn_ask_run(struct txn_ask *ask, int *ret_error)
{
    struct request *request = ask->request;
    int err = 0;
    if (ask->stage == TXN_ASK_PAUSE && request->timed_out) {
        loop_timer_cancel(&request->home->loop, &ask->pause);
        ask_end(ask, KAFKA_CONCURRENT_TRANSACTIONS);
    }
    if (ask->stage == TXN_ASK) {
        err = ask_begin(ask);
        if (err != 0)
            ask_end(ask, err);
        else
            ask->stage = TXN_ASKING;
    }
    if (ask->stage == TXN_ASKING) {
        if (!coordinated_run(request, &ask->add.op, &err) || ask_again(ask, err))
            return false;
        ask_end(ask, err);
    }
    if (ask->stage != TXN_ASKED)
        return false;
    *ret_error = ask->error;
    return true;
}
