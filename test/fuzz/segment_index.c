/* The files beside a sound .log — indexes, snapshots, epochs, partition.metadata — replaced by the
 * input, removed or changed. They are hints: every record must still be readable, or the folder be
 * refused.
 *
 * Input: which file, flags, then the script or the file. */
#include "segment_seed.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW = 1, CLEAN = 2, REMOVE = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct segment_seed *seed = segment_seed();
    if (size < 2)
        return 0;
    const char *path = seed->paths[data[0] % seed->count];
    size_t name = strlen(path);
    if (strcmp(path + name - 4, ".log") == 0)
        return 0;
    struct ram_disk *disk = ram_disk_clone(seed->disk, 1);
    if (data[1] & REMOVE)
        ram_disk_remove(disk, path);
    else if (data[1] & RAW)
        ram_disk_put(disk, path, data + 2, size - 2);
    else
        segment_spoil(disk, path, data + 2, size - 2);
    segment_try(disk, data[1] & CLEAN, 0);
    ram_disk_destroy(disk);
    return 0;
}
