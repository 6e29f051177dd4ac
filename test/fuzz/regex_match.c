/* An expression, up to the first end of a line, and names, one in each line that follows: whatever
 * they are, it is an expression or is refused with a reason; what matches does so again, also when
 * compiled anew; a quoted name is an expression for itself and for nothing that is longer. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "regex/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAME_MAX_BYTES = 249 }; /* of a topic */

static size_t line_size(const char *text, size_t size)
{
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    return end ? (size_t)(end - text) : size;
}

static struct regex *compile(const char *text, size_t size)
{
    struct regex *regex = NULL;
    char why[REGEX_WHY_SIZE];
    memset(why, 'x', sizeof why);
    int err = regex_compile(text, size, &regex, why);
    must(err == 0 || err == -EINVAL);
    must((err == 0) == (regex != NULL));
    if (err == -EINVAL)
        must(memchr(why, 0, sizeof why) && why[0] != 0);
    return regex;
}

/* "\Qname\E": names of topics have none of what would end the quotation. */
static void check_quoted(const char *name, size_t size)
{
    char text[NAME_MAX_BYTES + 4], longer[NAME_MAX_BYTES + 1];
    if (memchr(name, '\\', size))
        return;
    memcpy(text, "\\Q", 2);
    memcpy(text + 2, name, size);
    memcpy(text + 2 + size, "\\E", 2);
    struct regex *regex = compile(text, size + 4);
    if (regex) { /* else it is no UTF-8 */
        memcpy(longer, name, size);
        longer[size] = 'a';
        must(regex_matches(regex, name, size));
        must(!regex_matches(regex, longer, size + 1));
    }
    regex_destroy(regex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    size_t used = line_size(text, size);
    struct regex *regex = compile(text, used), *again = compile(text, used);
    must(!regex == !again);
    while (used < size) {
        const char *name = text + used + 1;
        size_t name_size = line_size(name, size - used - 1);
        used += 1 + name_size;
        if (name_size > NAME_MAX_BYTES)
            continue;
        check_quoted(name, name_size);
        if (regex)
            must(regex_matches(regex, name, name_size) == regex_matches(again, name, name_size));
    }
    regex_destroy(regex);
    regex_destroy(again);
    return 0;
}
