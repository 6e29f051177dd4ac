/* Names of files and folders in a log directory, as Apache Kafka forms them. */
#ifndef JACKDAW_LOG_NAMES_H
#define JACKDAW_LOG_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define LOG_PATH_MAX 4096 /* with the closing NUL */

enum segment_file {
    SEGMENT_LOG,
    SEGMENT_INDEX,
    SEGMENT_TIMEINDEX,
    SEGMENT_TXNINDEX,
    SEGMENT_SNAPSHOT, /* producer state at that offset, not a part of the segment */
    SEGMENT_FILES
};

#define SUFFIX_DELETED ".deleted"
#define SUFFIX_CLEANED ".cleaned"
#define SUFFIX_SWAP ".swap"

/* "DIR/00000000000000000042.log" and so on, then `suffix`. -ENAMETOOLONG. */
int segment_path(char path[LOG_PATH_MAX], const char *dir, int64_t base_offset,
                 enum segment_file kind, const char *suffix);

/* The parts of a segment file's name; `suffix` points into `name`. False for other names. */
bool segment_name_parse(const char *name, int64_t *ret_base_offset, enum segment_file *ret_kind,
                        const char **ret_suffix);

/* "DIR/NAME". -ENAMETOOLONG. */
int path_join(char path[LOG_PATH_MAX], const char *dir, const char *name);

enum folder_kind { FOLDER_LOG, FOLDER_DELETED, FOLDER_FUTURE, FOLDER_STRAY };

/* "TOPIC-PARTITION" or "TOPIC-PARTITION.UNIQUE-delete" (or -future, -stray). False for other
 * names. */
bool folder_name_parse(struct str name, struct str *ret_topic, int32_t *ret_partition,
                       enum folder_kind *ret_kind);

#endif
