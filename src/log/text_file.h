/* The small text files of a log directory: checkpoints, leader epochs, partition.metadata. */
#ifndef JACKDAW_LOG_TEXT_FILE_H
#define JACKDAW_LOG_TEXT_FILE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/uuid.h"
#include "os/env.h"

/* Lines of Kafka's checkpoint format: a version line "0", a count, then `count` lines. */
struct checkpoint_reader {
    struct str rest;
    int32_t left; /* lines still to come */
};

/* 0, also for an empty text; -EBADMSG for another version, a wrong count or too few lines. */
int checkpoint_reader_open(struct str text, struct checkpoint_reader *ret_reader);
/* 0, -ENODATA after the last line; -EBADMSG when lines are left over or missing. */
int checkpoint_reader_next(struct checkpoint_reader *reader, struct str *ret_line);

/* Cut the next blank-separated word off the line's front; empty at the end. */
struct str line_word(struct str *line);
/* A whole word as a decimal number from min to max. 0 or -EBADMSG. */
int word_int64(struct str word, int64_t min, int64_t max, int64_t *ret_value);

/* printf to the end of a writer. */
void write_format(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As env_replace but left to the page cache: after a crash of the system the file may be the old
 * one, the new one or cut. For files that recovery can rebuild. Failing it leaves PATH.tmp. */
int file_replace_unsynced(struct env *env, const char *path, const void *data, size_t size);

/* The topic id in DIR/partition.metadata: 0; -ENOENT; -EBADMSG. The write is unsynced. */
#define PARTITION_METADATA "partition.metadata"
int partition_metadata_read(struct env *env, const char *dir, struct uuid *ret_topic_id);
int partition_metadata_write(struct env *env, const char *dir, struct uuid topic_id);

#endif
