/* Connections over real sockets on loopback, both ends turned by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "net/conn.h"
#include "os/linux_env.h"

#define FRAMES_MAX 256

/* One loop with an accepting side ("server") and a peer that is a bare socket. */
struct world {
    struct env *env;
    struct loop loop;
    struct conn_set set;
    struct memory_budget budget;
    struct conn *conn;
    int peer;
    struct say say;
    struct buf *frames[FRAMES_MAX];
    struct exchange exchanges[FRAMES_MAX];
    struct out_piece pieces[FRAMES_MAX];
    int frame_count, done_count, closed_count, freed_count;
    int deliver_max;    /* may_deliver says no beyond this */
    struct env_ops ops; /* changed by tests of what a system call may answer */
    bool answer;        /* take a place in the order of answers for every frame */
    const char *reason;
};

static bool on_may_deliver(struct conn *conn, const uint8_t *head, int32_t size)
{
    (void)head;
    (void)size;
    struct world *world = conn->owner;
    return world->frame_count < world->deliver_max;
}

static void on_done(struct exchange *exchange)
{
    struct world *world = exchange->conn->owner;
    world->done_count++;
}

static bool on_frame(struct conn *conn, struct buf *frame)
{
    struct world *world = conn->owner;
    int i = world->frame_count++;
    world->frames[i] = frame;
    if (world->answer)
        exchange_begin(conn, &world->exchanges[i], on_done);
    return true;
}

static void on_closed(struct conn *conn, const char *reason)
{
    struct world *world = conn->owner;
    world->closed_count++;
    world->reason = reason;
}

static void on_freed(struct conn *conn)
{
    struct world *world = conn->owner;
    world->freed_count++;
}

static const struct conn_ops ops = {
    .may_deliver = on_may_deliver, .frame = on_frame, .closed = on_closed, .freed = on_freed};

/* A connection of the set and the peer's end of it. */
static struct conn *connect_peer(struct world *world, int *ret_peer)
{
    struct env *env = world->env;
    struct net_address address = {.family = NET_IP4, .ip = {127, 0, 0, 1}};
    int listener = env->ops->sock_listen(env, &address, 4);
    assert_true(listener >= 0);
    assert_int_equal(env->ops->sock_local(env, listener, &address), 0);
    *ret_peer = env->ops->sock_connect(env, &address);
    assert_true(*ret_peer >= 0);
    int sock;
    struct net_address from;
    do {
        sock = env->ops->sock_accept(env, listener, &from);
    } while (sock == -EAGAIN);
    assert_true(sock >= 0);
    struct conn *conn;
    assert_int_equal(conn_accept(&world->set, sock, &from, world, &conn), 0);
    env->ops->sock_close(env, listener);
    return conn;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->env = linux_env_create(NULL);
    assert_non_null(world->env);
    world->budget.limit_bytes = 16 << 20;
    world->deliver_max = FRAMES_MAX;
    assert_int_equal(loop_init(&world->loop, world->env, 0), 0);
    struct conn_limits limits = {.frame_max_bytes = 4 << 20,
                                 .inflight_max = FRAMES_MAX,
                                 .output_max_bytes = 64 << 20,
                                 .send_buffer_bytes = -1,
                                 .receive_buffer_bytes = -1};
    assert_int_equal(
        conn_set_init(&world->set, &world->loop, &ops, &limits, &world->budget, &world->say), 0);
    world->conn = connect_peer(world, &world->peer);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    conn_set_shutdown(&world->set, "test over");
    for (int i = 0; i < world->frame_count; i++)
        conn_set_release(&world->set, world->frames[i]);
    for (int i = 0; i < 4; i++) { /* deferred work */
        loop_timer_cancel(&world->loop, &world->set.sweep);
        loop_stop(&world->loop);
        loop_turn(&world->loop);
    }
    assert_int_equal(world->set.count, 0);
    assert_int_equal(world->budget.used_bytes, 0);
    world->env->ops->sock_close(world->env, world->peer);
    conn_set_close(&world->set);
    loop_close(&world->loop);
    linux_env_destroy(world->env);
    free(world);
    return 0;
}

/* Turn the loop until `count` frames came or the connection closed. */
static void turn_until_frames(struct world *world, int count)
{
    while (world->frame_count < count && !world->closed_count)
        loop_turn(&world->loop);
}

static void send_from(struct world *world, int peer, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        struct iovec part = {(void *)(uintptr_t)at, size};
        ssize_t n = world->env->ops->sock_write(world->env, peer, &part, 1, false);
        if (n == -EAGAIN) {
            loop_turn(&world->loop);
            continue;
        }
        assert_true(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

static void peer_send(struct world *world, const void *data, size_t size)
{
    send_from(world, world->peer, data, size);
}

static size_t frame_make(uint8_t *out, const void *data, size_t size)
{
    store_be32(out, (uint32_t)size);
    memcpy(out + 4, data, size);
    return size + 4;
}

static void assert_frame(const struct world *world, int i, const void *data, size_t size)
{
    assert_int_equal(world->frames[i]->size, size);
    assert_memory_equal(world->frames[i]->data, data, size);
}

static void a_frame_comes_whole_however_it_was_cut(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    size_t size = frame_make(bytes, "hello", 5);
    size += frame_make(bytes + size, "", 0);
    size += frame_make(bytes + size, "kafka!", 6);
    for (size_t i = 0; i < size; i++) {
        peer_send(world, bytes + i, 1);
        if (i == 8)
            turn_until_frames(world, 1);
    }
    turn_until_frames(world, 3);
    assert_int_equal(world->frame_count, 3);
    assert_frame(world, 0, "hello", 5);
    assert_frame(world, 1, "", 0);
    assert_frame(world, 2, "kafka!", 6);
}

static void a_large_frame_is_received_whole(void **state)
{
    struct world *world = *state;
    size_t size = (3 << 20) + 17;
    uint8_t *bytes = malloc(size + 4);
    uint8_t *body = malloc(size);
    assert_true(bytes && body);
    for (size_t i = 0; i < size; i++)
        body[i] = (uint8_t)(i * 7 + (i >> 12));
    frame_make(bytes, body, size);
    peer_send(world, bytes, size + 4);
    turn_until_frames(world, 1);
    assert_frame(world, 0, body, size);
    assert_int_equal(world->budget.used_bytes, size);
    free(bytes);
    free(body);
}

static void a_frame_over_the_limit_closes_the_connection(void **state)
{
    struct world *world = *state;
    uint8_t head[4];
    store_be32(head, (4 << 20) + 1);
    peer_send(world, head, 4);
    turn_until_frames(world, 1);
    assert_int_equal(world->frame_count, 0);
    assert_int_equal(world->closed_count, 1);
}

static void a_negative_size_closes_the_connection(void **state)
{
    struct world *world = *state;
    peer_send(world, "\xff\xff\xff\xff", 4);
    turn_until_frames(world, 1);
    assert_int_equal(world->closed_count, 1);
    assert_string_equal(world->reason, "invalid frame size");
}

static void frames_wait_until_they_may_be_delivered(void **state)
{
    struct world *world = *state;
    uint8_t bytes[256];
    size_t size = 0;
    char text[16] = "request 0 ......";
    for (int i = 0; i < 5; i++) {
        text[8] = (char)('0' + i);
        size += frame_make(bytes + size, text, sizeof text);
    }
    world->deliver_max = 2;
    peer_send(world, bytes, size);
    turn_until_frames(world, 2);
    assert_int_equal(world->frame_count, 2);
    world->deliver_max = 4;
    conn_resume(world->conn);
    assert_int_equal(world->frame_count, 4);
    world->deliver_max = FRAMES_MAX;
    conn_resume(world->conn);
    turn_until_frames(world, 5);
    assert_int_equal(world->frames[4]->data[8], '4');
}

static struct buf *answer_buf(const char *text)
{
    struct buf *buf = buf_create(64);
    assert_non_null(buf);
    buf->size = (uint32_t)frame_make(buf->data, text, strlen(text));
    return buf;
}

static void answer(struct world *world, int i, const char *text)
{
    struct buf *buf = answer_buf(text);
    world->pieces[i] = (struct out_piece){.buf = buf, .size = buf->size};
    exchange_finish(&world->exchanges[i], &world->pieces[i], 1);
}

static void peer_expect(struct world *world, const void *data, size_t size)
{
    uint8_t *got = malloc(size);
    assert_non_null(got);
    size_t at = 0;
    while (at < size) {
        ssize_t n = world->env->ops->sock_read(world->env, world->peer, got + at, size - at);
        if (n == -EAGAIN) {
            if (!list_empty(&world->set.by_activity) &&
                (world->conn->wants_out || world->conn->warm))
                loop_turn(&world->loop);
            continue;
        }
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_memory_equal(got, data, size);
    free(got);
}

static void answers_leave_in_request_order(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    world->answer = true;
    size_t size = frame_make(bytes, "one", 3);
    size += frame_make(bytes + size, "two", 3);
    size += frame_make(bytes + size, "three", 5);
    peer_send(world, bytes, size);
    turn_until_frames(world, 3);
    answer(world, 2, "C");
    answer(world, 1, "B");
    assert_int_equal(world->done_count, 0);
    answer(world, 0, "A");
    assert_int_equal(world->done_count, 3);
    peer_expect(world, "\0\0\0\1A\0\0\0\1B\0\0\0\1C", 15);
}

static void a_frame_that_waits_for_an_answer_costs_no_turns(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    world->answer = true;
    world->deliver_max = 1;
    size_t size = frame_make(bytes, "request one", 11);
    size += frame_make(bytes + size, "request two", 11);
    peer_send(world, bytes, size);
    turn_until_frames(world, 1);
    loop_stop(&world->loop); /* from here on turns do not wait */
    loop_turn(&world->loop);
    assert_null(world->loop.run_first);
    assert_int_equal(world->conn->watch.events, 0);
    world->deliver_max = 2; /* as when the answer was what it waited for */
    answer(world, 0, "A");
    loop_turn(&world->loop);
    assert_int_equal(world->frame_count, 2);
    answer(world, 1, "B");
    peer_expect(world, "\0\0\0\1A\0\0\0\1B", 10);
}

static void an_answer_of_nothing_takes_its_place_all_the_same(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    world->answer = true;
    size_t size = frame_make(bytes, "quiet", 5);
    size += frame_make(bytes + size, "loud", 4);
    peer_send(world, bytes, size);
    turn_until_frames(world, 2);
    answer(world, 1, "B");
    assert_int_equal(world->done_count, 0);
    exchange_finish(&world->exchanges[0], NULL, 0);
    assert_int_equal(world->done_count, 2);
    peer_expect(world, "\0\0\0\1B", 5);
}

static int releases;

static void count_release(void *owner)
{
    (void)owner;
    releases++;
}

static void a_file_range_is_sent_between_bytes(void **state)
{
    struct world *world = *state;
    struct env *env = world->env;
    char path[] = "/tmp/jackdaw-conn-XXXXXX";
    int made = mkstemp(path);
    assert_true(made >= 0);
    env->ops->file_close(env, made);
    int file = env_open(env, path, ENV_READ | ENV_WRITE);
    assert_true(file >= 0);
    assert_int_equal(env_write_all(env, file, "0123456789", 10, 0), 0);
    uint8_t bytes[64];
    world->answer = true;
    size_t size = frame_make(bytes, "fetch", 5);
    peer_send(world, bytes, size);
    turn_until_frames(world, 1);
    struct buf *buf = buf_create(16);
    memcpy(buf->data, "\0\0\0\7[]", 6);
    buf->size = 6;
    releases = 0;
    world->pieces[0] = (struct out_piece){.buf = buf_ref(buf), .size = 5};
    world->pieces[1] = (struct out_piece){
        .file = file, .offset = 2, .size = 5, .release = count_release, .maybe_cold = true};
    world->pieces[2] = (struct out_piece){.buf = buf, .offset = 5, .size = 1};
    exchange_finish(&world->exchanges[0], world->pieces, 3);
    peer_expect(world, "\0\0\0\7[23456]", 11);
    assert_int_equal(releases, 1);
    assert_int_equal(world->done_count, 1);
    env_close(env, file);
    env_unlink(env, path);
}

static void a_truncated_file_range_closes_the_connection(void **state)
{
    struct world *world = *state;
    struct env *env = world->env;
    char path[] = "/tmp/jackdaw-conn-XXXXXX";
    int made = mkstemp(path);
    assert_true(made >= 0);
    env->ops->file_close(env, made);
    int file = env_open(env, path, ENV_READ | ENV_WRITE);
    assert_int_equal(env_write_all(env, file, "0123", 4, 0), 0);
    uint8_t bytes[64];
    world->answer = true;
    peer_send(world, bytes, frame_make(bytes, "fetch", 5));
    turn_until_frames(world, 1);
    releases = 0;
    world->pieces[0] =
        (struct out_piece){.file = file, .offset = 0, .size = 100, .release = count_release};
    exchange_finish(&world->exchanges[0], world->pieces, 1);
    while (!world->closed_count)
        loop_turn(&world->loop);
    assert_int_equal(releases, 1);
    assert_int_equal(world->done_count, 1);
    env_close(env, file);
    env_unlink(env, path);
}

static void a_closed_connection_drains_its_exchanges(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    world->answer = true;
    peer_send(world, bytes, frame_make(bytes, "late", 4));
    turn_until_frames(world, 1);
    conn_close(world->conn, "gone");
    assert_int_equal(world->closed_count, 1);
    assert_int_equal(world->freed_count, 0);
    answer(world, 0, "too late");
    assert_int_equal(world->done_count, 1);
    assert_int_equal(world->freed_count, 1);
}

static void over_the_memory_budget_reading_stops_and_goes_on_later(void **state)
{
    struct world *world = *state;
    size_t size = 1 << 20;
    uint8_t *bytes = calloc(1, size + 4);
    store_be32(bytes, (uint32_t)size);
    world->budget.limit_bytes = 1 << 20;
    world->budget.used_bytes = 1 << 20; /* somebody else holds all of it */
    peer_send(world, bytes, size / 2);
    peer_send(world, bytes + size / 2, size + 4 - size / 2);
    /* The first in line may finish even so. */
    turn_until_frames(world, 1);
    assert_int_equal(world->frame_count, 1);
    assert_int_equal(world->frames[0]->size, size);
    world->budget.used_bytes -= 1 << 20;
    free(bytes);
}

static void small_requests_come_through_when_the_budget_is_used_up(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    world->budget.limit_bytes = 1 << 20;
    world->budget.used_bytes = 2 << 20;
    int64_t held = world->budget.used_bytes;
    int peers[3];
    size_t size = 256 * 1024;
    uint8_t *large = calloc(1, size + 4);
    store_be32(large, (uint32_t)size);
    for (int i = 0; i < 3; i++) { /* large frames that never end; the first one is in front */
        connect_peer(world, &peers[i]);
        send_from(world, peers[i], large, 64 * 1024);
    }
    peer_send(world, bytes, frame_make(bytes, "a small request", 15));
    turn_until_frames(world, 1);
    assert_int_equal(world->frames[0]->size, 15);
    /* Behind the first in line nobody holds more than a small read. */
    assert_true(world->budget.used_bytes - held < 64 * 1024 + 3 * CONN_SMALL_BYTES + 64);
    for (int i = 0; i < 3; i++)
        world->env->ops->sock_close(world->env, peers[i]);
    conn_set_shutdown(&world->set, "test over");
    world->budget.used_bytes -= 2 << 20;
    free(large);
}

static void a_whole_frame_that_may_not_be_delivered_does_not_hold_up_the_line(void **state)
{
    struct world *world = *state;
    size_t size = 256 * 1024;
    uint8_t *bytes = calloc(1, size + 4);
    store_be32(bytes, (uint32_t)size);
    world->budget.limit_bytes = 1 << 20;
    world->budget.used_bytes = 2 << 20;
    world->deliver_max = 0;
    int second;
    struct conn *behind = connect_peer(world, &second);
    peer_send(world, bytes, size + 4);
    while (!world->conn->blocked)
        loop_turn(&world->loop);
    send_from(world, second, bytes, size + 4);
    while (!behind->blocked)
        loop_turn(&world->loop);
    world->deliver_max = FRAMES_MAX;
    conn_resume(behind);
    assert_int_equal(world->frame_count, 1);
    conn_resume(world->conn);
    assert_int_equal(world->frame_count, 2);
    conn_close(behind, "test over");
    world->closed_count = 0;
    world->env->ops->sock_close(world->env, second);
    world->budget.used_bytes -= 2 << 20;
    free(bytes);
}

static void the_first_in_line_must_make_progress_too(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = calloc(1, 64 * 1024);
    store_be32(bytes, 256 * 1024);
    world->set.limits.stall_ns = 20 * 1000000;
    world->budget.limit_bytes = 1 << 20;
    world->budget.used_bytes = 2 << 20;
    peer_send(world, bytes, 64 * 1024);
    while (!world->closed_count)
        loop_turn(&world->loop);
    assert_string_equal(world->reason, "no progress");
    world->budget.used_bytes -= 2 << 20;
    free(bytes);
}

static void a_silent_first_in_line_lets_the_others_go_on(void **state)
{
    struct world *world = *state;
    size_t size = 256 * 1024;
    uint8_t *bytes = calloc(1, size + 4);
    store_be32(bytes, (uint32_t)size);
    world->budget.limit_bytes = 1 << 20;
    world->budget.used_bytes = 2 << 20;
    peer_send(world, bytes, 64 * 1024);
    while (!world->conn->starved)
        loop_turn(&world->loop);
    int second;
    struct conn *behind = connect_peer(world, &second);
    send_from(world, second, bytes, size + 4);
    turn_until_frames(world, 1);
    assert_int_equal(world->frames[0]->size, size);
    /* The slow one is not forgotten. */
    peer_send(world, bytes + 64 * 1024, size + 4 - 64 * 1024);
    turn_until_frames(world, 2);
    conn_close(behind, "test over");
    world->closed_count = 0;
    world->env->ops->sock_close(world->env, second);
    world->budget.used_bytes -= 2 << 20;
    free(bytes);
}

static void who_is_slow_for_long_while_others_wait_for_memory_is_closed(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = calloc(1, 64 * 1024);
    store_be32(bytes, 256 * 1024);
    world->budget.limit_bytes = 1 << 20;
    world->budget.used_bytes = 2 << 20;
    peer_send(world, bytes, 64 * 1024);
    while (!world->conn->starved)
        loop_turn(&world->loop);
    int second;
    struct conn *behind = connect_peer(world, &second);
    send_from(world, second, bytes, 64 * 1024);
    world->set.limits.stall_ns = 60 * INT64_C(1000000000);
    world->conn->frame_ns -= 61 * INT64_C(1000000000);
    uint8_t drop = 0;
    peer_send(world, &drop, 1); /* some progress, but next to none */
    while (!world->closed_count)
        loop_turn(&world->loop);
    assert_string_equal(world->reason, "too slow while others wait for memory");
    conn_close(behind, "test over");
    world->env->ops->sock_close(world->env, second);
    world->budget.used_bytes -= 2 << 20;
    free(bytes);
}

/* A connection with an answer of this size that its peer does not take. */
static void answer_large(struct world *world, int i, size_t size)
{
    struct buf *buf = buf_create(size);
    memset(buf->data, 0, size);
    buf->size = (uint32_t)size;
    world->pieces[i] = (struct out_piece){.buf = buf, .size = (int64_t)size};
    exchange_finish(&world->exchanges[i], &world->pieces[i], 1);
}

static void answers_that_nobody_takes_are_limited_for_all_together(void **state)
{
    struct world *world = *state;
    enum { PEERS = 3, SIZE = 16 << 20 };
    struct conn *conns[PEERS];
    int peers[PEERS];
    uint8_t bytes[64];
    size_t frame = frame_make(bytes, "much", 4);
    world->answer = true;
    world->set.limits.held_max_bytes = 2 * SIZE;
    for (int i = 0; i < PEERS; i++) {
        conns[i] = connect_peer(world, &peers[i]);
        send_from(world, peers[i], bytes, frame);
        turn_until_frames(world, i + 1);
    }
    answer_large(world, 0, SIZE);
    answer_large(world, 1, SIZE);
    assert_int_equal(world->closed_count, 0); /* the system took a part of each */
    assert_int_equal(world->set.held_bytes, conns[0]->held_bytes + conns[1]->held_bytes);
    answer_large(world, 2, SIZE);
    assert_int_equal(world->closed_count, 1);
    assert_string_equal(world->reason, "answers not taken");
    assert_true(conns[1]->held_bytes > 0 && conns[2]->held_bytes > 0);
    assert_int_equal(world->set.held_bytes, conns[1]->held_bytes + conns[2]->held_bytes);
    conn_close(conns[1], "test over");
    conn_close(conns[2], "test over");
    assert_int_equal(world->set.held_bytes, 0);
    for (int i = 0; i < PEERS; i++)
        world->env->ops->sock_close(world->env, peers[i]);
}

static ssize_t always_cold(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    (void)env;
    (void)file;
    (void)data;
    (void)size;
    (void)offset;
    return -EAGAIN;
}

static void a_file_system_that_cannot_tell_what_is_cached_is_sent_from_all_the_same(void **state)
{
    struct world *world = *state;
    struct env *env = world->env;
    char path[] = "/tmp/jackdaw-conn-XXXXXX";
    int made = mkstemp(path);
    assert_true(made >= 0);
    env->ops->file_close(env, made);
    int file = env_open(env, path, ENV_READ | ENV_WRITE);
    size_t size = 300 * 1024; /* more than one slice */
    uint8_t *content = malloc(size);
    for (size_t i = 0; i < size; i++)
        content[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(env_write_all(env, file, content, size, 0), 0);
    world->ops = *env->ops;
    world->ops.file_read_nowait = always_cold;
    env->ops = &world->ops;
    uint8_t bytes[64];
    world->answer = true;
    peer_send(world, bytes, frame_make(bytes, "fetch", 5));
    turn_until_frames(world, 1);
    releases = 0;
    world->pieces[0] = (struct out_piece){
        .file = file, .size = (int64_t)size, .release = count_release, .maybe_cold = true};
    exchange_finish(&world->exchanges[0], world->pieces, 1);
    peer_expect(world, content, size);
    while (!world->done_count)
        loop_turn(&world->loop);
    assert_int_equal(releases, 1);
    env_close(env, file);
    env_unlink(env, path);
    free(content);
}

static void a_muted_connection_is_not_read_until_its_time(void **state)
{
    struct world *world = *state;
    uint8_t bytes[64];
    conn_mute(world->conn, env_now_ns(world->env) + 30 * 1000000);
    peer_send(world, bytes, frame_make(bytes, "throttled", 9));
    int64_t begin = env_now_ns(world->env);
    turn_until_frames(world, 1);
    assert_true(env_now_ns(world->env) - begin >= 20 * 1000000);
}

int main(void)
{
    linux_signals_block();
#define CONN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CONN_TEST(a_frame_comes_whole_however_it_was_cut),
        CONN_TEST(a_large_frame_is_received_whole),
        CONN_TEST(a_frame_over_the_limit_closes_the_connection),
        CONN_TEST(a_negative_size_closes_the_connection),
        CONN_TEST(frames_wait_until_they_may_be_delivered),
        CONN_TEST(answers_leave_in_request_order),
        CONN_TEST(a_frame_that_waits_for_an_answer_costs_no_turns),
        CONN_TEST(an_answer_of_nothing_takes_its_place_all_the_same),
        CONN_TEST(a_file_range_is_sent_between_bytes),
        CONN_TEST(a_truncated_file_range_closes_the_connection),
        CONN_TEST(a_closed_connection_drains_its_exchanges),
        CONN_TEST(small_requests_come_through_when_the_budget_is_used_up),
        CONN_TEST(a_whole_frame_that_may_not_be_delivered_does_not_hold_up_the_line),
        CONN_TEST(the_first_in_line_must_make_progress_too),
        CONN_TEST(a_silent_first_in_line_lets_the_others_go_on),
        CONN_TEST(who_is_slow_for_long_while_others_wait_for_memory_is_closed),
        CONN_TEST(answers_that_nobody_takes_are_limited_for_all_together),
        CONN_TEST(a_file_system_that_cannot_tell_what_is_cached_is_sent_from_all_the_same),
        CONN_TEST(over_the_memory_budget_reading_stops_and_goes_on_later),
        CONN_TEST(a_muted_connection_is_not_read_until_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
