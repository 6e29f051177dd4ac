/* A shard of a coordinator that is nothing but its state: no log, no loop. Records of any bytes are
 * folded into it, then it is loaded, its timers run out, and it is unloaded. */
#ifndef JACKDAW_TEST_FUZZ_FOLD_SHARD_H
#define JACKDAW_TEST_FUZZ_FOLD_SHARD_H

#include "coord/coord_private.h"
#include "metadata/fold.h"

struct fold_shard {
    struct coord coord;
    struct coord_shard shard;
    struct loop loop;
    struct broker_settings settings;
    struct wakes wakes;
    struct coord_turn turn;
    struct image_builder builder; /* of an empty cluster */
    struct image *image;
    void *state;
};

void fold_shard_init(struct fold_shard *fold, const struct coord_fold *rules, void *context);
void fold_shard_apply(struct fold_shard *fold, struct coord_record *record);
void fold_shard_mark(struct fold_shard *fold, struct coord_marker *marker);
void fold_shard_load(struct fold_shard *fold);
/* Time passes, `times` times; what timers decide comes to nothing, for `error`. */
void fold_shard_pass(struct fold_shard *fold, int64_t ms, int times, int error);
/* What an operation would decide; its records are dropped. The code. */
int fold_shard_decide(struct fold_shard *fold, struct coord_op *op);
void fold_shard_close(struct fold_shard *fold);

/* What is left of the input, taken in pieces. */
struct fuzz_input {
    const uint8_t *data;
    size_t left;
};
uint8_t fuzz_byte(struct fuzz_input *input);   /* 0 at the end */
int64_t fuzz_number(struct fuzz_input *input); /* any; often one at a boundary */
struct bytes fuzz_bytes(struct fuzz_input *input, size_t most);
/* One of these names mostly, so that records meet; else any bytes. */
struct str fuzz_name(struct fuzz_input *input, const struct str *names, size_t count);

#endif
