/* An example of a simulation: a server that numbers what clients tell it, through crashes.
 *
 * Clients send numbers in order; the server appends each to a file, syncs the file in a pool job
 * and answers with the number once that is done. A client that connects is told the last number
 * that the server has. Servers and clients are killed, lose power and are cut off from each other.
 *
 * What is checked: a number that was answered is never lost (the server greets with at least it,
 * and in the end it is in the file), and the file holds 1, 2, 3 … without gap or repetition.
 *
 * Run without arguments it also plants a fault, an answer before the sync, and expects some seed to
 * find it. */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "os/loop.h"
#include "os/pool.h"
#include "sim/sim_main.h"

#define PORT 7000
#define FILE_PATH "/numbers"
#define SERVER_CONNS_MAX 8
#define SECOND INT64_C(1000000000)

/* What the test knows; it lives in the test's memory, so no crash takes it. */
struct history {
    bool answer_early; /* the planted fault */
    int64_t answered;  /* the highest number that any client was told is safe */
    int answers;
};

/* Eight bytes on the wire and in the file. */
static void encode(int64_t number, uint8_t data[8])
{
    store_be64(data, (uint64_t)number);
}

static int64_t decode(const uint8_t data[8])
{
    return (int64_t)load_be64(data);
}

/* The file's record: the number and its complement, so that a torn one is seen. */
struct record {
    int64_t number, check;
};

/* The server. */

struct server;

struct server_conn {
    struct loop_sock watch;
    struct server *server;
    uint8_t input[8];
    size_t input_size;
    uint8_t output[64];
    size_t output_size;
    bool open;
};

struct server {
    struct loop loop;
    struct loop_sock listener;
    struct server_conn conns[SERVER_CONNS_MAX];
    struct pool_job sync;
    bool syncing;
    bool answer_early;
    int file;
    int64_t appended, synced;
    int64_t sync_to;
};

static void conn_close(struct server_conn *conn)
{
    loop_sock_remove(&conn->server->loop, &conn->watch);
    env_sock_close(conn->server->loop.env, conn->watch.sock);
    conn->open = false;
}

static void conn_flush(struct server_conn *conn)
{
    struct env *env = conn->server->loop.env;
    while (conn->output_size > 0) {
        struct iovec part = {conn->output, conn->output_size};
        ssize_t n = env_sock_write(env, conn->watch.sock, &part, 1, false);
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            conn_close(conn);
            return;
        }
        conn->output_size -= (size_t)n;
        memmove(conn->output, conn->output + n, conn->output_size);
    }
    (void)loop_sock_change(&conn->server->loop, &conn->watch,
                           conn->output_size > 0 ? ENV_POLL_OUT : ENV_POLL_IN);
}

static void conn_tell(struct server_conn *conn, int64_t number)
{
    if (!conn->open)
        return;
    must(conn->output_size + 8 <= sizeof conn->output);
    encode(number, conn->output + conn->output_size);
    conn->output_size += 8;
    conn_flush(conn);
}

static void tell_all(struct server *server, int64_t number)
{
    for (int i = 0; i < SERVER_CONNS_MAX; i++)
        conn_tell(&server->conns[i], number);
}

static void sync_run(struct pool_job *job)
{
    struct server *server = container_of(job, struct server, sync);
    must(env_sync(job->loop->env, server->file) == 0);
}

static void sync_start(struct server *server)
{
    if (server->syncing || server->synced == server->appended)
        return;
    server->syncing = true;
    server->sync_to = server->appended;
    pool_submit(&server->loop, &server->sync);
}

static void sync_done(struct loop *loop, struct pool_job *job)
{
    struct server *server = container_of(job, struct server, sync);
    (void)loop;
    server->syncing = false;
    server->synced = server->sync_to;
    if (!server->answer_early)
        tell_all(server, server->synced);
    sync_start(server);
}

static void append(struct server *server, int64_t number)
{
    struct record record = {number, ~number};
    if (number <= server->appended)
        return; /* told before, by another client */
    must(number == server->appended + 1);
    must(env_write_all(server->loop.env, server->file, &record, sizeof record,
                       server->appended * (int64_t)sizeof record) == 0);
    server->appended = number;
    if (server->answer_early)
        tell_all(server, number);
    sync_start(server);
}

static void conn_ready(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    struct server_conn *conn = container_of(watch, struct server_conn, watch);
    if (events & ENV_POLL_OUT)
        conn_flush(conn);
    if (!conn->open || !(events & (ENV_POLL_IN | ENV_POLL_HUP)))
        return;
    ssize_t n = env_sock_read(loop->env, watch->sock, conn->input + conn->input_size,
                              sizeof conn->input - conn->input_size);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        conn_close(conn);
        return;
    }
    conn->input_size += (size_t)n;
    if (conn->input_size < sizeof conn->input)
        return;
    conn->input_size = 0;
    append(conn->server, decode(conn->input));
}

static void listener_ready(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    struct server *server = container_of(watch, struct server, listener);
    (void)events;
    int sock = env_accept(loop->env, watch->sock, NULL);
    if (sock < 0)
        return;
    for (int i = 0; i < SERVER_CONNS_MAX; i++) {
        struct server_conn *conn = &server->conns[i];
        if (conn->open)
            continue;
        *conn = (struct server_conn){.server = server, .open = true};
        conn->watch = (struct loop_sock){.sock = sock, .ready = conn_ready};
        must(loop_sock_add(loop, &conn->watch, ENV_POLL_IN) == 0);
        conn_tell(conn, server->answer_early ? server->appended : server->synced);
        return;
    }
    env_sock_close(loop->env, sock);
}

/* Count the whole records, cut what a crash left behind them, and make sure of what is kept. */
static int64_t recover(struct env *env, int file)
{
    struct record record;
    int64_t count = 0;
    while (env_read_all(env, file, &record, sizeof record, count * (int64_t)sizeof record) == 0) {
        if (record.number != count + 1 || record.check != ~record.number)
            break;
        count++;
    }
    must(env_truncate(env, file, count * (int64_t)sizeof record) == 0);
    must(env_sync(env, file) == 0);
    return count;
}

static void server_main(struct env *env, void *context)
{
    struct history *history = context;
    struct net_address address;
    struct server *server = calloc(1, sizeof *server);
    must(server);
    server->answer_early = history->answer_early;
    server->file = env_open(env, FILE_PATH, ENV_READ | ENV_WRITE | ENV_CREATE);
    must(server->file >= 0);
    must(env_sync_dir(env, "/") == 0);
    server->synced = server->appended = recover(env, server->file);
    server->sync = (struct pool_job){.run = sync_run, .done = sync_done};
    must(loop_init(&server->loop, env, 0) == 0);
    must(net_address_parse("0.0.0.0", PORT, &address) == 0);
    server->listener = (struct loop_sock){.ready = listener_ready};
    server->listener.sock = env_listen(env, &address, SERVER_CONNS_MAX);
    must(server->listener.sock >= 0);
    must(loop_sock_add(&server->loop, &server->listener, ENV_POLL_IN) == 0);
    must(loop_start(&server->loop, "server") == 0);
    loop_join(&server->loop); /* a simulated server runs until it crashes */
}

/* The client. */

struct client {
    struct loop loop;
    struct loop_sock watch;
    struct loop_timer timer; /* to connect again, or to give up on an answer */
    struct history *history;
    bool open;
    bool greeted;
    uint8_t input[8];
    size_t input_size;
    int64_t asked;
    int64_t answered_before; /* to anybody, when this connection was begun */
};

static void client_drop(struct client *client)
{
    loop_sock_remove(&client->loop, &client->watch);
    env_sock_close(client->loop.env, client->watch.sock);
    client->open = false;
    loop_timer_set(&client->loop, &client->timer, client->loop.now_ns + SECOND / 10);
}

static void client_ask(struct client *client, int64_t number)
{
    uint8_t data[8];
    encode(number, data);
    struct iovec part = {data, sizeof data};
    client->asked = number;
    loop_timer_set(&client->loop, &client->timer, client->loop.now_ns + 3 * SECOND);
    /* Eight bytes fit into the empty buffer of a socket; a part of them is as good as none here. */
    if (env_sock_write(client->loop.env, client->watch.sock, &part, 1, false) != sizeof data)
        client_drop(client);
}

static void client_told(struct client *client, int64_t number)
{
    struct history *history = client->history;
    if (!client->greeted)
        must(number >= client->answered_before); /* what was answered is never forgotten */
    client->greeted = true;
    if (number > history->answered)
        history->answered = number;
    history->answers++;
    if (number >= client->asked)
        client_ask(client, number + 1);
}

static void client_ready(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    struct client *client = container_of(watch, struct client, watch);
    (void)events;
    int err = env_sock_error(loop->env, watch->sock);
    if (err == 0 && watch->events == ENV_POLL_OUT)
        err = loop_sock_change(loop, watch, ENV_POLL_IN);
    ssize_t n = err < 0 ? err
                        : env_sock_read(loop->env, watch->sock, client->input + client->input_size,
                                        sizeof client->input - client->input_size);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        client_drop(client);
        return;
    }
    client->input_size += (size_t)n;
    if (client->input_size < sizeof client->input)
        return;
    client->input_size = 0;
    client_told(client, decode(client->input));
}

static void client_timer(struct loop *loop, struct loop_timer *timer)
{
    struct client *client = container_of(timer, struct client, timer);
    struct net_address address;
    if (client->open) {
        client_drop(client);
        return;
    }
    loop_timer_set(loop, timer, loop->now_ns + 3 * SECOND);
    bool before = env_allow_blocking(loop->env, true);
    must(env_resolve(loop->env, "server", PORT, &address, 1) == 1);
    env_allow_blocking(loop->env, before);
    client->watch = (struct loop_sock){.ready = client_ready};
    client->watch.sock = env_connect(loop->env, &address);
    if (client->watch.sock < 0)
        return;
    client->open = true;
    client->greeted = false;
    client->input_size = 0;
    client->asked = 0;
    client->answered_before = client->history->answered;
    must(loop_sock_add(loop, &client->watch, ENV_POLL_OUT) == 0);
}

static void client_main(struct env *env, void *context)
{
    struct client *client = calloc(1, sizeof *client);
    must(client);
    client->history = context;
    must(loop_init(&client->loop, env, 0) == 0);
    loop_timer_init(&client->timer, client_timer);
    loop_timer_set(&client->loop, &client->timer, 0);
    must(loop_start(&client->loop, "client") == 0);
    loop_join(&client->loop);
}

/* The run. */

#define CLIENTS 2

static void life_of(struct sim *sim, struct sim_node *node,
                    void (*run)(struct env *env, void *context), struct history *history)
{
    if (!sim_is_up(node)) {
        sim_restart(node);
        sim_start(node, run, history);
    }
    (void)sim;
}

static void trouble(struct sim *sim, struct sim_node *server, struct sim_node *clients[CLIENTS])
{
    struct sim_node *client = clients[sim_dice(sim, CLIENTS)];
    switch (sim_dice(sim, 8)) {
    case 0:
    case 1:
        sim_crash_after(server, 1 + (int64_t)sim_dice(sim, 300), SIM_POWER);
        break;
    case 2:
        sim_crash_after(server, 1 + (int64_t)sim_dice(sim, 300), SIM_KILL);
        break;
    case 3:
        sim_crash(client, sim_dice(sim, 2) ? SIM_KILL : SIM_POWER);
        break;
    case 4:
        sim_block(server, client, true);
        break;
    case 5:
        sim_isolate(server, true);
        break;
    case 6:
        sim_disconnect(server, client);
        break;
    case 7:
        sim_pause(server, (int64_t)sim_dice(sim, 5) * SECOND);
        break;
    }
}

static void check_file(struct env *env, const struct history *history)
{
    char *data;
    size_t size;
    must(env_load(env, FILE_PATH, 1 << 20, &data, &size) == 0);
    for (size_t i = 0; i < size / sizeof(struct record); i++) {
        struct record record;
        memcpy(&record, data + i * sizeof record, sizeof record);
        must(record.number == (int64_t)i + 1 && record.check == ~record.number);
    }
    must((int64_t)(size / sizeof(struct record)) >= history->answered);
    free(data);
}

struct target {
    const struct history *history;
    int answers;
};

static bool answered_more(void *context)
{
    const struct target *target = context;
    return target->history->answers >= target->answers;
}

static void run(struct sim *sim, void *context)
{
    struct history history = *(const struct history *)context;
    struct sim_node *clients[CLIENTS];
    struct sim_node *server = sim_node_add(sim, "server");
    sim_start(server, server_main, &history);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = sim_node_add(sim, i ? "client-1" : "client-0");
        sim_start(clients[i], client_main, &history);
    }
    for (int round = 0; round < 10; round++) {
        trouble(sim, server, clients);
        sim_run_for(sim, (int64_t)sim_dice(sim, 5000) * (SECOND / 1000));
        /* All is well again, and must get well. */
        sim_crash_after(server, 0, SIM_KILL);
        for (int i = 0; i < CLIENTS; i++) {
            sim_block(server, clients[i], false);
            life_of(sim, clients[i], client_main, &history);
        }
        sim_isolate(server, false);
        life_of(sim, server, server_main, &history);
        struct target target = {&history, history.answers + 5};
        must(sim_run_until(sim, answered_more, &target, 300 * SECOND));
    }
    sim_crash(server, SIM_KILL);
    sim_note(sim, "answered=%lld", (long long)history.answered);
    check_file(sim_env(server), &history);
}

int main(int argc, char **argv)
{
    static struct history good, faulty = {.answer_early = true};
    static const struct sim_program program = {"sim-example", .run = run, .context = &good,
                                               .seeds = 100};
    static const struct sim_program mutant = {"sim-example", .run = run, .context = &faulty};
    int result = sim_main(argc, argv, &program);
    if (argc > 1 || result != 0)
        return result;
    for (uint64_t seed = 0; seed < 100; seed++) {
        if (sim_fails(&mutant, seed)) {
            printf("the planted fault was found by seed %llu\n", (unsigned long long)seed);
            return 0;
        }
    }
    printf("no seed found the planted fault\n");
    return 1;
}
