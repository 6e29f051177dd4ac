/* The live line of `jackdaw server --status`: what went through in the last interval. */
#ifndef JACKDAW_CLI_STATUS_H
#define JACKDAW_CLI_STATUS_H

#include <stdio.h>

#include "server/broker.h"

struct status_line {
    struct broker *broker;
    int64_t at_ns;
    int64_t messages_in, bytes_in, bytes_out, requests; /* at at_ns */
};

void status_init(struct status_line *line, struct broker *broker);
/* Any thread, while the node serves. Begins with a carriage return and has no newline. */
void status_print(struct status_line *line, FILE *out);

#endif
