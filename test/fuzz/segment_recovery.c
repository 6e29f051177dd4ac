/* A .log file as hostile as it comes: either the input itself, or a sound one with bytes changed,
 * with its checksums made right again or not. Opening ends, and what it lets in can be read.
 *
 * Input: flags, recovery point, then the script or the file. */
#include "segment_seed.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW = 1, CLEAN = 2, REPAIR = 4, CUT = 8, SEGMENT = 0x30 };

static const char *const logs[] = {SEGMENT_FUZZ_DIR "/00000000000000000000.log"};

static bool is_log(const char *path)
{
    size_t size = strlen(path);
    return size > 4 && strcmp(path + size - 4, ".log") == 0;
}

/* The n-th .log file of the folder. */
static const char *log_path(const struct segment_seed *seed, int nth)
{
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < seed->count; i++)
            if (is_log(seed->paths[i]) && nth-- == 0)
                return seed->paths[i];
    return logs[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct segment_seed *seed = segment_seed();
    if (size < 2)
        return 0;
    struct ram_disk *disk = ram_disk_clone(seed->disk, 1);
    uint8_t flags = data[0];
    int64_t recovery_point = flags & CLEAN ? 0 : data[1] % 64;
    const char *path = log_path(seed, (flags & SEGMENT) >> 4);
    size_t file_size;
    if (flags & RAW)
        ram_disk_put(disk, path, data + 2, size - 2);
    else
        segment_spoil(disk, path, data + 2, size - 2);
    const uint8_t *file = ram_disk_data(disk, path, &file_size);
    if ((flags & CUT) && file_size > 0 && size > 2) {
        uint8_t copy[4096];
        size_t kept = file_size * data[2] / 256;
        kept = kept < sizeof copy ? kept : sizeof copy;
        memcpy(copy, file, kept);
        ram_disk_put(disk, path, copy, kept);
    }
    if (flags & REPAIR)
        segment_repair(disk, path);
    segment_try(disk, flags & CLEAN, recovery_point);
    ram_disk_destroy(disk);
    return 0;
}
