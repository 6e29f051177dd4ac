#include "group_audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "life.h"
#include "protocol/messages.h"

#define SECOND INT64_C(1000000000)
#define LINES_MAX 32
#define LINE_MAX 512

struct auditor {
    struct life life;
    struct group_audit *audit;
    size_t size; /* of the text */
};

static void say(struct auditor *auditor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct auditor *auditor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(auditor->audit->text + auditor->size, GROUP_AUDIT_BYTES - auditor->size,
                         format, arguments);
    va_end(arguments);
    must(size >= 0 && auditor->size + (size_t)size < GROUP_AUDIT_BYTES);
    auditor->size += (size_t)size;
}

static int line_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void hex(char *out, struct bytes bytes)
{
    for (int32_t i = 0; i < bytes.size; i++)
        sprintf(out + (size_t)i * 2, "%02x", bytes.data[i]);
}

static void say_members(struct auditor *auditor,
                        const struct describe_groups_response_described_group *group)
{
    char(*lines)[LINE_MAX] = calloc(LINES_MAX, LINE_MAX);
    must(lines && group->members.count <= LINES_MAX);
    for (int32_t i = 0; i < group->members.count; i++) {
        const struct describe_groups_response_described_group_member *member =
            &group->members.items[i];
        char metadata[200] = {0}, assignment[64] = {0};
        must(member->member_metadata.size < 100 && member->member_assignment.size < 32);
        hex(metadata, member->member_metadata);
        hex(assignment, member->member_assignment);
        snprintf(lines[i], LINE_MAX, "  %.*s instance %.*s client %.*s at %.*s: %s %s\n",
                 member->member_id.size, member->member_id.data, member->group_instance_id.size,
                 member->group_instance_id.data ? member->group_instance_id.data : "",
                 member->client_id.size, member->client_id.data, member->client_host.size,
                 member->client_host.data, metadata, assignment);
    }
    qsort(lines, (size_t)group->members.count, LINE_MAX, line_order);
    for (int32_t i = 0; i < group->members.count; i++)
        say(auditor, "%s", lines[i]);
    free(lines);
}

static int describe(struct auditor *auditor, const char *name)
{
    struct str id = str_of(name);
    struct describe_groups_request message;
    describe_groups_request_init(&message);
    message.groups.items = &id;
    message.groups.count = 1;
    const struct describe_groups_response *response =
        life_call(&auditor->life, API_DESCRIBE_GROUPS, 5, &message, 0);
    if (!response || response->groups.count != 1)
        return -1;
    const struct describe_groups_response_described_group *group = &response->groups.items[0];
    if (group->error_code != 0)
        return group->error_code;
    say(auditor, "%s: %.*s, %.*s %.*s\n", name, group->group_state.size, group->group_state.data,
        group->protocol_type.size, group->protocol_type.data, group->protocol_data.size,
        group->protocol_data.data);
    say_members(auditor, group);
    return 0;
}

/* Partitions of the one topic, bit by bit. */
static unsigned partitions_of(const struct consumer_group_describe_response_assignment *assignment)
{
    unsigned partitions = 0;
    for (int32_t t = 0; t < assignment->topic_partitions.count; t++)
        for (int32_t i = 0; i < assignment->topic_partitions.items[t].partitions.count; i++)
            partitions |= 1u << assignment->topic_partitions.items[t].partitions.items[i];
    return partitions;
}

static int describe_consumer(struct auditor *auditor, const char *name)
{
    struct str id = str_of(name);
    struct consumer_group_describe_request message;
    consumer_group_describe_request_init(&message);
    message.group_ids = (struct str_array){&id, 1};
    const struct consumer_group_describe_response *response =
        life_call(&auditor->life, API_CONSUMER_GROUP_DESCRIBE, 1, &message, 0);
    if (!response || response->groups.count != 1)
        return -1;
    const struct consumer_group_describe_response_described_group *group =
        &response->groups.items[0];
    if (group->error_code != 0 && group->error_code != KAFKA_GROUP_ID_NOT_FOUND)
        return group->error_code;
    say(auditor, "%s: error %d, %.*s, epoch %d, assignment %d by %.*s\n", name, group->error_code,
        group->group_state.size, group->group_state.data, group->group_epoch,
        group->assignment_epoch, group->assignor_name.size, group->assignor_name.data);
    char(*lines)[LINE_MAX] = calloc(LINES_MAX, LINE_MAX);
    must(lines && group->members.count <= LINES_MAX);
    for (int32_t i = 0; i < group->members.count; i++) {
        const struct consumer_group_describe_response_member *member = &group->members.items[i];
        snprintf(lines[i], LINE_MAX, "  %.*s instance %.*s epoch %d at %.*s: %x, target %x\n",
                 member->member_id.size, member->member_id.data, member->instance_id.size,
                 member->instance_id.data ? member->instance_id.data : "", member->member_epoch,
                 member->client_host.size, member->client_host.data,
                 partitions_of(&member->assignment), partitions_of(&member->target_assignment));
    }
    qsort(lines, (size_t)group->members.count, LINE_MAX, line_order);
    for (int32_t i = 0; i < group->members.count; i++)
        say(auditor, "%s", lines[i]);
    free(lines);
    return 0;
}

static int fetch(struct auditor *auditor, const char *name, int32_t partition)
{
    struct offset_fetch_request_topic topic = {.name = str_of(auditor->audit->topic),
                                               .partition_indexes = {&partition, 1}};
    struct offset_fetch_request message;
    offset_fetch_request_init(&message);
    message.group_id = str_of(name);
    message.topics.items = &topic;
    message.topics.count = 1;
    const struct offset_fetch_response *response =
        life_call(&auditor->life, API_OFFSET_FETCH, 7, &message, 0);
    if (!response || response->error_code != 0)
        return response ? response->error_code : -1;
    const struct offset_fetch_response_partition *part =
        &response->topics.items[0].partitions.items[0];
    if (part->error_code == 0)
        say(auditor, "  partition %d: %lld, epoch %d, \"%.*s\"\n", partition,
            (long long)part->committed_offset, part->committed_leader_epoch, part->metadata.size,
            part->metadata.data ? part->metadata.data : "");
    return part->error_code;
}

static void ask_group(struct auditor *auditor, const char *name, bool consumer)
{
    const struct group_audit *audit = auditor->audit;
    while ((consumer ? describe_consumer(auditor, name) : describe(auditor, name)) != 0 &&
           !audit->stop)
        life_rest(&auditor->life, 20);
    for (int32_t p = 0; p < audit->partition_count; p++)
        while (fetch(auditor, name, p) != 0 && !audit->stop)
            life_rest(&auditor->life, 20);
}

void group_audit_main(struct env *env, void *context)
{
    struct auditor *auditor = calloc(1, sizeof *auditor);
    must(auditor);
    auditor->audit = context;
    life_begin(&auditor->life, env, auditor->audit->bootstrap, 5 * SECOND);
    for (int32_t i = 0; i < auditor->audit->group_count; i++)
        ask_group(auditor, auditor->audit->groups[i], auditor->audit->consumer[i]);
    auditor->audit->done = true;
    life_end(&auditor->life);
    free(auditor);
}
