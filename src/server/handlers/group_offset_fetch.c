/* OffsetFetch: for each group one operation, one after the other. Versions 1 to 7 ask about one
 * group, 8 and later about several (KIP-709); from 10 on topics are named by id. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/group_common.h"

enum {
    OFFSET_FETCH_GROUPS = 8, /* several groups */
    OFFSET_FETCH_TOPIC_IDS = 10,
    OFFSET_FETCH_GROUP_ERROR = 2, /* before, a group's error is told for each partition */
};

struct fetch_work {
    struct group_call call;
    bool calling;
    int32_t at, count;
    const struct offset_fetch_request_group *groups;
    struct offset_fetch_response_group *answers;
    bool *known; /* which topics of the group under way are asked of it */
};

/* One group in the form of the newest version. */
static bool single_group(struct request *request, struct offset_fetch_request_group *ret)
{
    const struct offset_fetch_request *body = request->body;
    offset_fetch_request_group_init(ret);
    ret->group_id = body->group_id;
    ret->topics.count = body->topics.count;
    if (body->topics.count < 0)
        return true;
    ret->topics.items = offset_fetch_request_topics_array(&request->arena, body->topics.count);
    if (!ret->topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++) {
        ret->topics.items[t].name = body->topics.items[t].name;
        ret->topics.items[t].partition_indexes = body->topics.items[t].partition_indexes;
    }
    return true;
}

static struct fetch_work *fetch_begin(struct request *request)
{
    const struct offset_fetch_request *body = request->body;
    struct fetch_work *work = arena_alloc(&request->arena, sizeof *work);
    struct offset_fetch_request_group *single = arena_alloc(&request->arena, sizeof *single);
    if (!work || !single)
        return NULL;
    if (request->version >= OFFSET_FETCH_GROUPS) {
        work->groups = body->groups.items;
        work->count = body->groups.count;
    } else {
        if (!single_group(request, single))
            return NULL;
        work->groups = single;
        work->count = 1;
    }
    work->answers = offset_fetch_response_group_array(&request->arena, work->count);
    request->work = work;
    group_deadline(request);
    return work->answers ? work : NULL;
}

/* The partitions asked for, topic by topic, without those of unknown ids. */
static bool fetch_parts(struct request *request, struct fetch_work *work,
                        const struct offset_fetch_request_group *group)
{
    struct offset_fetch *fetch = &work->call.fetch;
    bool by_id = request->version >= OFFSET_FETCH_TOPIC_IDS;
    int32_t total = 0;
    for (int32_t t = 0; t < group->topics.count; t++)
        total += group->topics.items[t].partition_indexes.count;
    fetch->parts = arena_array(&request->arena, (size_t)total, sizeof *fetch->parts);
    struct uuid *ids = arena_array(&request->arena, (size_t)total, sizeof *ids);
    work->known = arena_array(&request->arena, (size_t)group->topics.count, sizeof *work->known);
    if (!fetch->parts || !ids || !work->known)
        return false;
    for (int32_t t = 0; t < group->topics.count; t++) {
        const struct offset_fetch_request_topics *topic = &group->topics.items[t];
        const struct topic_image *found =
            by_id ? image_topic(request_image(request), topic->topic_id) : NULL;
        struct str name = topic->name;
        work->known[t] = !by_id || found;
        if (!work->known[t])
            continue;
        if (found)
            name = arena_str(&request->arena, found->name);
        if (!name.data)
            return false;
        for (int32_t p = 0; p < topic->partition_indexes.count; p++) {
            ids[fetch->count] = by_id ? topic->topic_id : (struct uuid){{0}};
            fetch->parts[fetch->count].topic = name;
            fetch->parts[fetch->count++].partition = topic->partition_indexes.items[p];
        }
    }
    fetch->topic_ids = ids;
    return true;
}

static bool group_begin(struct request *request, struct fetch_work *work)
{
    const struct offset_fetch_request *body = request->body;
    const struct offset_fetch_request_group *group = &work->groups[work->at];
    struct offset_fetch *fetch = &work->call.fetch;
    offset_fetch_init(fetch);
    fetch->group = group->group_id;
    fetch->member_id = group->member_id;
    fetch->member_epoch = group->member_epoch;
    fetch->require_stable = body->require_stable;
    fetch->all = group->topics.count < 0;
    fetch->arena = &request->arena;
    if (!fetch->all && !fetch_parts(request, work, group))
        return false;
    group_call_begin(&work->call, request, group->group_id);
    work->calling = true;
    return true;
}

static void fill_partition(struct offset_fetch_response_partitions *out,
                           const struct offset_fetch_part *part)
{
    out->partition_index = part->partition;
    out->committed_offset = part->offset;
    out->committed_leader_epoch = part->leader_epoch;
    out->metadata = part->metadata;
    out->error_code = part->error;
    if (part->error != 0)
        out->committed_offset = out->committed_leader_epoch = -1;
}

static struct offset_fetch_response_topics *
topic_add(struct request *request, struct offset_fetch_response_group *answer, int32_t partitions)
{
    struct offset_fetch_response_topics *out = &answer->topics.items[answer->topics.count++];
    offset_fetch_response_topics_init(out);
    out->partitions.items = offset_fetch_response_partitions_array(&request->arena, partitions);
    return out->partitions.items ? out : NULL;
}

/* Topics as they were asked for; those of unknown ids last, as in Kafka. */
static bool answer_asked(struct request *request, const struct fetch_work *work,
                         struct offset_fetch_response_group *answer)
{
    const struct offset_fetch_request_group *group = &work->groups[work->at];
    const struct offset_fetch_part *part = work->call.fetch.parts;
    bool by_id = request->version >= OFFSET_FETCH_TOPIC_IDS;
    answer->topics.items = offset_fetch_response_topics_array(&request->arena, group->topics.count);
    if (!answer->topics.items)
        return false;
    for (int unknown = 0; unknown <= by_id; unknown++) {
        for (int32_t t = 0; t < group->topics.count; t++) {
            const struct offset_fetch_request_topics *topic = &group->topics.items[t];
            if (work->known[t] == unknown)
                continue;
            struct offset_fetch_response_topics *out =
                topic_add(request, answer, topic->partition_indexes.count);
            if (!out)
                return false;
            out->name = topic->name;
            out->topic_id = topic->topic_id;
            for (int32_t p = 0; p < topic->partition_indexes.count; p++) {
                const struct offset_fetch_part none = {.partition =
                                                           topic->partition_indexes.items[p],
                                                       .error = KAFKA_UNKNOWN_TOPIC_ID,
                                                       .metadata = STR("")};
                fill_partition(&out->partitions.items[out->partitions.count++],
                               unknown ? &none : part++);
            }
        }
    }
    return true;
}

/* All that the group has; with topic ids only topics that exist have one to be named by. */
static bool answer_all(struct request *request, const struct fetch_work *work,
                       struct offset_fetch_response_group *answer)
{
    const struct offset_fetch *fetch = &work->call.fetch;
    answer->topics.items = offset_fetch_response_topics_array(&request->arena, fetch->count);
    if (!answer->topics.items)
        return false;
    for (int32_t i = 0, next; i < fetch->count; i = next) {
        for (next = i;
             next < fetch->count && str_equal(fetch->parts[next].topic, fetch->parts[i].topic);)
            next++;
        const struct topic_image *topic =
            image_topic_named(request_image(request), fetch->parts[i].topic);
        if (request->version >= OFFSET_FETCH_TOPIC_IDS && !topic)
            continue;
        struct offset_fetch_response_topics *out = topic_add(request, answer, next - i);
        if (!out)
            return false;
        out->name = fetch->parts[i].topic;
        out->topic_id = topic ? topic->id : (struct uuid){{0}};
        for (int32_t p = i; p < next; p++)
            fill_partition(&out->partitions.items[out->partitions.count++], &fetch->parts[p]);
    }
    return true;
}

/* What else a consumer does not expect of OffsetFetch becomes what makes it look anew. */
static int fetch_error(int error)
{
    return error == KAFKA_COORDINATOR_NOT_AVAILABLE ? KAFKA_NOT_COORDINATOR : error;
}

static bool group_answer(struct request *request, struct fetch_work *work)
{
    struct offset_fetch_response_group *answer = &work->answers[work->at];
    struct offset_fetch *fetch = &work->call.fetch;
    answer->group_id = work->groups[work->at].group_id;
    if (work->call.error != 0) {
        answer->error_code = error_to_wire(fetch_error(work->call.error));
        if (request->version >= OFFSET_FETCH_GROUP_ERROR)
            return true;
        for (int32_t i = 0; i < fetch->count; i++) {
            fetch->parts[i].error = answer->error_code;
            fetch->parts[i].metadata = STR("");
        }
    }
    return fetch->all ? answer_all(request, work, answer) : answer_asked(request, work, answer);
}

static enum outcome answer_single(struct request *request, const struct fetch_work *work)
{
    const struct offset_fetch_response_group *answer = &work->answers[0];
    struct offset_fetch_response response;
    offset_fetch_response_init(&response);
    response.error_code = answer->error_code;
    response.topics.items =
        offset_fetch_response_topic_array(&request->arena, answer->topics.count);
    if (!response.topics.items)
        return request_refuse(request, "out of memory");
    for (int32_t t = 0; t < answer->topics.count; t++) {
        const struct offset_fetch_response_topics *from = &answer->topics.items[t];
        struct offset_fetch_response_topic *to = &response.topics.items[response.topics.count++];
        to->name = from->name;
        to->partitions.items =
            offset_fetch_response_partition_array(&request->arena, from->partitions.count);
        if (!to->partitions.items)
            return request_refuse(request, "out of memory");
        for (int32_t p = 0; p < from->partitions.count; p++)
            to->partitions.items[to->partitions.count++] = (struct offset_fetch_response_partition){
                .partition_index = from->partitions.items[p].partition_index,
                .committed_offset = from->partitions.items[p].committed_offset,
                .committed_leader_epoch = from->partitions.items[p].committed_leader_epoch,
                .metadata = from->partitions.items[p].metadata,
                .error_code = from->partitions.items[p].error_code,
            };
    }
    return request_answer(request, &response);
}

enum outcome handle_offset_fetch(struct request *request)
{
    struct fetch_work *work = request->work ? request->work : fetch_begin(request);
    if (!work)
        return request_refuse(request, "out of memory");
    for (; work->at < work->count; work->at++, work->calling = false) {
        if (!work->calling && request_yield(request))
            return PARKED;
        if (!work->calling && !group_begin(request, work))
            return request_refuse(request, "out of memory");
        if (!group_call_run(&work->call))
            return PARKED;
        if (!group_answer(request, work))
            return request_refuse(request, "out of memory");
    }
    if (request->version < OFFSET_FETCH_GROUPS)
        return answer_single(request, work);
    struct offset_fetch_response response;
    offset_fetch_response_init(&response);
    response.groups.items = work->answers;
    response.groups.count = work->count;
    return request_answer(request, &response);
}
