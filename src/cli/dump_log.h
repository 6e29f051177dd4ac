/* `jackdaw dump-log`: shared by its files. Lines have the form of Kafka's DumpLogSegments, so that
 * scripts that read its output read this too. */
#ifndef JACKDAW_CLI_DUMP_LOG_H
#define JACKDAW_CLI_DUMP_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "os/env.h"
#include "record/batch.h"

enum dump_decoder { DECODE_TEXT, DECODE_METADATA, DECODE_GROUP, DECODE_TRANSACTION, DECODE_SHARE };

struct dump {
    struct env *env;
    FILE *out, *err;
    bool deep;          /* look at every record */
    bool print;         /* with key and value */
    bool skip_metadata; /* only key and value */
    bool index_sanity;
    bool verify_only;
    int64_t max_bytes;
    enum dump_decoder decoder;
    int problems; /* found so far */
};

/* printf to standard error, and count it. */
void dump_problem(struct dump *dump, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* dump_log_records.c: a .log or .checkpoint file. 0 or -errno when it cannot be read. */
int dump_records(struct dump *dump, const char *path);
/* dump_log_index.c. `base_offset` is the one in the file's name. */
int dump_offset_index(struct dump *dump, const char *path, int64_t base_offset);
int dump_time_index(struct dump *dump, const char *path, int64_t base_offset);
int dump_txn_index(struct dump *dump, const char *path, int64_t base_offset);
int dump_snapshot(struct dump *dump, const char *path);

#endif
