/* Writes the configuration reference to standard output; tools/docs-config keeps it in docs/. */
#include <stdio.h>

#include "metadata/config_keys.h"

int main(void)
{
    struct writer out = {0};
    config_write_reference(&out);
    size_t written = out.failed ? 0 : fwrite(out.data, 1, out.size, stdout);
    bool good = written == out.size && !out.failed;
    writer_close(&out);
    return good ? 0 : 1;
}
