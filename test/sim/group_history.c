#include "group_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define FIELDS_MAX 24

static const char *const op_names[] = {
    [GROUP_JOIN] = "join",   [GROUP_SYNC] = "sync",     [GROUP_BEAT] = "beat",
    [GROUP_LEAVE] = "leave", [GROUP_COMMIT] = "commit", [GROUP_FETCH] = "fetch",
    [GROUP_OWN] = "own",     [GROUP_HEART] = "heart",   [GROUP_RELOAD] = "reload",
};

struct group_history *group_history_create(int64_t (*now_ns)(void *context), void *context)
{
    struct group_history *history = calloc(1, sizeof *history);
    must(history);
    history->now_ns = now_ns;
    history->context = context;
    history->self = "x";
    return history;
}

void group_history_destroy(struct group_history *history)
{
    free(history);
}

int32_t group_history_number(struct group_history *history, struct str name)
{
    uint32_t hash = 2166136261u;
    if (!name.data)
        return -1;
    must(name.size < GROUP_NAME_MAX);
    for (int32_t i = 0; i < name.size; i++)
        hash = (hash ^ (uint8_t)name.data[i]) * 16777619u;
    for (uint32_t at = hash % (GROUP_NAMES_MAX * 2);; at = (at + 1) % (GROUP_NAMES_MAX * 2)) {
        int32_t *bucket = &history->buckets[at];
        if (*bucket == 0) {
            must(history->name_count < GROUP_NAMES_MAX);
            memcpy(history->names[history->name_count], name.data, (size_t)name.size);
            *bucket = ++history->name_count;
            return *bucket - 1;
        }
        if (str_equal(str_of(history->names[*bucket - 1]), name))
            return *bucket - 1;
    }
}

const char *group_history_name(const struct group_history *history, int32_t number)
{
    return number < 0 ? "-" : history->names[number];
}

static void write_event(const struct group_history *history, const struct group_event *event,
                        FILE *out)
{
    fprintf(out, "op=%s at=%s.%d begin=%lld", op_names[event->op], history->self,
            (int)(event - history->events), (long long)event->begin_ns);
    if (event->end_ns != GROUP_OPEN)
        fprintf(out, " end=%lld error=%d", (long long)event->end_ns, event->error);
    if (event->group >= 0)
        fprintf(out, " group=%s", group_history_name(history, event->group));
    if (event->member >= 0)
        fprintf(out, " member=%s", group_history_name(history, event->member));
    if (event->instance >= 0)
        fprintf(out, " instance=%s", group_history_name(history, event->instance));
    fprintf(out, " generation=%d", event->generation);
    if (event->op == GROUP_JOIN)
        fprintf(out, " leads=%d session=%d rebalance=%d", event->leads, event->session_ms,
                event->rebalance_ms);
    if (event->op == GROUP_COMMIT || event->op == GROUP_FETCH)
        fprintf(out, " partition=%d offset=%lld", event->partition, (long long)event->offset);
    if (event->tag >= 0)
        fprintf(out, " tag=%s", group_history_name(history, event->tag));
    if (event->op == GROUP_HEART)
        fprintf(out, " epoch=%d session=%d rebalance=%d", event->epoch, event->session_ms,
                event->rebalance_ms);
    if (event->gives)
        fprintf(out, " given=%llx", (unsigned long long)event->given);
    if (event->op == GROUP_SYNC || event->op == GROUP_OWN || event->op == GROUP_HEART)
        fprintf(out, " owned=%llx", (unsigned long long)event->owned);
    for (int32_t i = 0; i < event->plan_count; i++)
        fprintf(out, " gives=%s:%llx", group_history_name(history, event->plan[i].member),
                (unsigned long long)event->plan[i].partitions);
    fputc('\n', out);
    fflush(out); /* the writer may be killed at any time */
}

struct group_event *group_history_begin(struct group_history *history,
                                        const struct group_event *event)
{
    must(history->event_count < GROUP_EVENTS_MAX);
    struct group_event *place = &history->events[history->event_count++];
    *place = *event;
    place->begin_ns = history->now_ns(history->context);
    place->end_ns = GROUP_OPEN;
    place->error = GROUP_NO_ANSWER;
    if (history->out)
        write_event(history, place, history->out);
    return place;
}

struct group_event *group_history_reload(struct group_history *history)
{
    const struct group_event event = {.op = GROUP_RELOAD,
                                      .at = -1,
                                      .group = -1,
                                      .member = -1,
                                      .instance = -1,
                                      .generation = -1,
                                      .tag = -1};
    return group_history_begin(history, &event);
}

void group_history_end(struct group_history *history, struct group_event *event, int32_t error)
{
    event->error = error;
    if (error == GROUP_NO_ANSWER)
        return;
    event->end_ns = history->now_ns(history->context);
    if (history->out)
        write_event(history, event, history->out);
}

void group_history_write(const struct group_history *history, FILE *out)
{
    for (int32_t i = 0; i < history->event_count; i++)
        write_event(history, &history->events[i], out);
}

int group_event_by_begin(const void *a, const void *b)
{
    const struct group_event *one = *(const struct group_event *const *)a;
    const struct group_event *other = *(const struct group_event *const *)b;
    if (one->begin_ns != other->begin_ns)
        return one->begin_ns < other->begin_ns ? -1 : 1;
    return one < other ? -1 : one > other;
}

/* ---- from a file ---- */

static bool read_op(const char *text, enum group_op *ret_op)
{
    for (int op = 0; op <= GROUP_RELOAD; op++)
        if (strcmp(text, op_names[op]) == 0) {
            *ret_op = (enum group_op)op;
            return true;
        }
    return false;
}

static bool read_name(struct group_history *history, const char *value, int32_t *ret)
{
    if (strlen(value) >= GROUP_NAME_MAX)
        return false;
    *ret = group_history_number(history, str_of(value));
    return true;
}

/* "member:partitions" */
static bool read_share(struct group_history *history, struct group_event *event, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!colon || event->plan_count == GROUP_MEMBERS_MAX || colon - text >= GROUP_NAME_MAX)
        return false;
    event->plan[event->plan_count++] = (struct group_share){
        group_history_number(history, (struct str){text, (int32_t)(colon - text)}),
        strtoull(colon + 1, NULL, 16)};
    return true;
}

enum kind {
    NUMBER,
    LONG,
    BITS,
    FLAG,
    NAME,
};

static const struct field {
    const char *key;
    size_t offset;
    enum kind kind;
} fields[] = {
    {"begin", offsetof(struct group_event, begin_ns), LONG},
    {"end", offsetof(struct group_event, end_ns), LONG},
    {"error", offsetof(struct group_event, error), NUMBER},
    {"at", offsetof(struct group_event, at), NAME},
    {"group", offsetof(struct group_event, group), NAME},
    {"member", offsetof(struct group_event, member), NAME},
    {"instance", offsetof(struct group_event, instance), NAME},
    {"generation", offsetof(struct group_event, generation), NUMBER},
    {"epoch", offsetof(struct group_event, epoch), NUMBER},
    {"leads", offsetof(struct group_event, leads), FLAG},
    {"session", offsetof(struct group_event, session_ms), NUMBER},
    {"rebalance", offsetof(struct group_event, rebalance_ms), NUMBER},
    {"owned", offsetof(struct group_event, owned), BITS},
    {"given", offsetof(struct group_event, given), BITS},
    {"partition", offsetof(struct group_event, partition), NUMBER},
    {"offset", offsetof(struct group_event, offset), LONG},
    {"tag", offsetof(struct group_event, tag), NAME},
};

static bool read_value(struct group_history *history, enum kind kind, const char *value, void *ret)
{
    switch (kind) {
    case NUMBER:
        *(int32_t *)ret = (int32_t)strtol(value, NULL, 10);
        return true;
    case LONG:
        *(int64_t *)ret = strtoll(value, NULL, 10);
        return true;
    case BITS:
        *(uint64_t *)ret = strtoull(value, NULL, 16);
        return true;
    case FLAG:
        *(bool *)ret = *value == '1';
        return true;
    case NAME:
        return read_name(history, value, ret);
    }
    return false;
}

static bool read_field(struct group_history *history, struct group_event *event, const char *key,
                       const char *value)
{
    if (strcmp(key, "op") == 0)
        return read_op(value, &event->op);
    if (strcmp(key, "gives") == 0)
        return read_share(history, event, value);
    event->gives |= strcmp(key, "given") == 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(key, fields[i].key) == 0)
            return read_value(history, fields[i].kind, value, (char *)event + fields[i].offset);
    return false;
}

static bool read_line(struct group_history *history, char *line, struct group_event *event)
{
    char *rest = NULL;
    *event = (struct group_event){.end_ns = GROUP_OPEN,
                                  .error = GROUP_NO_ANSWER,
                                  .at = -1,
                                  .group = -1,
                                  .member = -1,
                                  .instance = -1,
                                  .generation = -1,
                                  .tag = -1};
    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        char *value = strchr(word, '=');
        if (!value)
            return false;
        *value++ = '\0';
        if (!read_field(history, event, word, value))
            return false;
    }
    bool of_partition = event->op == GROUP_COMMIT || event->op == GROUP_FETCH;
    return !of_partition || (event->partition >= 0 && event->partition < GROUP_PARTITIONS_MAX);
}

bool group_history_read(struct group_history *history, FILE *in, char *ret_why, size_t why_size)
{
    char line[4096];
    static const int32_t none = 0;
    int32_t *places = calloc(GROUP_NAMES_MAX, sizeof *places); /* by `at`; 0: none */
    must(places);
    for (int number = 1; fgets(line, sizeof line, in); number++) {
        struct group_event event;
        if (*line == '#' || *line == '\n')
            continue;
        if (!read_line(history, line, &event) || history->event_count == GROUP_EVENTS_MAX) {
            snprintf(ret_why, why_size, "line %d cannot be read", number);
            free(places);
            return false;
        }
        int32_t place = event.at >= 0 ? places[event.at] : none;
        if (place == 0)
            place = ++history->event_count;
        history->events[place - 1] = event;
        if (event.at >= 0)
            places[event.at] = place;
    }
    free(places);
    return true;
}
