/* Our assignors behind a pipe, for test/group/differential. One group after the other:
 *
 *   ASSIGNOR TOPICS MEMBERS
 *   MOST LEAST PARTITIONS                 for each topic: its id in two halves
 *   ID INSTANCE N T1 ... TN M T:P ...     for each member: ids in hex ("-": none), the topics that
 *                                         it subscribes to, the partitions that it had
 *
 * and for each group the answer: the owner of each partition, topic by topic, on one line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "group/assignor_spec.h"

static int64_t read_number(void)
{
    long long value;
    must(scanf("%lld", &value) == 1);
    return value;
}

static uint64_t read_half(void)
{
    uint64_t value;
    must(scanf("%" SCNx64, &value) == 1);
    return value;
}

static struct str read_text(struct arena *arena)
{
    char hex[512];
    uint8_t bytes[256];
    must(scanf("%511s", hex) == 1);
    if (strcmp(hex, "-") == 0)
        return (struct str){NULL, 0};
    int32_t size = (int32_t)strlen(hex) / 2;
    for (int32_t i = 0; i < size; i++) {
        unsigned value;
        must(sscanf(hex + 2 * i, "%2x", &value) == 1);
        bytes[i] = (uint8_t)value;
    }
    return arena_str(arena, (struct str){(const char *)bytes, size});
}

static void read_member(struct assignor_member *member, const struct assignor_topic *topics,
                        int32_t index, int32_t *previous, struct arena *arena)
{
    member->id = read_text(arena);
    member->instance_id = read_text(arena);
    member->topic_count = (int32_t)read_number();
    int32_t *wants = arena_array(arena, (size_t)member->topic_count, sizeof *wants);
    must(wants);
    for (int32_t i = 0; i < member->topic_count; i++)
        wants[i] = (int32_t)read_number();
    member->topics = wants;
    for (int64_t count = read_number(); count > 0; count--) {
        int topic, partition;
        must(scanf("%d:%d", &topic, &partition) == 2);
        previous[topics[topic].first + partition] = index;
    }
}

static void answer(const char *name, struct arena *arena)
{
    struct assignor_spec spec = {.topic_count = (int32_t)read_number(),
                                 .member_count = (int32_t)read_number()};
    struct assignor_topic *topics = arena_array(arena, (size_t)spec.topic_count, sizeof *topics);
    struct assignor_member *members =
        arena_array(arena, (size_t)spec.member_count, sizeof *members);
    must(topics && members);
    for (int32_t t = 0; t < spec.topic_count; t++) {
        uint64_t most = read_half(), least = read_half();
        topics[t] =
            (struct assignor_topic){uuid_of(most, least), (int32_t)read_number(), spec.place_count};
        spec.place_count += topics[t].partition_count;
    }
    int32_t *previous = arena_array(arena, (size_t)spec.place_count, sizeof *previous);
    int32_t *owners = arena_array(arena, (size_t)spec.place_count, sizeof *owners);
    must(previous && owners);
    for (int32_t place = 0; place < spec.place_count; place++)
        previous[place] = owners[place] = ASSIGNOR_NOBODY;
    for (int32_t m = 0; m < spec.member_count; m++)
        read_member(&members[m], topics, m, previous, arena);
    spec.topics = topics;
    spec.members = members;
    spec.previous = previous;
    const struct assignor *assignor =
        strcmp(name, range_assignor.name) == 0 ? &range_assignor : &uniform_assignor;
    must(assignor->assign(&spec, arena, owners) == 0);
    for (int32_t place = 0; place < spec.place_count; place++)
        printf("%d ", owners[place]);
    printf("\n");
    fflush(stdout);
}

int main(void)
{
    char name[32];
    struct arena arena;
    arena_init(&arena, 0);
    while (scanf("%31s", name) == 1) {
        answer(name, &arena);
        arena_reset(&arena, 0);
    }
    arena_close(&arena);
    return 0;
}
