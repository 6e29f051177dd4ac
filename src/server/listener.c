#include "server/listener.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "server/fetch_hints.h"
#include "server/request.h"

#define ACCEPTS_PER_TURN 64
#define ACCEPT_RETRY_NS (100 * INT64_C(1000000))
#define ACCEPT_LIMIT_NS INT64_C(1000000000)
#define ACCEPT_SAY_NS INT64_C(10000000000) /* it is tried ten times a second */
#define STALL_NS (60 * INT64_C(1000000000))
#define RESOLVE_MAX 8

/* An accepted socket on its way to its loop. */
struct handover {
    struct loop_task task;
    struct broker_loop *to;
    struct broker_listener *listener;
    int sock;
    struct net_address peer;
};

static void connection_over(struct broker_loop *home, struct broker_listener *listener,
                            const struct net_address *peer, bool left)
{
    struct broker *broker = home->broker;
    struct accept_again *again = &broker->accept_again;
    atomic_fetch_sub_explicit(&home->counters.connections, 1, memory_order_relaxed);
    conn_quota_give(&broker->quota, &listener->connections, peer, left);
    if (atomic_exchange(&again->wanted, false) && !atomic_exchange(&again->posted, true))
        loop_post(&broker_home(broker)->loop, &again->task);
}

static void session_free(struct conn *conn)
{
    struct session *session = conn->owner;
    connection_over(session->home, session->listener, &conn->peer, session->leaving);
    fetch_hints_free(session->hints);
    free(session);
}

static void session_closed(struct conn *conn, const char *reason)
{
    struct session *session = conn->owner;
    char peer[NET_ADDRESS_TEXT_SIZE];
    requests_abandon(conn);
    if (session->home->broker->say.level > SAY_DEBUG)
        return;
    net_address_format(&conn->peer, peer);
    say_debug(&session->home->broker->say, "connection closed", kv_text("peer", peer),
              kv_text("reason", reason));
}

static const struct conn_ops server_conn_ops = {
    .may_deliver = request_may_begin,
    .frame = request_begin,
    .closed = session_closed,
    .freed = session_free,
};

/* Connections of other brokers do not count with the clients', where they have a listener. */
static bool is_for_brokers(const struct broker_listener *listener,
                           const struct broker_settings *settings)
{
    return settings->listener_count > 1 &&
           str_equal(settings->inter_broker_listener_name, listener->setting->name);
}

/* ---- too many connections ----
 *
 * Kafka's processors close one connection a turn while there are more than max.connections, each
 * the one that it has used least recently, whatever is under way on it. Those of other brokers
 * stay. So do the loops here. */

static struct conn *least_used(struct broker_loop *home, const struct broker_settings *settings)
{
    for (struct list *at = home->conns.by_activity.next; at != &home->conns.by_activity;
         at = at->next) {
        struct conn *conn = container_of(at, struct conn, activity);
        const struct session *session = conn->owner;
        if (!is_for_brokers(session->listener, settings))
            return conn;
    }
    return NULL;
}

static void shed_soon(struct broker_loop *home)
{
    if (!atomic_exchange(&home->shedding.posted, true))
        loop_post(&home->loop, &home->shedding.task);
}

static void shed_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct broker_loop *home = container_of(task, struct broker_loop, shedding.task);
    struct broker *broker = home->broker;
    atomic_store(&home->shedding.posted, false);
    const struct broker_settings *settings = broker_settings_now(broker);
    struct conn *conn = least_used(home, settings);
    if (!conn || !conn_quota_leave(&broker->quota, settings))
        return;
    if (conn_set_may_say(&home->conns)) {
        char peer[NET_ADDRESS_TEXT_SIZE];
        net_address_format(&conn->peer, peer);
        say_warn(&broker->say, "too many connections, closing the one least recently used",
                 kv_text("peer", peer), kv_int("limit", settings->max_connections));
    }
    ((struct session *)conn->owner)->leaving = true;
    conn_close(conn, "max.connections");
    shed_soon(home);
}

void connections_shed(struct broker *broker)
{
    if (!conn_quota_passed(&broker->quota, broker_settings_now(broker)))
        return;
    for (int32_t i = 0; i < broker->loop_count; i++)
        shed_soon(&broker->loops[i]);
}

/* Kafka's default of 100 KiB switches off the system's own tuning, and then a large frame takes
 * four times as many reads: it is set only where the configuration asks for it. */
static int receive_buffer_bytes(const struct broker_config *config)
{
    if (config_source_of(&config->values, BROKER_CONFIG_SOCKET_RECEIVE_BUFFER_BYTES) ==
        CONFIG_SOURCE_DEFAULT)
        return -1;
    return config->settings.socket_receive_buffer_bytes;
}

int broker_loop_conns_init(struct broker_loop *home)
{
    home->shedding.task.run = shed_run;
    const struct broker_settings *settings = &home->broker->static_config->settings;
    struct conn_limits limits = {
        .frame_max_bytes = settings->socket_request_max_bytes,
        .inflight_max = settings->connection_inflight_max,
        .output_max_bytes = settings->connection_output_bytes,
        .held_max_bytes = settings->response_memory_bytes / home->broker->loop_count,
        .idle_ns = settings->connections_max_idle_ms < 0
                       ? 0
                       : settings->connections_max_idle_ms * INT64_C(1000000),
        .stall_ns = STALL_NS,
        .send_buffer_bytes = settings->socket_send_buffer_bytes,
        .receive_buffer_bytes = receive_buffer_bytes(home->broker->static_config),
    };
    return conn_set_init(&home->conns, &home->loop, &server_conn_ops, &limits,
                         &home->broker->budget, &home->broker->say);
}

static void handover_run(struct loop *loop, struct loop_task *task)
{
    struct handover *handover = container_of(task, struct handover, task);
    struct broker_loop *home = handover->to;
    struct session *session = calloc(1, sizeof *session);
    struct conn *conn;
    if (session) {
        session->home = home;
        session->listener = handover->listener;
    }
    bool serving = atomic_load_explicit(&home->broker->serving, memory_order_acquire);
    if (!session || !serving ||
        conn_accept(&home->conns, handover->sock, &handover->peer, session, &conn) < 0) {
        free(session);
        loop->env->ops->sock_close(loop->env, handover->sock);
        connection_over(home, handover->listener, &handover->peer, false);
    } else {
        connections_shed(home->broker);
    }
    free(handover);
}

static struct broker_loop *least_busy(struct broker *broker)
{
    struct broker_loop *best = NULL;
    int64_t least = INT64_MAX;
    for (int32_t i = 0; i < broker->loop_count; i++) {
        int64_t count =
            atomic_load_explicit(&broker->loops[i].counters.connections, memory_order_relaxed);
        if (count < least) {
            least = count;
            best = &broker->loops[i];
        }
    }
    return best;
}

static void refuse(struct broker_listener *listener, int sock, const struct net_address *peer,
                   const char *limit)
{
    struct broker *broker = listener->broker;
    char text[NET_ADDRESS_TEXT_SIZE];
    net_address_format(peer, text);
    if (conn_set_may_say(&broker_home(broker)->conns))
        say_warn(&broker->say, "connection refused", kv_text("peer", text),
                 kv_str("listener", listener->setting->name), kv_text("limit", limit));
    broker->env->ops->sock_close(broker->env, sock);
}

/* What the listener's setting is by now. */
static const struct listener_setting *setting_now(const struct broker_listener *listener,
                                                  const struct broker_settings *settings)
{
    const struct broker_settings *first = &listener->broker->static_config->settings;
    return &settings->listeners[listener->setting - first->listeners];
}

static int32_t broker_rate(const struct broker_listener *listener,
                           const struct broker_settings *settings)
{
    return is_for_brokers(listener, settings) ? INT32_MAX : settings->max_connection_creation_rate;
}

/* Leave what waits in the backlog there for a moment: it keeps the socket ready. */
static void look_away(struct broker_listener *listener, int64_t wait_ns)
{
    struct loop *loop = &broker_home(listener->broker)->loop;
    loop_sock_change(loop, &listener->watch, 0);
    loop_timer_set(loop, &listener->retry, loop->now_ns + wait_ns);
}

/* Whether a limit of connections is reached: then the others wait in the backlog until one closes.
 */
static bool is_full(struct broker_listener *listener, const struct broker_settings *settings,
                    const struct listener_setting *setting)
{
    struct broker *broker = listener->broker;
    struct accept_again *again = &broker->accept_again;
    int64_t now_ns = broker_home(broker)->loop.now_ns;
    bool counts = !is_for_brokers(listener, settings);
    if (!conn_quota_full(&broker->quota, settings, setting, &listener->connections, counts))
        return false;
    /* From here on whoever closes one says so; one may have closed just before. */
    listener->full = true;
    atomic_store(&again->wanted, true);
    const char *limit =
        conn_quota_full(&broker->quota, settings, setting, &listener->connections, counts);
    listener->full = limit != NULL;
    if (!limit)
        return false;
    look_away(listener, ACCEPT_LIMIT_NS); /* the limit may be raised */
    if (listener->full_said_ns == 0 || now_ns - listener->full_said_ns >= ACCEPT_SAY_NS) {
        listener->full_said_ns = now_ns;
        say_warn(&broker->say, "no more connections are accepted until one closes",
                 kv_str("listener", listener->setting->name), kv_text("limit", limit));
    }
    return true;
}

/* False when nothing more is to be accepted now. */
static bool accept_one(struct broker_listener *listener)
{
    struct broker *broker = listener->broker;
    struct env *env = broker->env;
    const struct broker_settings *settings = broker_settings_now(broker);
    const struct listener_setting *setting = setting_now(listener, settings);
    int64_t now_ns = broker_home(broker)->loop.now_ns;
    if (is_full(listener, settings, setting))
        return false;
    int64_t wait_ns =
        conn_rate_wait_ns(&broker->quota.rate, broker_rate(listener, settings), now_ns);
    int64_t own_wait_ns =
        conn_rate_wait_ns(&listener->rate, setting->max_connection_creation_rate, now_ns);
    if (wait_ns > 0 || own_wait_ns > 0) {
        look_away(listener, wait_ns > own_wait_ns ? wait_ns : own_wait_ns);
        return false;
    }
    struct net_address peer;
    int sock = env->ops->sock_accept(env, listener->watch.sock, &peer);
    if (sock == -EAGAIN)
        return false;
    if (sock == -EMFILE || sock == -ENFILE || sock == -ENOBUFS || sock == -ENOMEM) {
        if (listener->refusal_said_ns == 0 || now_ns - listener->refusal_said_ns >= ACCEPT_SAY_NS) {
            listener->refusal_said_ns = now_ns;
            say_warn(&broker->say, "cannot accept a connection",
                     kv_str("listener", listener->setting->name),
                     kv_text("error", result_text(sock)));
        }
        look_away(listener, ACCEPT_RETRY_NS);
        return false;
    }
    if (sock < 0) /* that peer went away; the next may be fine */
        return true;
    conn_rate_note(&broker->quota.rate, broker_rate(listener, settings), now_ns);
    conn_rate_note(&listener->rate, setting->max_connection_creation_rate, now_ns);
    const char *limit = conn_quota_take(&broker->quota, settings, &listener->connections, &peer);
    if (limit) {
        refuse(listener, sock, &peer, limit);
        return true;
    }
    struct broker_loop *to = least_busy(broker);
    struct handover *handover = calloc(1, sizeof *handover);
    if (!handover) {
        conn_quota_give(&broker->quota, &listener->connections, &peer, false);
        refuse(listener, sock, &peer, "memory");
        return true;
    }
    *handover = (struct handover){
        .task.run = handover_run, .to = to, .listener = listener, .sock = sock, .peer = peer};
    atomic_fetch_add_explicit(&to->counters.connections, 1, memory_order_relaxed);
    if (to == broker_home(broker))
        handover_run(&to->loop, &handover->task);
    else
        loop_post(&to->loop, &handover->task);
    return true;
}

static void listener_ready(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    (void)loop;
    (void)events;
    struct broker_listener *listener = container_of(watch, struct broker_listener, watch);
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++)
        ;
}

static void listener_retry(struct loop *loop, struct loop_timer *timer)
{
    struct broker_listener *listener = container_of(timer, struct broker_listener, retry);
    listener->full = false;
    loop_sock_change(loop, &listener->watch, ENV_POLL_IN);
}

/* A connection has closed while some listener was full. */
static void accept_again_run(struct loop *loop, struct loop_task *task)
{
    struct broker *broker = container_of(task, struct broker, accept_again.task);
    atomic_store(&broker->accept_again.posted, false);
    for (int32_t i = 0; i < broker->listener_count; i++) {
        struct broker_listener *listener = &broker->listeners[i];
        if (!listener->open || !listener->full)
            continue;
        loop_timer_cancel(loop, &listener->retry);
        listener_retry(loop, &listener->retry);
    }
}

/* The address to bind: of a path, of all interfaces (v6 with v4, else v4), or of a host name. */
static int listener_addresses(struct broker *broker, const struct listener_setting *setting,
                              struct net_address *ret, int max)
{
    if (setting->unix_path.data) {
        if ((size_t)setting->unix_path.size >= sizeof ret->path)
            return -ENAMETOOLONG;
        *ret = (struct net_address){.family = NET_UNIX};
        memcpy(ret->path, setting->unix_path.data, (size_t)setting->unix_path.size);
        return 1;
    }
    uint16_t port = (uint16_t)setting->port;
    if (setting->host.size == 0) {
        ret[0] = (struct net_address){.family = NET_IP6, .port = port};
        ret[1] = (struct net_address){.family = NET_IP4, .port = port};
        return 2;
    }
    char host[256];
    if ((size_t)setting->host.size >= sizeof host)
        return -ENAMETOOLONG;
    memcpy(host, setting->host.data, (size_t)setting->host.size);
    host[setting->host.size] = '\0';
    /* Asking the name service may wait. It is the start: nobody is served yet. */
    bool before = env_allow_blocking(broker->env, true);
    int count = broker->env->ops->resolve(broker->env, host, port, ret, max);
    env_allow_blocking(broker->env, before);
    return count;
}

/* The socket, listening. What goes wrong is logged. */
static int listener_bind(struct broker *broker, const struct listener_setting *setting)
{
    struct env *env = broker->env;
    struct net_address addresses[RESOLVE_MAX];
    int count = listener_addresses(broker, setting, addresses, RESOLVE_MAX);
    int sock = count < 0 ? count : -EADDRNOTAVAIL;
    int backlog = broker->static_config->settings.socket_listen_backlog_size;
    for (int i = 0; i < count && sock < 0; i++)
        sock = env->ops->sock_listen(env, &addresses[i], backlog);
    if (sock < 0) {
        say_error(&broker->say, "cannot listen", kv_str("listener", setting->name),
                  kv_str("host", setting->unix_path.data ? setting->unix_path : setting->host),
                  kv_int("port", setting->port),
                  kv_text("error", count == -ENOENT ? "no such host" : result_text(sock)));
    }
    return sock;
}

int listeners_check(struct broker *broker)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    for (int32_t i = 0; i < settings->listener_count; i++) {
        if (settings->listeners[i].controller)
            continue;
        int sock = listener_bind(broker, &settings->listeners[i]);
        if (sock < 0)
            return sock;
        env_sock_close(broker->env, sock);
    }
    return 0;
}

static int listener_open(struct broker *broker, const struct listener_setting *setting,
                         struct broker_listener *listener)
{
    struct env *env = broker->env;
    int sock = listener_bind(broker, setting);
    if (sock < 0)
        return sock;
    *listener = (struct broker_listener){.broker = broker, .setting = setting};
    listener->watch = (struct loop_sock){.sock = sock, .ready = listener_ready};
    loop_timer_init(&listener->retry, listener_retry);
    int err = env->ops->sock_local(env, sock, &listener->bound);
    if (err == 0)
        err = loop_sock_add(&broker_home(broker)->loop, &listener->watch, ENV_POLL_IN);
    if (err < 0) {
        env->ops->sock_close(env, sock);
        return err;
    }
    listener->open = true;
    char text[NET_ADDRESS_TEXT_SIZE];
    net_address_format(&listener->bound, text);
    say_info(&broker->say, "listening", kv_str("listener", setting->name),
             kv_text("address", text));
    if (!net_address_is_loopback(&listener->bound) && listener->bound.family != NET_UNIX)
        say_warn(&broker->say, "listening beyond this machine without encryption or authentication",
                 kv_str("listener", setting->name), kv_text("address", text));
    return 0;
}

int listeners_open(struct broker *broker)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    broker->accept_again.task.run = accept_again_run;
    broker->listeners = calloc((size_t)settings->listener_count, sizeof *broker->listeners);
    if (!broker->listeners)
        return -ENOMEM;
    for (int32_t i = 0; i < settings->listener_count; i++) {
        if (settings->listeners[i].controller)
            continue;
        int err = listener_open(broker, &settings->listeners[i],
                                &broker->listeners[broker->listener_count]);
        if (err < 0)
            return err;
        broker->listener_count++;
    }
    return broker->listener_count > 0 ? 0 : -EINVAL;
}

void listeners_close(struct broker *broker)
{
    struct loop *loop = &broker_home(broker)->loop;
    for (int32_t i = 0; i < broker->listener_count; i++) {
        struct broker_listener *listener = &broker->listeners[i];
        if (!listener->open)
            continue;
        loop_timer_cancel(loop, &listener->retry);
        loop_sock_remove(loop, &listener->watch);
        broker->env->ops->sock_close(broker->env, listener->watch.sock);
        listener->open = false;
    }
}
