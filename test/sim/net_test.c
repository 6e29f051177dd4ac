#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/must.h"
#include "sim/sim.h"

/* Two nodes, one connection between them; the test's main function is on both ends. */
struct world {
    struct sim *sim;
    struct sim_node *a, *b;
    struct env *ea, *eb;
    int listener, client, server;
};

#define PORT 9092

static struct world world_create(uint64_t seed, const struct sim_options *options)
{
    struct world world = {.sim = sim_create(seed, options), .client = -1, .server = -1};
    struct net_address address;
    world.a = sim_node_add(world.sim, "a");
    world.b = sim_node_add(world.sim, "b");
    world.ea = sim_env(world.a);
    world.eb = sim_env(world.b);
    must(net_address_parse("0.0.0.0", PORT, &address) == 0);
    world.listener = env_listen(world.eb, &address, 10);
    must(world.listener >= 0);
    return world;
}

static void world_connect(struct world *world)
{
    struct net_address address;
    assert_int_equal(env_resolve(world->ea, "b", PORT, &address, 1), 1);
    world->client = env_connect(world->ea, &address);
    assert_true(world->client >= 0);
    sim_run_for(world->sim, 1000000000);
    world->server = env_accept(world->eb, world->listener, NULL);
    assert_true(world->server >= 0);
}

static ssize_t put(struct env *env, int sock, const char *text)
{
    struct iovec part = {(void *)text, strlen(text)};
    return env_sock_write(env, sock, &part, 1, false);
}

/* What has arrived, as text. */
static const char *got(struct env *env, int sock)
{
    static char text[4096];
    size_t size = 0;
    ssize_t n;
    while ((n = env_sock_read(env, sock, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)n;
    text[size] = 0;
    return text;
}

static void bytes_arrive_in_order_after_a_while(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    struct net_address peer;
    world_connect(&world);
    assert_int_equal(put(world.ea, world.client, "hel"), 3);
    assert_int_equal(put(world.ea, world.client, "lo"), 2);
    assert_string_equal(got(world.eb, world.server), "");
    sim_run_for(world.sim, 10000000);
    assert_string_equal(got(world.eb, world.server), "hello");
    assert_int_equal(env_sock_local(world.eb, world.server, &peer), 0);
    assert_memory_equal(peer.ip, "\x0a\0\0\2", 4);
    assert_int_equal(peer.port, PORT);
    assert_int_equal(env_sock_close(world.ea, world.client), 0);
    sim_run_for(world.sim, 10000000);
    char byte;
    assert_int_equal(env_sock_read(world.eb, world.server, &byte, 1), 0);
    sim_destroy(world.sim);
}

static void rough_networks_deliver_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        sim_options_rough(seed, &options);
        struct world world = world_create(seed, &options);
        char sent[3000], found[3000];
        size_t out = 0, in = 0;
        world_connect(&world);
        for (size_t i = 0; i < sizeof sent; i++)
            sent[i] = (char)sim_dice(world.sim, 256);
        while (in < sizeof sent) {
            struct iovec part = {sent + out, sizeof sent - out};
            ssize_t n = part.iov_len ? env_sock_write(world.ea, world.client, &part, 1, false) : 0;
            assert_true(n >= 0 || n == -EAGAIN);
            out += n > 0 ? (size_t)n : 0;
            n = env_sock_read(world.eb, world.server, found + in, sizeof found - in);
            assert_true(n > 0 || n == -EAGAIN);
            in += n > 0 ? (size_t)n : 0;
            sim_run_for(world.sim, 1000000);
        }
        assert_memory_equal(sent, found, sizeof sent);
        sim_destroy(world.sim);
    }
}

static void a_connect_to_nobody_is_refused(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    struct net_address address;
    sim_node_address(world.b, PORT + 1, &address);
    int sock = env_connect(world.ea, &address);
    assert_true(sock >= 0);
    assert_int_equal(env_sock_error(world.ea, sock), 0);
    sim_run_for(world.sim, 1000000000);
    assert_int_equal(env_sock_error(world.ea, sock), -ECONNREFUSED);
    sim_crash(world.b, SIM_KILL);
    sim_node_address(world.b, PORT, &address);
    sock = env_connect(world.ea, &address);
    sim_run_for(world.sim, 1000000000);
    assert_int_equal(env_sock_error(world.ea, sock), -ECONNREFUSED);
    sim_destroy(world.sim);
}

static void a_connect_to_a_dead_machine_times_out(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    struct net_address address;
    sim_crash(world.b, SIM_POWER);
    sim_node_address(world.b, PORT, &address);
    int sock = env_connect(world.ea, &address);
    sim_run_for(world.sim, 10000000000);
    assert_int_equal(env_sock_error(world.ea, sock), 0);
    sim_run_for(world.sim, 60000000000);
    assert_int_equal(env_sock_error(world.ea, sock), -ETIMEDOUT);
    sim_destroy(world.sim);
}

static void a_one_way_partition_stops_one_way_only(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    sim_block(world.a, world.b, true);
    assert_int_equal(put(world.ea, world.client, "question"), 8);
    assert_int_equal(put(world.eb, world.server, "greeting"), 8);
    sim_run_for(world.sim, 20000000000);
    assert_string_equal(got(world.eb, world.server), "");
    assert_string_equal(got(world.ea, world.client), "greeting");
    sim_block(world.a, world.b, false);
    sim_run_for(world.sim, 20000000000);
    assert_string_equal(got(world.eb, world.server), "question");
    sim_destroy(world.sim);
}

static void a_long_partition_breaks_the_sender(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    sim_isolate(world.a, true);
    assert_int_equal(put(world.ea, world.client, "x"), 1);
    sim_run_for(world.sim, 100000000000);
    assert_int_equal(put(world.ea, world.client, "y"), -ETIMEDOUT);
    assert_int_equal(put(world.ea, world.client, "y"), -EPIPE);
    /* The other end knows nothing until it sends. */
    char byte;
    assert_int_equal(env_sock_read(world.eb, world.server, &byte, 1), -EAGAIN);
    sim_isolate(world.a, false);
    assert_int_equal(put(world.eb, world.server, "z"), 1);
    sim_run_for(world.sim, 1000000000);
    assert_int_equal(env_sock_read(world.eb, world.server, &byte, 1), -ECONNRESET);
    sim_destroy(world.sim);
}

static void a_killed_peer_finishes_and_then_resets(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    assert_int_equal(put(world.eb, world.server, "last words"), 10);
    sim_crash(world.b, SIM_KILL);
    sim_run_for(world.sim, 1000000000);
    assert_string_equal(got(world.ea, world.client), "last words");
    char byte;
    assert_int_equal(env_sock_read(world.ea, world.client, &byte, 1), 0);
    assert_int_equal(put(world.ea, world.client, "hello?"), 6);
    sim_run_for(world.sim, 1000000000);
    assert_int_equal(put(world.ea, world.client, "hello?"), -ECONNRESET);
    sim_destroy(world.sim);
}

static void a_machine_that_lost_power_is_silent_until_it_is_back(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    sim_crash(world.b, SIM_POWER);
    sim_run_for(world.sim, 30000000000);
    char byte;
    assert_int_equal(env_sock_read(world.ea, world.client, &byte, 1), -EAGAIN);
    assert_int_equal(put(world.ea, world.client, "hello?"), 6);
    sim_run_for(world.sim, 1000000000);
    sim_restart(world.b);
    sim_run_for(world.sim, 20000000000);
    assert_int_equal(env_sock_read(world.ea, world.client, &byte, 1), -ECONNRESET);
    sim_destroy(world.sim);
}

static void disconnecting_resets_both_ends(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    sim_disconnect(world.a, world.b);
    assert_int_equal(put(world.ea, world.client, "x"), -ECONNRESET);
    assert_int_equal(put(world.eb, world.server, "x"), -ECONNRESET);
    sim_destroy(world.sim);
}

static void closing_with_unread_bytes_resets(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    assert_int_equal(put(world.ea, world.client, "unread"), 6);
    sim_run_for(world.sim, 1000000000);
    env_sock_close(world.eb, world.server);
    sim_run_for(world.sim, 1000000000);
    char byte;
    assert_int_equal(env_sock_read(world.ea, world.client, &byte, 1), -ECONNRESET);
    sim_destroy(world.sim);
}

static void a_sender_waits_for_a_reader(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    static char data[65536];
    size_t sent = 0, read = 0;
    ssize_t n;
    world_connect(&world);
    for (int i = 0; i < 100; i++) {
        struct iovec part = {data, sizeof data};
        n = env_sock_write(world.ea, world.client, &part, 1, false);
        sent += n > 0 ? (size_t)n : 0;
        sim_run_for(world.sim, 100000000);
    }
    assert_int_equal(n, -EAGAIN);
    assert_in_range(sent, 200 << 10, 300 << 10);
    while (read < sent) {
        n = env_sock_read(world.eb, world.server, data, sizeof data);
        assert_true(n > 0 || n == -EAGAIN);
        read += n > 0 ? (size_t)n : 0;
        sim_run_for(world.sim, 100000000);
    }
    assert_int_equal(put(world.ea, world.client, "more"), 4);
    sim_destroy(world.sim);
}

static void bytes_queued_by_sendfile_change_with_their_file(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    world_connect(&world);
    must(env_replace(world.ea, "/f", "0123456789", 10) == 0);
    int file = env_open(world.ea, "/f", ENV_READ | ENV_WRITE);
    assert_int_equal(put(world.ea, world.client, "head "), 5);
    assert_int_equal(env_sock_sendfile(world.ea, world.client, file, 2, 4), 4);
    assert_int_equal(env_sock_sendfile(world.ea, world.client, file, 10, 4), 0);
    must(env_write_all(world.ea, file, "XX", 2, 3) == 0);
    sim_run_for(world.sim, 1000000000);
    assert_string_equal(got(world.eb, world.server), "head 2XX5");
    sim_destroy(world.sim);
}

static void unix_sockets_and_loopback_stay_in_their_node(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    struct net_address address;
    must(net_address_parse("/run/x", 0, &address) == 0);
    assert_int_equal(env_connect(world.ea, &address), -ECONNREFUSED);
    int listener = env_listen(world.ea, &address, 1);
    assert_int_equal(env_listen(world.ea, &address, 1), -EADDRINUSE);
    int client = env_connect(world.ea, &address);
    int server = env_accept(world.ea, listener, NULL);
    assert_true(client >= 0 && server >= 0);
    assert_int_equal(put(world.ea, client, "hi"), 2);
    sim_run_for(world.sim, 1000000000);
    assert_string_equal(got(world.ea, server), "hi");
    must(net_address_parse("127.0.0.1", PORT, &address) == 0);
    int lost = env_connect(world.ea, &address);
    int found = env_connect(world.eb, &address);
    sim_run_for(world.sim, 1000000000);
    assert_int_equal(env_sock_error(world.ea, lost), -ECONNREFUSED);
    assert_int_equal(env_sock_error(world.eb, found), 0);
    assert_true(env_accept(world.eb, world.listener, NULL) >= 0);
    sim_destroy(world.sim);
}

static void descriptors_run_out(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    struct net_address address;
    sim_node_address(world.b, PORT, &address);
    sim_options(world.sim)->open_files_max = 1;
    assert_true(env_connect(world.ea, &address) >= 0);
    assert_int_equal(env_connect(world.ea, &address), -EMFILE);
    assert_int_equal(env_open(world.ea, "/f", ENV_WRITE | ENV_CREATE), -EMFILE);
    sim_run_for(world.sim, 1000000000);
    assert_int_equal(env_accept(world.eb, world.listener, NULL), -EMFILE);
    sim_options(world.sim)->open_files_max = 2;
    assert_true(env_accept(world.eb, world.listener, NULL) >= 0);
    sim_destroy(world.sim);
}

static void a_poller_tells_what_is_ready(void **state)
{
    (void)state;
    struct world world = world_create(1, NULL);
    struct env_poll_event event;
    struct env_poller *poller = world.eb->ops->poller_create(world.eb);
    world_connect(&world);
    must(world.eb->ops->poller_add(poller, world.server, ENV_POLL_IN, &world) == 0);
    assert_int_equal(world.eb->ops->poller_add(poller, world.server, ENV_POLL_IN, &world), -EEXIST);
    int64_t until = env_now_ns(world.eb) + 1000000000;
    assert_int_equal(world.eb->ops->poller_wait(poller, &event, 1, until), 0);
    assert_true(env_now_ns(world.eb) >= until);
    put(world.ea, world.client, "x");
    assert_int_equal(world.eb->ops->poller_wait(poller, &event, 1, -1), 1);
    assert_ptr_equal(event.tag, &world);
    assert_int_equal(event.events, ENV_POLL_IN);
    assert_int_equal(world.eb->ops->poller_wait(poller, &event, 1, -1), 1);
    assert_string_equal(got(world.eb, world.server), "x");
    assert_int_equal(world.eb->ops->poller_wait(poller, &event, 1, 0), 0);
    must(world.eb->ops->poller_change(poller, world.server, 0, &world) == 0);
    sim_disconnect(world.a, world.b);
    assert_int_equal(world.eb->ops->poller_wait(poller, &event, 1, -1), 1);
    assert_int_equal(event.events, ENV_POLL_HUP);
    world.eb->ops->poller_destroy(poller);
    sim_destroy(world.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order_after_a_while),
        cmocka_unit_test(rough_networks_deliver_the_same_bytes),
        cmocka_unit_test(a_connect_to_nobody_is_refused),
        cmocka_unit_test(a_connect_to_a_dead_machine_times_out),
        cmocka_unit_test(a_one_way_partition_stops_one_way_only),
        cmocka_unit_test(a_long_partition_breaks_the_sender),
        cmocka_unit_test(a_killed_peer_finishes_and_then_resets),
        cmocka_unit_test(a_machine_that_lost_power_is_silent_until_it_is_back),
        cmocka_unit_test(disconnecting_resets_both_ends),
        cmocka_unit_test(closing_with_unread_bytes_resets),
        cmocka_unit_test(a_sender_waits_for_a_reader),
        cmocka_unit_test(bytes_queued_by_sendfile_change_with_their_file),
        cmocka_unit_test(unix_sockets_and_loopback_stay_in_their_node),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(a_poller_tells_what_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
