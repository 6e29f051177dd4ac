/* APIs that the controller decides. Its answer comes when the change is committed and published;
 * the request then waits until this broker's partitions follow it, so that a client which creates a
 * topic and produces to it at once is served. */
#include "base/errors.h"
#include "server/api_table.h"

struct controller_work {
    struct controller_op op;
    struct request *request;
    struct waiter waiter; /* on partitions.applied */
    bool answered;
};

static void op_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct controller_work *work = container_of(op, struct controller_work, op);
    work->answered = true;
    handle_controller(work->request);
}

static void applied(struct waiter *waiter, struct wakes *wakes)
{
    request_wake_later(container_of(waiter, struct controller_work, waiter)->request, wakes);
}

static enum outcome controller_begin(struct request *request)
{
    struct controller_work *work = arena_alloc(&request->arena, sizeof *work);
    void *response =
        work ? arena_alloc(&request->arena, message_struct_size(request->api->response)) : NULL;
    if (!response)
        return request_refuse(request, "out of memory");
    request->work = work;
    work->request = request;
    waiter_init(&work->waiter, applied);
    work->op = (struct controller_op){.api_key = request->api->key,
                                      .api_version = request->version,
                                      .request = request->body,
                                      .response = response,
                                      .arena = &request->arena,
                                      .done = op_done};
    controller_submit(request_broker(request)->controller, &request->home->loop, &work->op);
    return PARKED;
}

enum outcome handle_controller(struct request *request)
{
    struct controller_work *work = request->work;
    if (!work)
        return controller_begin(request);
    if (!work->answered) /* there is no cancel: the op is answered by its deadline */
        return PARKED;
    struct watermark *mark = &request_broker(request)->partitions.applied;
    if (work->op.result == 0 && work->op.offset >= 0 && !request->timed_out &&
        watermark_wait(mark, &work->waiter, work->op.offset, 0))
        return PARKED;
    watermark_cancel(mark, &work->waiter);
    return request_answer(request, work->op.response);
}
