/* Connections and sockets, shared by sim_conn.c, which moves the bytes, and sim_net.c, which has
 * the calls. */
#ifndef JACKDAW_SIM_NET_H
#define JACKDAW_SIM_NET_H

#include "sim/sim_internal.h"

struct sim_conn;

/* Bytes on their way. Those of sendfile are looked up in the page cache when they arrive: until
 * then the kernel holds the pages, not a copy, and who changes the file changes them. */
struct sim_chunk {
    struct list link;
    size_t size;
    size_t at;               /* bytes that have arrived */
    struct sim_inode *inode; /* NULL: in data */
    int64_t offset;
    uint8_t data[];
};

struct sim_pipe {
    struct sim_conn *conn;
    int from; /* the end that writes */
    struct list chunks;
    uint64_t written, arrived, read, acked;
    bool fin, fin_arrived;
    uint8_t *inbox; /* arrived and unread bytes */
    size_t inbox_at, inbox_size, inbox_capacity;
    struct sim_event deliver;
    uint64_t deliver_to; /* what the delivery under way carries at most */
    bool deliver_fin;
    struct sim_event ack;
    int64_t stuck_since_ns; /* -1: not stuck */
    int64_t retry_ns;
};

struct sim_conn {
    struct list link; /* sim->conns */
    struct sim *sim;
    struct sim_node *nodes[2];
    struct sim_sock *ends[2]; /* 0: who connected */
    struct sim_pipe pipes[2]; /* [i]: from end i */
    struct sim_event resets[2];
    struct sim_event handshake;
    bool answered; /* the handshake is on its way back */
    bool refused;
    struct net_address target;
    int64_t began_ns;
    int64_t retry_ns;
};

struct sim_sock {
    struct list link; /* node->socks */
    struct sim_node *node;
    struct sim_watch *watch;
    struct net_address local;
    bool listener;
    /* Listeners. */
    struct list queue; /* of sockets to accept, by queue_link */
    int queued, backlog;
    /* Connections. */
    struct list queue_link;
    struct sim_conn *conn;
    int side;
    bool connecting;
    bool dead; /* reset or given up: nothing comes or goes any more */
    int error; /* pending, positive */
    uint64_t send_limit, receive_limit;
};

/* Connections; in sim_conn.c. */
struct sim_conn *sim_conn_create(struct sim_node *from, struct sim_node *to,
                                 void (*handshake)(struct sim_event *event));

/* An end learns that the connection is over. What arrived before can still be read. */
void sim_conn_break(struct sim_conn *conn, int end, int error);

/* Send the end a reset. */
void sim_conn_reset(struct sim_conn *conn, int to);
int64_t sim_link_delay(const struct sim_conn *conn);

/* Whether anything can pass from end `from` to the other one's machine. */
bool sim_link_open(const struct sim_conn *conn, int from);

/* How long to wait before the next try; doubles *retry_ns. */
int64_t sim_link_backoff(struct sim *sim, int64_t *retry_ns);

/* Send what can be sent, unless a delivery is under way. */
void sim_pipe_kick(struct sim_pipe *pipe);

struct sim_sock *sim_sock_create(struct sim_node *node);
void sim_sock_free(struct sim_sock *sock);

/* The process closes its end, or the kernel does so after it died. Unread bytes make it a reset. */
void sim_sock_end(struct sim_sock *sock);
void sim_listener_end(struct sim_sock *listener, enum sim_crash kind);

#endif
