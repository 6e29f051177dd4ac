#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *cond, const char *file, int line, const char *function)
{
    fprintf(stderr, "jackdaw: must(%s) failed in %s at %s:%d\n", cond, function, file, line);
    abort();
}
