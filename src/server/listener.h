/* Listening sockets: accept, enforce connection limits, hand the socket to the least busy loop. */
#ifndef JACKDAW_SERVER_LISTENER_H
#define JACKDAW_SERVER_LISTENER_H

#include "server/broker.h"

struct broker_listener {
    struct broker *broker;
    const struct listener_setting *setting; /* of the static configuration */
    struct net_address bound;
    struct loop_sock watch; /* watched by the home loop */
    bool open;
    int32_t connections;     /* under the quota's lock */
    struct conn_rate rate;   /* home loop */
    int64_t refusal_said_ns; /* home loop: when a failure to accept was last logged; 0: never */
    bool full;               /* home loop: waits for a connection to close */
    int64_t full_said_ns;    /* home loop */
    struct loop_timer retry; /* after descriptors ran out, or too many came in a second */
};

/* Bind every client listener of the configuration. On failure some may be open: close them. 0 or
 * -errno; what failed is logged. Controller listeners of a node that is its own only voter have
 * nobody to serve and are not opened. */
int listeners_open(struct broker *broker);
void listeners_close(struct broker *broker);
/* Whether each could be bound now; it is let go at once. 0 or -errno, logged. BLOCKING. */
int listeners_check(struct broker *broker);

/* Close connections of clients, those first that were used least recently, while there are more
 * than max.connections; soon. Any thread. */
void connections_shed(struct broker *broker);

/* Prepare a loop for connections. */
int broker_loop_conns_init(struct broker_loop *home);

#endif
