/* A process that uses a client, on a node of the simulator: what the client's tests have in common.
 */
#ifndef JACKDAW_TEST_CLIENT_APP_H
#define JACKDAW_TEST_CLIENT_APP_H

#include "client/core.h"
#include "client/fetch.h"
#include "client/producer.h"
#include "fake_broker.h"

struct app {
    struct sim *sim;
    struct sim_node *node;
    struct fake_cluster *cluster; /* may be NULL */
    struct client_settings settings;
    const char *bootstrap[4];
    void (*begin)(struct app *app); /* on the loop, with the client there */
    void (*end)(struct app *app);   /* after the client is gone; may be NULL */
    void *context;

    struct loop loop;
    struct say say;
    struct client *client;
    bool finished; /* set by the test: close the client and end */
    bool ended;
};

/* A world with so many fake brokers, all started, and an application on a node of its own, which
 * knows broker 0. `options` NULL: calm. */
void app_create(struct app *app, uint64_t seed, const struct sim_options *options, int brokers);
void app_start(struct app *app);
/* Run until it has ended; false when it has not within this much time. Checks that nothing leaked.
 */
bool app_run(struct app *app, int64_t for_ns);
void app_destroy(struct app *app);

/* One v2 batch of `count` records with these values: number, number + 1, … as text. From malloc. */
uint8_t *make_batch(int64_t number, int count, int32_t *ret_size);

/* Call `each` for every record in whole batches. */
void each_record(const uint8_t *data, int32_t size,
                 void (*each)(void *context, int64_t offset, int64_t number), void *context);

#define APP_SECOND 1000000000ll

#endif
