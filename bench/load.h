/* What the modes of bench/load share. */
#ifndef JACKDAW_BENCH_LOAD_H
#define JACKDAW_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdint.h>

struct load_options {
    struct sockaddr_in address;
    const char *topic;
    int partitions;
    int partition; /* `first`: where the first record goes */
    int connections;
    int inflight;   /* most unanswered requests per connection */
    double rate;    /* requests, transactions per s over all connections; 0: as fast as answered */
    int64_t count;  /* requests; `tail`: records */
    int64_t warmup; /* the first of them, which are left out of the latencies */
    int64_t bytes;  /* `fetch`: end after this many */
    int size;       /* of a record's value */
    int records;    /* per request */
    int acks;
    const char *group;  /* its name, or the beginning of all names; ids of transactions, too */
    double seconds;     /* `txn`: how long */
    double delay_ms;    /* `members`: the broker's group.initial.rebalance.delay.ms */
    int of_partitions;  /* `fill`: partitions of __consumer_offsets; 0: any will do */
    const char *log;    /* `first`: what the program prints goes here */
    char *const *words; /* what follows the options */
};

/* Each runs to its end, prints one line of JSON and answers the exit status. */
int load_produce(const struct load_options *options);
int load_fetch(const struct load_options *options);
int load_tail(const struct load_options *options);
int load_first(const struct load_options *options);
int load_connections(const struct load_options *options);
int load_members(const struct load_options *options);
int load_consumers(const struct load_options *options);
int load_idle(const struct load_options *options);
int load_commits(const struct load_options *options);
int load_fill(const struct load_options *options);
int load_txn(const struct load_options *options);
int load_topic(const struct load_options *options);

#endif
