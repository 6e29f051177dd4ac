#include "group/admin_ops.h"

#include <errno.h>

#include "base/errors.h"
#include "group/classic.h"
#include "group/records.h"

/* From here on an unknown group has an error and a message of its own. */
enum { DESCRIBE_GROUPS_NOT_FOUND = 6 };

/* ---- list ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static struct str trimmed(struct str text)
{
    while (text.size > 0 && (uint8_t)text.data[0] <= ' ')
        text = (struct str){text.data + 1, text.size - 1};
    while (text.size > 0 && (uint8_t)text.data[text.size - 1] <= ' ')
        text.size--;
    return text;
}

static bool equal_but_case(struct str a, struct str b)
{
    if (a.size != b.size)
        return false;
    for (int32_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

static bool passes(struct str_array filter, struct str value, bool trim)
{
    for (int32_t i = 0; i < filter.count; i++)
        if (equal_but_case(trim ? trimmed(filter.items[i]) : filter.items[i], value))
            return true;
    return filter.count <= 0;
}

/* Whether the value passes, asked once for each of the few values that there are: filters may be as
 * many as a request holds. Values are constants, so their address tells them apart. */
static bool passes_as_before(struct group_filter *memo, struct str_array filter, struct str value,
                             bool trim)
{
    for (int32_t i = 0; i < memo->count; i++)
        if (memo->values[i] == value.data)
            return memo->passed[i];
    bool passed = passes(filter, value, trim);
    if (memo->count < GROUP_FILTER_VALUES) {
        memo->values[memo->count] = value.data;
        memo->passed[memo->count++] = passed;
    }
    return passed;
}

static int list_one(struct group_list *list, const struct group *group)
{
    const struct group_kind *kind = group_kind_of(group);
    struct list_groups_response_listed_group *out = &list->found[list->count];
    list_groups_response_listed_group_init(out);
    out->group_id = arena_str(list->arena, group->id);
    out->protocol_type = arena_str(list->arena, kind->protocol_type(group));
    out->group_state = kind->state_name(group);
    out->group_type = kind->type_name;
    if (!out->group_id.data || !out->protocol_type.data)
        return -ENOMEM;
    list->count++;
    return 0;
}

static int list_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct group_list *list = container_of(op, struct group_list, op);
    const struct group_shard *shard = state;
    (void)turn;
    op->await_offset = coord_shard_applied(shard->shard);
    list->found = arena_array(list->arena, map_count(&shard->groups), sizeof *list->found);
    if (!list->found)
        return -ENOMEM;
    for (struct map_at at = map_begin(&shard->groups); map_next(&shard->groups, &at);) {
        const struct group *group = *(struct group **)at.value;
        if (group->type == GROUP_NONE ||
            !passes_as_before(&list->states_passed, list->states,
                              group_kind_of(group)->state_name(group), true) ||
            !passes_as_before(&list->types_passed, list->types, group_kind_of(group)->type_name,
                              false))
            continue;
        int err = list_one(list, group);
        if (err != 0)
            return err;
    }
    return 0;
}

void group_list_init(struct group_list *list)
{
    *list = (struct group_list){0};
    coord_op_init(&list->op);
    list->op.access = COORD_READ;
    list->op.decide = list_decide;
}

/* ---- describe ---- */

void group_describe_error(struct describe_groups_response_described_group *answer, struct str group,
                          int error)
{
    describe_groups_response_described_group_init(answer);
    answer->group_id = group;
    answer->error_code = error_to_wire(error);
}

static bool copy_bytes(struct arena *arena, struct bytes from, struct bytes *ret)
{
    uint8_t *copy = arena_alloc(arena, (size_t)from.size);
    if (copy && from.size > 0)
        memcpy(copy, from.data, (size_t)from.size);
    *ret = (struct bytes){copy, from.size};
    return copy;
}

static bool describe_member(struct group_describe *describe, const struct classic *classic,
                            const struct classic_member *member)
{
    struct arena *arena = describe->arena;
    struct describe_groups_response_described_group *answer = describe->answer;
    struct describe_groups_response_described_group_member *out =
        &answer->members.items[answer->members.count++];
    struct bytes metadata = {NULL, 0};
    if (classic->state == CLASSIC_STABLE) /* else no protocol is chosen */
        metadata = protocols_metadata(member->protocols, classic->protocol_name);
    out->member_id = arena_str(arena, member->id);
    if (member->instance_id.data)
        out->group_instance_id = arena_str(arena, member->instance_id);
    out->client_id = arena_str(arena, member->client_id);
    out->client_host = arena_str(arena, member->client_host);
    return copy_bytes(arena, metadata, &out->member_metadata) &&
           copy_bytes(arena, member->assignment, &out->member_assignment) && out->member_id.data &&
           out->client_id.data && out->client_host.data &&
           (!member->instance_id.data || out->group_instance_id.data);
}

static int describe_group(struct group_describe *describe, const struct group *group)
{
    struct describe_groups_response_described_group *answer = describe->answer;
    const struct classic *classic = group->classic;
    answer->group_state = classic_kind.state_name(group);
    answer->protocol_type = arena_str(describe->arena, classic_kind.protocol_type(group));
    if (!answer->protocol_type.data)
        return -ENOMEM;
    if (!classic)
        return 0;
    if (classic->state == CLASSIC_STABLE)
        answer->protocol_data = arena_str(describe->arena, str_or_empty(classic->protocol_name));
    answer->members.items = describe_groups_response_described_group_member_array(
        describe->arena, classic_member_count(classic));
    if (!answer->members.items || !answer->protocol_data.data)
        return -ENOMEM;
    for (struct map_at at = map_begin(&classic->members); map_next(&classic->members, &at);)
        if (!describe_member(describe, classic, *(struct classic_member **)at.value))
            return -ENOMEM;
    return 0;
}

static int describe_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct group_describe *describe = container_of(op, struct group_describe, op);
    struct describe_groups_response_described_group *answer = describe->answer;
    const struct group *group = group_find(state, describe->group);
    (void)turn;
    op->await_offset = group_await(state, group);
    describe_groups_response_described_group_init(answer);
    answer->group_id = describe->group;
    if (group && group->type == GROUP_CLASSIC)
        return describe_group(describe, group);
    answer->group_state = STR("Dead");
    if (describe->version < DESCRIBE_GROUPS_NOT_FOUND)
        return 0;
    answer->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    answer->error_message = str_of(arena_printf(
        describe->arena, group ? "Group %.*s is not a classic group." : "Group %.*s not found.",
        describe->group.size, describe->group.data));
    return answer->error_message.data ? 0 : -ENOMEM;
}

void group_describe_init(struct group_describe *describe)
{
    *describe = (struct group_describe){0};
    coord_op_init(&describe->op);
    describe->op.access = COORD_READ;
    describe->op.decide = describe_decide;
}

/* ---- delete ---- */

static int delete_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct group_delete *drop = container_of(op, struct group_delete, op);
    const struct group *group = group_find(state, drop->group);
    bool begun = drop->more;
    (void)turn;
    drop->more = false;
    op->await_offset = group_await(state, group);
    if (!group)
        return begun ? 0 : KAFKA_GROUP_ID_NOT_FOUND;
    int err = group_kind_of(group)->check_delete(group);
    if (err == 0)
        err = put_offset_tombstones(op, group, &drop->more);
    if (err != 0 || drop->more)
        return err;
    drop->more = !group_tombstones_fit(op, group->id);
    return drop->more ? 0 : group_kind_of(group)->put_tombstones(group, op);
}

void group_delete_init(struct group_delete *drop)
{
    *drop = (struct group_delete){0};
    coord_op_init(&drop->op);
    drop->op.access = COORD_WRITE;
    drop->op.decide = delete_decide;
}
