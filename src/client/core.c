/* Life of a client and of its requests; the connections are in node.c.
 *
 * 1. A request is in exactly one list while active: a node's `waiting` or `inflight`, or `ended`.
 *    It leaves that list before its `done` is called, so `done` may begin it again.
 * 2. `done` is never called from within client_send: what fails at once goes through `ended`.
 * 3. After client_close nothing new begins: what is sent then ends with -ECANCELED. The client is
 *    freed when no connection, no pool job and no ended request is left. */
#include "client/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"

#define MS 1000000ll
#define SECOND (1000 * MS)

void client_settings_init(struct client_settings *ret_settings)
{
    *ret_settings = (struct client_settings){
        .client_id = "jackdaw",
        .request_timeout_ns = 30 * SECOND,
        .connect_timeout_ns = 10 * SECOND,
        .backoff_min_ns = 100 * MS,
        .backoff_max_ns = SECOND,
        .metadata_max_age_ns = 300 * SECOND,
        .idle_ns = 540 * SECOND,
        .inflight_max = 5,
        .frame_max_bytes = 128 << 20,
        .memory_max_bytes = 256 << 20,
    };
}

void client_hook_add(struct client *client, struct client_hook *hook)
{
    must(!client->closing);
    list_push_back(&client->hooks, &hook->link);
}

struct loop *client_loop(struct client *client)
{
    return client->loop;
}

const struct client_settings *client_settings(const struct client *client)
{
    return &client->settings;
}

int64_t client_backoff_ns(struct client *client, int attempt)
{
    if (attempt <= 0)
        return 0;
    int64_t wait = client->settings.backoff_min_ns;
    while (--attempt > 0 && wait < client->settings.backoff_max_ns)
        wait *= 2;
    if (wait > client->settings.backoff_max_ns)
        wait = client->settings.backoff_max_ns;
    uint32_t dice;
    env_random(client->loop->env, &dice, sizeof dice);
    return wait - wait / 5 + (int64_t)((uint64_t)(wait / 5 * 2) * (dice >> 8) >> 24);
}

/* "host:port" or "[v6]:port". */
static int parse_address(const char *text, struct str *ret_host, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return -EINVAL;
    struct str host = {text, (int32_t)(colon - text)};
    if (host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']') {
        host.data++;
        host.size -= 2;
    }
    int port = 0;
    for (const char *digit = colon + 1; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return -EINVAL;
        port = port * 10 + (*digit - '0');
        if (port > UINT16_MAX)
            return -EINVAL;
    }
    if (port == 0 || host.size == 0 || host.size > CLIENT_HOST_MAX)
        return -EINVAL;
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return 0;
}

static int add_bootstrap(struct client *client, const struct client_settings *settings)
{
    if (settings->bootstrap_count <= 0 || settings->bootstrap_count > CLIENT_BOOTSTRAP_MAX)
        return -EINVAL;
    for (int i = 0; i < settings->bootstrap_count; i++) {
        struct str host;
        uint16_t port;
        int err = parse_address(settings->bootstrap[i], &host, &port);
        if (err < 0)
            return err;
        if (!node_create(client, CLIENT_ANY_NODE - 1 - i, host, port))
            return -ENOMEM;
    }
    return 0;
}

static void free_client(struct client *client)
{
    list_for_each_safe (pos, &client->nodes) {
        struct client_node *node = container_of(pos, struct client_node, link);
        must(list_empty(&node->waiting) && list_empty(&node->inflight) && !node->resolving);
        node_forget_timer(node);
        list_remove(&node->link);
        free(node);
    }
    metadata_close(client);
    conn_set_close(&client->conns);
    free(client->client_id);
    free(client);
}

static void finish_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct client *client = container_of(task, struct client, finish);
    client->finish_queued = false;
    if (client->conns.count > 0 || client->jobs > 0 || client->tell_queued)
        return;
    void (*closed)(void *context) = client->closed;
    void *context = client->closed_context;
    free_client(client);
    closed(context);
}

void client_check_finish(struct client *client)
{
    if (!client->closing || client->finish_queued)
        return;
    client->finish_queued = true;
    loop_defer(client->loop, &client->finish);
}

void request_end(struct client_request *request, int result)
{
    must(request->active && list_empty(&request->link));
    loop_timer_cancel(request->client->loop, &request->timer);
    request->active = false;
    request->node = NULL;
    request->done(request, result);
}

static void tell_ended_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct client *client = container_of(task, struct client, tell_ended);
    client->tell_queued = false;
    struct list ended;
    list_init(&ended);
    while (!list_empty(&client->ended))
        list_push_back(&ended, list_pop(&client->ended));
    struct list *link;
    while ((link = list_pop(&ended))) {
        struct client_request *request = container_of(link, struct client_request, link);
        request_end(request, client->closing ? -ECANCELED : request->result);
    }
    client_check_finish(client);
}

static void end_later(struct client *client, struct client_request *request, int result)
{
    request->result = result;
    list_push_back(&client->ended, &request->link);
    if (client->tell_queued)
        return;
    client->tell_queued = true;
    loop_defer(client->loop, &client->tell_ended);
}

int client_create(struct loop *loop, const struct client_settings *settings, const struct say *say,
                  struct client **ret_client)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    client->loop = loop;
    client->say = say;
    client->settings = *settings;
    client->settings.bootstrap = NULL;
    client->budget.limit_bytes = settings->memory_max_bytes;
    list_init(&client->nodes);
    list_init(&client->hooks);
    list_init(&client->ended);
    client->tell_ended.run = tell_ended_run;
    client->finish.run = finish_run;
    metadata_init(client);
    struct conn_limits limits = {
        .frame_max_bytes = settings->frame_max_bytes,
        /* These bound what servers owe; a client's limits are in its nodes. */
        .inflight_max = INT32_MAX,
        .output_max_bytes = INT64_MAX,
        /* A connection that waits for an answer is not idle, but looks so to the set. */
        .idle_ns = settings->idle_ns > 0 && settings->idle_ns <= settings->request_timeout_ns
                       ? settings->request_timeout_ns + SECOND
                       : settings->idle_ns,
        .stall_ns = settings->request_timeout_ns,
        .send_buffer_bytes = -1,
        .receive_buffer_bytes = -1,
    };
    int err = conn_set_init(&client->conns, loop, &client_conn_ops, &limits, &client->budget, say);
    if (err < 0) {
        free(client);
        return err;
    }
    client->conns.owner = client;
    client->client_id = strdup(settings->client_id);
    err = client->client_id ? add_bootstrap(client, settings) : -ENOMEM;
    if (err < 0) {
        free_client(client);
        return err;
    }
    client->settings.client_id = client->client_id;
    *ret_client = client;
    return 0;
}

void client_close(struct client *client, void (*closed)(void *context), void *context)
{
    must(!client->closing);
    client->closing = true;
    client->closed = closed;
    client->closed_context = context;
    loop_timer_cancel(client->loop, &client->metadata.timer);
    struct list *link;
    while ((link = list_pop(&client->hooks))) {
        struct client_hook *hook = container_of(link, struct client_hook, link);
        hook->closing(hook);
    }
    /* Each fails its requests, whose owners may send others: those end by themselves. */
    list_for_each (pos, &client->nodes) {
        struct client_node *node = container_of(pos, struct client_node, link);
        node_fail(node, -ECANCELED, "client closed");
        node_forget_timer(node);
    }
    metadata_wake(client);
    conn_set_shutdown(&client->conns, "client closed");
    client_check_finish(client);
}

static void request_timer_fire(struct loop *loop, struct loop_timer *timer)
{
    struct client_request *request = container_of(timer, struct client_request, timer);
    if (loop->gap_ns > 0) { /* we stood still, not they: they get that time back */
        loop_timer_set(loop, timer, loop->now_ns + loop->gap_ns);
        return;
    }
    struct client_node *node = request->node;
    if (!request->sent) {
        node->waiting_count--;
        list_remove(&request->link);
        request_end(request, -ETIMEDOUT);
        return;
    }
    /* Its answer would come between those of others: the connection is of no use any more. */
    list_remove(&request->link);
    node->inflight_count--;
    node_fail(node, -ECONNRESET, "a request timed out");
    request_end(request, -ETIMEDOUT);
}

static void ignore_done(struct client_request *request, int result)
{
    (void)request;
    (void)result;
}

void client_request_init(struct client_request *request, int16_t key, const void *message,
                         void (*done)(struct client_request *request, int result))
{
    *request = (struct client_request){
        .key = key,
        .message = message,
        .min_version = 0,
        .max_version = INT16_MAX,
        .done = done ? done : ignore_done,
        .node_id = CLIENT_ANY_NODE,
    };
    list_init(&request->link);
    arena_init(&request->arena, 0);
    loop_timer_init(&request->timer, request_timer_fire);
}

void client_send(struct client *client, struct client_request *request, int32_t node_id)
{
    must(!request->active && !request->frame && !request->response);
    request->active = true;
    request->sent = false;
    request->client = client;
    request->api = api_find(request->key);
    must(request->api);
    if (client->closing) {
        end_later(client, request, -ECANCELED);
        return;
    }
    struct client_node *node =
        node_id == CLIENT_ANY_NODE ? node_choose(client) : node_find(client, node_id);
    if (!node) {
        end_later(client, request, -ENOENT);
        return;
    }
    int64_t timeout =
        request->timeout_ns ? request->timeout_ns : client->settings.request_timeout_ns;
    loop_timer_set(client->loop, &request->timer, env_now_ns(client->loop->env) + timeout);
    request->node_id = node->id;
    node_add(node, request);
}

void client_request_release(struct client_request *request)
{
    must(!request->active);
    arena_close(&request->arena);
    arena_init(&request->arena, 0);
    request->response = NULL;
    if (request->frame) {
        /* The client may be gone when its answers are looked at last. */
        buf_unref(request->frame);
        request->frame = NULL;
    }
}

void client_throttle(struct client *client, int32_t node_id, int32_t throttle_ms)
{
    struct client_node *node = throttle_ms > 0 ? node_find(client, node_id) : NULL;
    if (!node)
        return;
    int64_t until = client->loop->now_ns + throttle_ms * MS;
    if (until <= node->throttled_until_ns)
        return;
    node->throttled_until_ns = until;
    node_pump_later(node);
}
