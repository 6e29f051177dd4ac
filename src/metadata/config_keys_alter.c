/* The operations of IncrementalAlterConfigs. A list is changed item by item: what is there keeps
 * its order, what is appended comes behind it once. */
#include <errno.h>

#include "base/errors.h"
#include "metadata/config_keys.h"

/* A list under construction; there is room for all items of both operands. */
struct items {
    struct str *list;
    int32_t count;
};

static int items_create(struct str current, struct str operand, struct arena *arena,
                        struct items *ret_items)
{
    size_t most = (size_t)config_list_count(current) + (size_t)config_list_count(operand) + 1;
    struct str *list = most > CONFIG_LIST_MAX_ITEMS ? NULL : arena_array(arena, most, sizeof *list);
    if (!list)
        return most > CONFIG_LIST_MAX_ITEMS ? -E2BIG : -ENOMEM;
    *ret_items = (struct items){list, 0};
    return 0;
}

static int32_t items_find(const struct items *items, struct str item)
{
    for (int32_t i = 0; i < items->count; i++) {
        if (str_equal(items->list[i], item))
            return i;
    }
    return -1;
}

static void items_add(struct items *items, struct str item)
{
    if (items_find(items, item) < 0)
        items->list[items->count++] = item;
}

static void items_remove(struct items *items, struct str item)
{
    int32_t at = items_find(items, item);
    if (at < 0)
        return;
    items->count--;
    for (; at < items->count; at++)
        items->list[at] = items->list[at + 1];
}

static int items_join(const struct items *items, struct arena *arena, struct str *ret_text)
{
    size_t size = 0;
    for (int32_t i = 0; i < items->count; i++)
        size += (size_t)items->list[i].size + 1;
    char *text = arena_alloc(arena, size + 1);
    size_t at = 0;
    if (!text)
        return -ENOMEM;
    for (int32_t i = 0; i < items->count; i++) {
        if (i > 0)
            text[at++] = ',';
        memcpy(text + at, items->list[i].data, (size_t)items->list[i].size);
        at += (size_t)items->list[i].size;
    }
    *ret_text = (struct str){text, (int32_t)at};
    return 0;
}

/* A text of nothing but commas has no items, an empty one has one: that is how Java splits, and it
 * makes APPEND of nothing an error, since no list may have an empty item. */
static bool has_only_commas(struct str text)
{
    for (int32_t i = 0; i < text.size; i++) {
        if (text.data[i] != ',')
            return false;
    }
    return text.size > 0;
}

static int change_list(enum config_op op, struct str current, struct str operand,
                       struct arena *arena, struct str *ret_value, const char **ret_error)
{
    struct items items;
    struct str item;
    int err = items_create(current, operand, arena, &items);
    if (err == -E2BIG) {
        *ret_error =
            config_error(arena, "A list must not have more than %d values.", CONFIG_LIST_MAX_ITEMS);
        return KAFKA_INVALID_CONFIG;
    }
    if (err != 0)
        return err;
    while (config_list_next(current, &item, &current)) {
        if (item.size > 0)
            items_add(&items, item);
    }
    if (operand.size == 0 && op == CONFIG_OP_APPEND)
        items.list[items.count++] = operand;
    while (!has_only_commas(operand) && config_list_next(operand, &item, &operand)) {
        if (op == CONFIG_OP_APPEND)
            items_add(&items, item);
        else
            items_remove(&items, item);
    }
    return items_join(&items, arena, ret_value);
}

static const char *not_a_list(const struct config_schema *schema, enum config_op op,
                              struct str name, bool known, struct arena *arena)
{
    const char *verb = op == CONFIG_OP_APPEND ? "APPEND" : "SUBTRACT";
    if (schema == &broker_schema && !known)
        return config_error(arena, "Unknown config name: %.*s", (int)name.size, name.data);
    return config_error(arena, "Can't %s to key %.*s because its type is not LIST.", verb,
                        (int)name.size, name.data);
}

int config_apply_op(const struct config_schema *schema, enum config_op op, struct str name,
                    struct str current, struct str operand, struct arena *arena,
                    struct str *ret_value, const char **ret_error)
{
    int32_t index = config_find(schema, name);
    if (op == CONFIG_OP_DELETE) {
        *ret_value = (struct str){0};
        return 0;
    }
    if (op != CONFIG_OP_SET && op != CONFIG_OP_APPEND && op != CONFIG_OP_SUBTRACT) {
        *ret_error = config_error(arena, "Unknown op type %d", (int)op);
        return KAFKA_INVALID_REQUEST;
    }
    if (!operand.data) {
        *ret_error = config_error(arena, "Null value not supported for : %.*s", (int)name.size,
                                  name.data ? name.data : "");
        return KAFKA_INVALID_REQUEST;
    }
    if (op == CONFIG_OP_SET) {
        *ret_value = operand;
        return 0;
    }
    if (index < 0 || schema->keys[index].type != CONFIG_TYPE_LIST) {
        *ret_error = not_a_list(schema, op, name, index >= 0, arena);
        return KAFKA_INVALID_CONFIG;
    }
    if (!current.data)
        current = str_of(schema->keys[index].default_text);
    return change_list(op, current, operand, arena, ret_value, ret_error);
}
