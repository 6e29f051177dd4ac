/* `jackdaw dump-log`: read and verify the files of a log directory, whichever of Jackdaw and Kafka
 * wrote them. */
#include "cli/dump_log.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/properties.h"
#include "cli/command.h"
#include "log/names.h"
#include "log/text_file.h"
#include "os/linux_env.h"

#define TEXT_BYTES_MAX (64 * 1024 * 1024)

static const char usage[] =
    "usage: jackdaw dump-log [options] --files FILE[,FILE…]\n"
    "       jackdaw dump-log [options] FILE|DIRECTORY…\n"
    "\n"
    "Reads and verifies .log, .index, .timeindex, .txnindex, .snapshot and .checkpoint files,\n"
    "epoch and offset checkpoints, partition.metadata and meta.properties. A directory stands for\n"
    "the files in it. Exit code 1: something is damaged.\n"
    "\n"
    "  --files LIST                  files, separated by commas\n"
    "  --deep-iteration              look at every record, not only at batches\n"
    "  --print-data-log              print keys and values too\n"
    "  --index-sanity-check          check indexes as a start does, print nothing of them\n"
    "  --verify-index-only           compare indexes with their log, print nothing of them\n"
    "  --cluster-metadata-decoder    records of __cluster_metadata\n"
    "  --offsets-decoder             records of __consumer_offsets\n"
    "  --transaction-log-decoder     records of __transaction_state\n"
    "  --share-group-state-decoder   records of __share_group_state\n"
    "  --skip-record-metadata        print only keys and values of records\n"
    "  --max-bytes N                 read at most so much of each .log file\n"
    "  --max-message-size N          accepted, without effect\n";

void dump_problem(struct dump *dump, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(dump->err, format, args);
    va_end(args);
    fputc('\n', dump->err);
    dump->problems++;
}

static int load_text(struct dump *dump, const char *path, char **ret_text, struct str *ret)
{
    size_t size;
    int err = env_load(dump->env, path, TEXT_BYTES_MAX, ret_text, &size);
    if (err < 0)
        return err;
    *ret = (struct str){*ret_text, (int32_t)size};
    return 0;
}

/* A checkpoint of any kind: version, count, lines. */
static int dump_checkpoint(struct dump *dump, const char *path, int words)
{
    struct checkpoint_reader reader;
    struct str text, line;
    char *data;
    int err = load_text(dump, path, &data, &text);
    if (err < 0)
        return err;
    err = checkpoint_reader_open(text, &reader);
    while (err == 0 && (err = checkpoint_reader_next(&reader, &line)) == 0) {
        struct str rest = line;
        int count = 0;
        int64_t number;
        for (struct str word = line_word(&rest); word.size > 0; word = line_word(&rest)) {
            bool is_topic = words == 3 && count == 0;
            if (!is_topic && word_int64(word, INT64_MIN, INT64_MAX, &number) < 0)
                err = -EBADMSG;
            count++;
        }
        if (count != words || err < 0)
            dump_problem(dump, "Malformed line in %s: %.*s", path, line.size, line.data);
        else
            fprintf(dump->out, "%.*s\n", line.size, line.data);
    }
    if (err == -EBADMSG)
        dump_problem(dump, "%s is malformed.", path);
    free(data);
    return err == -ENODATA || err == -EBADMSG ? 0 : err;
}

static int dump_partition_metadata(struct dump *dump, const char *path)
{
    char dir[LOG_PATH_MAX], text[UUID_TEXT_SIZE];
    struct uuid id;
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path)
                  : snprintf(dir, sizeof dir, ".");
    if (n < 0 || n >= (int)sizeof dir)
        return -ENAMETOOLONG;
    int err = partition_metadata_read(dump->env, dir, &id);
    if (err == -EBADMSG)
        dump_problem(dump, "%s is malformed.", path);
    if (err < 0)
        return err == -EBADMSG ? 0 : err;
    uuid_format(id, text);
    fprintf(dump->out, "topicId: %s\n", text);
    return 0;
}

static int dump_properties(struct dump *dump, const char *path)
{
    struct properties_reader reader;
    struct property property;
    struct arena arena;
    struct str text;
    char *data;
    int err = load_text(dump, path, &data, &text);
    if (err < 0)
        return err;
    arena_init(&arena, 0);
    err = properties_open((struct bytes){(const uint8_t *)text.data, text.size}, &reader);
    while (err == 0 && (err = properties_next(&reader, &arena, &property)) == 0)
        fprintf(dump->out, "%.*s: %.*s\n", property.key.size, property.key.data,
                property.value.size, property.value.data);
    if (err < 0)
        dump_problem(dump, "%s is malformed in line %d.", path, reader.line);
    arena_close(&arena);
    free(data);
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static int dump_by_name(struct dump *dump, const char *path, const char *name)
{
    int64_t base_offset;
    enum segment_file kind;
    const char *suffix;
    if (segment_name_parse(name, &base_offset, &kind, &suffix)) {
        switch (kind) {
        case SEGMENT_LOG:
            fprintf(dump->out, "Log starting offset: %lld\n", (long long)base_offset);
            return dump_records(dump, path);
        case SEGMENT_INDEX:
            return dump_offset_index(dump, path, base_offset);
        case SEGMENT_TIMEINDEX:
            return dump_time_index(dump, path, base_offset);
        case SEGMENT_TXNINDEX:
            return dump_txn_index(dump, path, base_offset);
        default:
            return dump_snapshot(dump, path);
        }
    }
    if (strcmp(name, "leader-epoch-checkpoint") == 0)
        return dump_checkpoint(dump, path, 2);
    if (ends_with(name, "-offset-checkpoint"))
        return dump_checkpoint(dump, path, 3);
    if (strcmp(name, PARTITION_METADATA) == 0)
        return dump_partition_metadata(dump, path);
    if (ends_with(name, ".checkpoint"))
        return dump_records(dump, path);
    if (strcmp(name, "meta.properties") == 0)
        return dump_properties(dump, path);
    fprintf(dump->err, "Ignoring unknown file %s\n", path);
    return 0;
}

static void dump_path(struct dump *dump, const char *path);

static int dump_child(void *context, const char *name)
{
    void **parts = context;
    struct dump *dump = parts[0];
    char path[LOG_PATH_MAX];
    struct env_stat stat;
    if (path_join(path, parts[1], name) == 0 && env_stat(dump->env, path, &stat) == 0 &&
        !stat.is_dir)
        dump_path(dump, path);
    return 0;
}

/* A file, or every file in a directory (but not in those below it). */
static void dump_path(struct dump *dump, const char *path)
{
    struct env_stat stat;
    const char *slash = strrchr(path, '/');
    int err = env_stat(dump->env, path, &stat);
    if (err == 0 && stat.is_dir) {
        void *parts[] = {dump, (void *)path};
        err = env_list_dir(dump->env, path, dump_child, parts);
    } else if (err == 0) {
        fprintf(dump->out, "Dumping %s\n", path);
        err = dump_by_name(dump, path, slash ? slash + 1 : path);
    }
    if (err < 0)
        dump_problem(dump, "%s: %s", path, strerror(-err));
}

enum { OPT_FILES = 256, OPT_MAX_BYTES, OPT_MAX_MESSAGE, OPT_HELP };

static int parse_number(const char *text, int64_t *ret_number)
{
    return word_int64(str_of(text), 0, INT64_MAX, ret_number);
}

int dump_log_main(int argc, char **argv)
{
    struct dump dump = {.out = stdout, .err = stderr, .max_bytes = INT64_MAX};
    int deep = 0, print = 0, skip = 0, sanity = 0, verify = 0, decoder = DECODE_TEXT;
    int64_t number;
    char *files = NULL;
    const struct option options[] = {
        {"files", required_argument, NULL, OPT_FILES},
        {"deep-iteration", no_argument, &deep, 1},
        {"print-data-log", no_argument, &print, 1},
        {"skip-record-metadata", no_argument, &skip, 1},
        {"index-sanity-check", no_argument, &sanity, 1},
        {"verify-index-only", no_argument, &verify, 1},
        {"cluster-metadata-decoder", no_argument, &decoder, DECODE_METADATA},
        {"offsets-decoder", no_argument, &decoder, DECODE_GROUP},
        {"transaction-log-decoder", no_argument, &decoder, DECODE_TRANSACTION},
        {"share-group-state-decoder", no_argument, &decoder, DECODE_SHARE},
        {"max-bytes", required_argument, NULL, OPT_MAX_BYTES},
        {"max-message-size", required_argument, NULL, OPT_MAX_MESSAGE},
        {"help", no_argument, NULL, OPT_HELP},
        {0},
    };
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == OPT_FILES) {
            files = optarg;
        } else if (option == OPT_MAX_BYTES && parse_number(optarg, &number) == 0) {
            dump.max_bytes = number;
        } else if (option == OPT_MAX_MESSAGE && parse_number(optarg, &number) == 0) {
            continue;
        } else if (option == OPT_HELP) {
            fputs(usage, stdout);
            return EXIT_OK;
        } else if (option != 0) {
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (!files && optind == argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    dump.decoder = (enum dump_decoder)decoder;
    dump.print = print || decoder != DECODE_TEXT;
    dump.deep = deep || dump.print;
    dump.skip_metadata = skip;
    dump.index_sanity = sanity;
    dump.verify_only = verify;
    dump.env = linux_env_create(NULL);
    if (!dump.env) {
        fprintf(stderr, "jackdaw: %s\n", strerror(errno));
        return EXIT_FAILED;
    }

    for (char *file = files ? strtok(files, ",") : NULL; file; file = strtok(NULL, ","))
        dump_path(&dump, file);
    for (int i = optind; i < argc; i++)
        dump_path(&dump, argv[i]);
    linux_env_destroy(dump.env);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "jackdaw: standard output: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return dump.problems ? EXIT_FAILED : EXIT_OK;
}
