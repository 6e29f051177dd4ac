/* What conn.c and conn_out.c share. */
#ifndef JACKDAW_NET_CONN_PRIVATE_H
#define JACKDAW_NET_CONN_PRIVATE_H

#include "net/conn.h"

/* conn.c */
void conn_unref(struct conn *conn);
/* Note progress, and whether the connection owes more of a frame or of an answer. */
void conn_progress(struct conn *conn);
/* The connection waits for its peer to take an answer. */
void conn_stalled(struct conn *conn);
/* Ask the poller for what is wanted now. */
void conn_watch(struct conn *conn);
/* Deliver frames while that is allowed, then send. */
void conn_deliver(struct conn *conn);
/* The same, after the current handler. */
void conn_deliver_later(struct conn *conn);

/* conn_out.c */
/* Send what is ready, in order, as far as the peer takes it. */
void conn_flush(struct conn *conn);
/* The connection was closed: end the exchanges that have their answer. */
void conn_drop_answers(struct conn *conn);

#endif
