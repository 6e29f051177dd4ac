#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "follow.h"

#include <stdlib.h>

int64_t follow_log(struct env *env, struct log *log, int64_t from, struct log_position bound,
                   int32_t max_bytes, void (*each)(void *context, const struct batch *batch),
                   void *context)
{
    struct log_position hint = {from, -1, 0, 0};
    int64_t reached = from;
    while (hint.offset < bound.offset) {
        struct log_span span;
        struct log_read_params params = {.offset = hint.offset,
                                         .hint = &hint,
                                         .bound = bound,
                                         .max_bytes = max_bytes,
                                         .min_one_batch = true,
                                         .may_block = true};
        assert_int_equal(log_read(log, &params, &span), 0);
        if (span.size == 0)
            break;
        size_t size = (size_t)span.size, at = 0;
        uint8_t *data = malloc(size);
        assert_int_equal(
            env_read_all(env, file_ref_descriptor(span.file), data, size, span.position), 0);
        while (at < size) {
            struct batch batch;
            assert_int_equal(batch_read(data + at, size - at, &batch), 0);
            assert_true(batch_checksum_ok(&batch));
            assert_true(batch_last_offset(&batch) >= reached);
            each(context, &batch);
            reached = batch_last_offset(&batch) + 1;
            at += (size_t)batch.size;
        }
        free(data);
        hint = span.next;
        log_span_close(&span);
    }
    return reached;
}
