#include "quorum/quorum_state.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

enum { PATH_SIZE = 4096 };

static int state_path(const char *dir, char path[PATH_SIZE])
{
    int size = snprintf(path, PATH_SIZE, "%s/" QUORUM_STATE_FILE, dir);
    return size < 0 || size >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

static bool read_number(const json_t *root, const char *name, int32_t *ret_number)
{
    const json_t *value = json_object_get(root, name);
    if (!json_is_integer(value) || json_integer_value(value) < -1 ||
        json_integer_value(value) > INT32_MAX)
        return false;
    *ret_number = (int32_t)json_integer_value(value);
    return true;
}

int quorum_state_parse(const char *text, size_t size, struct quorum_state *ret_state)
{
    json_error_t error;
    struct quorum_state state = {.voted_id = -1};
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    int32_t version;
    int err = -EBADMSG;
    if (!json_is_object(root) || !read_number(root, "data_version", &version))
        goto out;
    err = version == 0 || version == 1 ? 0 : -ENOTSUP;
    if (!err && (!read_number(root, "leaderId", &state.leader_id) ||
                 !read_number(root, "leaderEpoch", &state.leader_epoch) ||
                 !read_number(root, "votedId", &state.voted_id)))
        err = -EBADMSG;
    const json_t *directory = json_object_get(root, "votedDirectoryId");
    if (!err && json_is_string(directory))
        err = uuid_parse(str_of(json_string_value(directory)), &state.voted_directory_id) ? -EBADMSG
                                                                                          : 0;
out:
    json_decref(root);
    if (!err)
        *ret_state = state;
    return err;
}

int quorum_state_read(struct env *env, const char *dir, struct quorum_state *ret_state)
{
    char path[PATH_SIZE];
    char *text;
    size_t size;
    int err = state_path(dir, path);
    if (err)
        return err;
    err = env_load(env, path, QUORUM_STATE_MAX_BYTES, &text, &size);
    if (err)
        return err == -EFBIG ? -EBADMSG : err;
    err = quorum_state_parse(text, size, ret_state);
    free(text);
    return err;
}

/* Field by field as Kafka writes them, without white space. */
static const char *format_state(struct arena *arena, const struct quorum_state *state,
                                struct quorum_voters voters)
{
    if (voters.kraft_version > 0) {
        char id[UUID_TEXT_SIZE];
        uuid_format(state->voted_directory_id, id);
        return arena_printf(arena,
                            "{\"leaderId\":%" PRId32 ",\"leaderEpoch\":%" PRId32
                            ",\"votedId\":%" PRId32
                            ",\"votedDirectoryId\":\"%s\",\"data_version\":1}",
                            state->leader_id, state->leader_epoch, state->voted_id, id);
    }
    const char *list = "";
    for (int32_t i = 0; list && i < voters.count; i++)
        list = arena_printf(arena, "%s%s{\"voterId\":%" PRId32 "}", list, i ? "," : "",
                            voters.items[i].id);
    if (!list)
        return NULL;
    return arena_printf(arena,
                        "{\"clusterId\":\"\",\"leaderId\":%" PRId32 ",\"leaderEpoch\":%" PRId32
                        ",\"votedId\":%" PRId32
                        ",\"appliedOffset\":0,\"currentVoters\":[%s],\"data_version\":0}",
                        state->leader_id, state->leader_epoch, state->voted_id, list);
}

int quorum_state_write(struct env *env, const char *dir, const struct quorum_state *state,
                       struct quorum_voters voters)
{
    char path[PATH_SIZE];
    struct arena arena;
    int err = state_path(dir, path);
    if (err)
        return err;
    arena_init(&arena, 0);
    const char *text = format_state(&arena, state, voters);
    err = text ? env_replace(env, path, text, strlen(text)) : -ENOMEM;
    arena_close(&arena);
    return err;
}
