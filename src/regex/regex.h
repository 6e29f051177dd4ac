/* Regular expressions over names, in the syntax of RE2, which cannot be made to run for longer than
 * its length times the text's. Kafka's brokers use RE2/J (KIP-848, KIP-1088): the same syntax.
 *
 * A compiled expression may be used by one thread at a time. */
#ifndef JACKDAW_REGEX_REGEX_H
#define JACKDAW_REGEX_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    REGEX_MAX_BYTES = 32767,              /* of an expression: of a string in a request */
    REGEX_MEMORY_BYTES = 2 * 1024 * 1024, /* of what it is compiled to, matching included */
    REGEX_WHY_SIZE = 128,
};

struct regex;

/* 0; -EINVAL: it is not one, or above a bound: then `ret_why`, which has room for REGEX_WHY_SIZE
 * bytes or is NULL, says why; -ENOMEM. Takes milliseconds for long expressions: not on a loop. */
int regex_compile(const char *text, size_t size, struct regex **ret_regex, char *ret_why);
void regex_destroy(struct regex *regex); /* may be NULL */

/* Whether it matches the whole text. */
bool regex_matches(const struct regex *regex, const char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
