/* DeleteTopics: rules and texts of Kafka's ControllerApis, 4.4.0. */
#include <errno.h>
#include <stdlib.h>

#include "controller/ops.h"

/* One entry of the request: a name or an id, and the topic that it means. */
struct deletion {
    struct str name;
    struct uuid id;
    const struct topic_image *topic; /* NULL: none */
    bool duplicate;
    bool again; /* an earlier entry means the same and answers for it */
};

static void resolve(const struct image *head, struct deletion *deletion)
{
    if (deletion->name.data)
        deletion->topic = image_topic_named(head, deletion->name);
    else
        deletion->topic = image_topic(head, deletion->id);
}

static struct outcome delete_one(struct decision *decision, const struct deletion *deletion)
{
    bool has_name = deletion->name.data != NULL;
    bool has_id = !uuid_is_zero(deletion->id);
    if (has_name && has_id)
        return outcome_of(KAFKA_INVALID_REQUEST,
                          "You may not specify both topic name and topic id.");
    if (!has_name && !has_id)
        return outcome_of(KAFKA_INVALID_REQUEST, "Neither topic name nor id were specified.");
    if (deletion->duplicate)
        return outcome_of(KAFKA_INVALID_REQUEST,
                          has_name ? "Duplicate topic name." : "Duplicate topic id.");
    if (!deletion->topic)
        return outcome_of(has_name ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID,
                          NULL);
    const struct remove_topic_record record = {deletion->topic->id};
    decision_add(decision, METADATA_REMOVE_TOPIC_RECORD, 0, &record);
    return OUTCOME_OK;
}

/* By what is meant: the topic, or else the name or id that means none. */
static int deletion_order(const void *a, const void *b)
{
    const struct deletion *x = *(struct deletion *const *)a;
    const struct deletion *y = *(struct deletion *const *)b;
    const struct uuid x_id = x->topic ? x->topic->id : x->id;
    const struct uuid y_id = y->topic ? y->topic->id : y->id;
    int order = memcmp(x_id.bytes, y_id.bytes, sizeof x_id.bytes);
    if (order || x->topic || y->topic)
        return order;
    return str_compare(x->name, y->name);
}

static int sorted_order(const void *a, const void *b)
{
    const struct deletion *x = *(struct deletion *const *)a;
    const struct deletion *y = *(struct deletion *const *)b;
    int order = deletion_order(a, b);
    if (order == 0)
        order = !x->name.data - !y->name.data;
    return order ? order : (x > y) - (x < y);
}

/* Whether the second of two that mean the same is said in the same way, and properly. */
static bool is_again(const struct deletion *a, const struct deletion *b)
{
    bool by_name = b->name.data != NULL;
    return by_name == (a->name.data != NULL) && by_name == uuid_is_zero(b->id);
}

static bool mark_duplicates(struct decision *decision, struct deletion *deletions, int32_t count)
{
    struct deletion **sorted = arena_array(decision->scratch, (size_t)count, sizeof sorted[0]);
    if (!sorted)
        return false;
    for (int32_t i = 0; i < count; i++)
        sorted[i] = &deletions[i];
    qsort(sorted, (size_t)count, sizeof sorted[0], sorted_order);
    for (int32_t i = 1; i < count; i++)
        if (deletion_order(&sorted[i - 1], &sorted[i]) == 0) {
            sorted[i - 1]->duplicate = sorted[i]->duplicate = true;
            sorted[i]->again = is_again(sorted[i - 1], sorted[i]);
        }
    return true;
}

int decide_delete_topics(struct decision *decision, int16_t api_version,
                         const struct delete_topics_request *request,
                         struct delete_topics_response *response, const char **ret_message)
{
    if (!decision->config->settings.delete_topic_enable) {
        if (api_version >= 3)
            return KAFKA_TOPIC_DELETION_DISABLED;
        *ret_message = "This version does not support topic deletion.";
        return KAFKA_INVALID_REQUEST;
    }
    int32_t named = request->topic_names.count > 0 ? request->topic_names.count : 0;
    int32_t count = named + (request->topics.count > 0 ? request->topics.count : 0);
    struct deletion *deletions = arena_array(decision->scratch, (size_t)count, sizeof deletions[0]);
    response->responses.items =
        delete_topics_response_deletable_topic_result_array(decision->arena, count);
    if (!deletions || !response->responses.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count; i++) {
        if (i < named) {
            deletions[i].name = request->topic_names.items[i];
        } else {
            deletions[i].name = request->topics.items[i - named].name;
            deletions[i].id = request->topics.items[i - named].topic_id;
        }
        resolve(decision->head, &deletions[i]);
    }
    if (!mark_duplicates(decision, deletions, count))
        return -ENOMEM;
    for (int32_t i = 0; i < count && !decision->error; i++) {
        if (deletions[i].again)
            continue;
        struct delete_topics_response_deletable_topic_result *result =
            &response->responses.items[response->responses.count++];
        struct outcome outcome = delete_one(decision, &deletions[i]);
        const struct topic_image *topic = deletions[i].topic;
        /* The head's own name may be gone before the answer is written. */
        result->name = deletions[i].name;
        if (topic && !result->name.data)
            result->name = arena_str(decision->arena, topic->name);
        result->topic_id = topic ? topic->id : deletions[i].id;
        result->error_code = outcome.error_code;
        result->error_message = outcome.message;
    }
    return decision->error;
}
