/* DescribeTransactions and ListTransactions: what the transaction coordinator here knows. */
#include <errno.h>

#include "base/errors.h"
#include "regex/regex.h"
#include "server/api_table.h"
#include "server/handlers/coordinated.h"
#include "txn/txn.h"

/* ---- describe ---- */

struct describe_work {
    struct request *request;
    struct describe_transactions_response response;
    struct txn_describe_op describe;
    int32_t at; /* the one that is looked at, or the next */
    bool running;
};

static void describe_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct describe_work, describe.op)->request, wakes);
}

static struct describe_work *describe_new(struct request *request)
{
    const struct describe_transactions_request *body = request->body;
    struct describe_work *work = arena_alloc(&request->arena, sizeof *work);
    if (!work)
        return NULL;
    work->request = request;
    describe_transactions_response_init(&work->response);
    work->response.transaction_states.items =
        describe_transactions_response_transaction_state_array(&request->arena,
                                                               body->transactional_ids.count);
    return work->response.transaction_states.items ? work : NULL;
}

static int describe_begin(struct request *request, struct describe_work *work, struct str id)
{
    struct describe_transactions_response_transaction_state *ret =
        &work->response.transaction_states.items[work->at];
    ret->transactional_id = id;
    if (id.size == 0)
        return KAFKA_INVALID_REQUEST;
    work->describe =
        (struct txn_describe_op){.transactional_id = id, .arena = &request->arena, .ret = ret};
    txn_describe_op(&work->describe);
    work->describe.op.wake = describe_wakes;
    return coordinated_find(request_broker(request)->coordinators.transactions, id,
                            &work->describe.op);
}

enum outcome handle_describe_transactions(struct request *request)
{
    const struct describe_transactions_request *body = request->body;
    struct describe_work *work = request->work;
    if (!work) {
        request->work = work = describe_new(request);
        if (!work)
            return request_refuse(request, "out of memory");
    }
    for (; work->at < body->transactional_ids.count; work->at++) {
        int err = 0;
        if (!work->running && request_yield(request))
            return PARKED;
        if (!work->running)
            err = describe_begin(request, work, body->transactional_ids.items[work->at]);
        if (err == 0) {
            work->running = !coordinated_run(request, &work->describe.op, &err);
            if (work->running)
                return PARKED;
        }
        work->response.transaction_states.items[work->at].error_code = error_to_wire(err);
        work->response.transaction_states.count++;
    }
    return request_answer(request, &work->response);
}

/* ---- list ---- */

struct list_work {
    struct request *request;
    struct txn_list_op list;
    int32_t partition; /* the next to look at */
    bool running;
    int error;
    struct pool_job job; /* the pattern of ids: it takes time to compile, and to look at all */
    enum { PATTERN_TO_DO, PATTERN_RUNS, PATTERN_DONE } pattern;
};

static void list_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct list_work, list.op)->request, wakes);
}

static bool list_unknown_states(struct request *request,
                                struct list_transactions_response *response)
{
    const struct list_transactions_request *body = request->body;
    response->unknown_state_filters.items =
        arena_array(&request->arena, (size_t)body->state_filters.count + 1, sizeof(struct str));
    if (!response->unknown_state_filters.items)
        return false;
    response->unknown_state_filters.count = 0;
    for (int32_t i = 0; i < body->state_filters.count; i++) {
        bool known = false;
        for (int8_t state = 0; txn_state_name(state); state++)
            known |= str_equal(body->state_filters.items[i], str_of(txn_state_name(state)));
        if (!known)
            response->unknown_state_filters.items[response->unknown_state_filters.count++] =
                body->state_filters.items[i];
    }
    return true;
}

static enum outcome list_answer(struct request *request, const struct list_work *work)
{
    struct list_transactions_response response;
    list_transactions_response_init(&response);
    response.error_code = error_to_wire(work->error);
    if (!list_unknown_states(request, &response))
        return request_refuse(request, "out of memory");
    if (work->error == 0) {
        response.transaction_states.items = work->list.states;
        response.transaction_states.count = work->list.count;
    }
    return request_answer(request, &response);
}

/* On the pool: of what was found the ids that match as a whole (KIP-1152). */
static void pattern_run(struct pool_job *job)
{
    struct list_work *work = container_of(job, struct list_work, job);
    const struct list_transactions_request *body = work->request->body;
    const struct str text = body->transactional_id_pattern;
    struct regex *regex;
    int err = regex_compile(text.data, (size_t)text.size, &regex, NULL);
    if (err != 0) {
        work->error = err == -EINVAL ? KAFKA_INVALID_REGULAR_EXPRESSION : err;
        return;
    }
    struct list_transactions_response_transaction_state *states = work->list.states;
    int32_t kept = 0;
    for (int32_t i = 0; i < work->list.count; i++) {
        const struct str id = states[i].transactional_id;
        if (regex_matches(regex, id.data, (size_t)id.size))
            states[kept++] = states[i];
    }
    work->list.count = kept;
    regex_destroy(regex);
}

static void pattern_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct list_work *work = container_of(job, struct list_work, job);
    work->pattern = PATTERN_DONE;
    handle_list_transactions(work->request);
}

/* True: the list is as the pattern has it. */
static bool list_matched(struct request *request, struct list_work *work)
{
    const struct list_transactions_request *body = request->body;
    if (work->error != 0 || body->transactional_id_pattern.size == 0) /* null or empty: all */
        return true;
    if (work->pattern == PATTERN_TO_DO) {
        work->pattern = PATTERN_RUNS;
        work->job = (struct pool_job){.run = pattern_run, .done = pattern_done};
        pool_submit(&request->home->loop, &work->job);
    }
    return work->pattern == PATTERN_DONE;
}

/* Shards one after the other: the list is complete or an error. Those led elsewhere are others' to
 * tell. */
enum outcome handle_list_transactions(struct request *request)
{
    struct coord *transactions = request_broker(request)->coordinators.transactions;
    struct list_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        work->request = request;
        work->list.filters = request->body;
        work->list.arena = &request->arena;
    }
    while (work->error == 0 &&
           (work->running || work->partition < coord_shard_count(transactions))) {
        if (!work->running) {
            txn_list_op(&work->list);
            work->list.op.wake = list_wakes;
            int err = coord_shard_find(transactions, work->partition++, &work->list.op.shard);
            if (err == KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
                work->error = err;
            work->running = err == 0;
            continue;
        }
        if (!coordinated_run(request, &work->list.op, &work->error))
            return PARKED;
        work->running = false;
        if (work->error == KAFKA_NOT_COORDINATOR)
            work->error = 0;
    }
    return list_matched(request, work) ? list_answer(request, work) : PARKED;
}
