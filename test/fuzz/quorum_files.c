/* What the quorum reads from its directory: control batches, quorum-state, names of snapshots. */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "quorum/control.h"
#include "quorum/quorum_state.h"
#include "quorum/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_batch(const uint8_t *data, size_t size)
{
    struct voter_set set;
    struct batch batch;
    voter_set_init(&set);
    for (size_t at = 0; at < size && batch_read(data + at, size - at, &batch) == 0;
         at += (size_t)batch.size)
        if (voter_set_read(&set, &batch) == 0)
            must(set.count <= QUORUM_VOTERS_MAX);
    voter_set_close(&set);
}

static void read_name(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1);
    char again[SNAPSHOT_NAME_SIZE];
    struct snapshot_id id;
    must(name);
    memcpy(name, data, size);
    name[size] = '\0';
    if (snapshot_parse_name(name, &id)) {
        snapshot_name(id, again);
        must(strcmp(name, again) == 0);
    }
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quorum_state state;
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        read_batch(data + 1, size - 1);
        break;
    case 1:
        read_name(data + 1, size - 1);
        break;
    default:
        if (quorum_state_parse((const char *)data + 1, size - 1, &state) == 0)
            must(state.leader_epoch >= -1);
    }
    return 0;
}
