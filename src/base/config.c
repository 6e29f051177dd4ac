/* Keys by name, pairs by name, and values resolved over layers. */
#include "base/config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"

enum { NEAREST_NAME_MAX = 96 }; /* longer names are not compared */

int32_t config_find(const struct config_schema *schema, struct str name)
{
    int32_t low = 0;
    int32_t high = schema->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = str_compare(str_of(schema->keys[middle].name), name);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* Edits (insert, delete, replace) from a to b, or more than `limit` as soon as that is certain. */
static int32_t edit_distance(struct str a, struct str b, int32_t limit)
{
    int32_t row[NEAREST_NAME_MAX + 1];
    if (a.size - b.size > limit || b.size - a.size > limit)
        return limit + 1;
    for (int32_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (int32_t i = 1; i <= a.size; i++) {
        int32_t diagonal = row[0];
        int32_t least = row[0] = i;
        for (int32_t j = 1; j <= b.size; j++) {
            int32_t replace = diagonal + (a.data[i - 1] != b.data[j - 1]);
            int32_t edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = edit < replace ? edit : replace;
            least = row[j] < least ? row[j] : least;
        }
        if (least > limit)
            return limit + 1;
    }
    return row[b.size];
}

const char *config_nearest(const struct config_schema *schema, struct str name)
{
    const char *nearest = NULL;
    int32_t limit = name.size / 3 < 2 ? 2 : name.size / 3;
    if (name.size == 0 || name.size > NEAREST_NAME_MAX)
        return NULL;
    for (int32_t i = 0; i < schema->count; i++) {
        struct str other = str_of(schema->keys[i].name);
        if (schema->keys[i].visibility != CONFIG_PUBLIC || other.size > NEAREST_NAME_MAX)
            continue;
        int32_t distance = edit_distance(name, other, limit);
        if (distance <= limit) {
            nearest = schema->keys[i].name;
            limit = distance - 1;
        }
    }
    return nearest;
}

struct str config_pairs_get(struct config_pairs pairs, struct str name)
{
    int32_t low = 0;
    int32_t high = pairs.count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = str_compare(pairs.items[middle].name, name);
        if (order == 0)
            return pairs.items[middle].value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct str){0};
}

/* Merge sort by hand: it is stable, needs no comparator with side effects, and bounded. */
static void merge(struct config_pair *items, int32_t left, int32_t count,
                  struct config_pair *scratch)
{
    int32_t i = 0;
    int32_t j = left;
    int32_t n = 0;
    while (i < left && j < count) {
        bool first = str_compare(items[i].name, items[j].name) <= 0;
        scratch[n++] = first ? items[i++] : items[j++];
    }
    while (i < left)
        scratch[n++] = items[i++];
    while (j < count)
        scratch[n++] = items[j++];
    memcpy(items, scratch, (size_t)count * sizeof *items);
}

int config_pairs_sort(struct config_pair *items, int32_t count, int32_t *ret_count)
{
    int32_t kept = 0;
    if (count > 1) {
        struct config_pair *scratch = malloc((size_t)count * sizeof *scratch);
        if (!scratch)
            return -ENOMEM;
        for (int32_t width = 1; width < count; width *= 2) {
            for (int32_t at = 0; at + width < count; at += 2 * width) {
                int32_t left = count - at;
                merge(items + at, width, left < 2 * width ? left : 2 * width, scratch);
            }
        }
        free(scratch);
    }
    for (int32_t i = 0; i < count; i++) {
        if (i + 1 == count || !str_equal(items[i].name, items[i + 1].name))
            items[kept++] = items[i];
    }
    *ret_count = kept;
    return 0;
}

/* Fill values[i] from the strongest layer that sets the key, else from the default. */
static int resolve_key(const struct config_key *key, const struct config_layer *layers,
                       int32_t layer_count, struct arena *arena, struct config_value *ret_value,
                       const char **ret_error)
{
    for (int32_t i = 0; i < layer_count; i++) {
        struct str text = config_pairs_get(layers[i].pairs, str_of(key->name));
        if (!text.data)
            continue;
        int err = config_parse(key, text, arena, ret_value, ret_error);
        if (err == 0)
            ret_value->source = (uint8_t)layers[i].source;
        return err;
    }
    struct config_value value = {.is_null = true};
    if (key->default_text) {
        int err = config_parse(key, str_of(key->default_text), arena, &value, ret_error);
        must(err <= 0);
        if (err < 0)
            return err;
    }
    value.source = CONFIG_SOURCE_DEFAULT;
    *ret_value = value;
    return 0;
}

int config_build(const struct config_schema *schema, const struct config_layer *layers,
                 int32_t layer_count, struct arena *arena, struct config *ret_config,
                 const char **ret_error)
{
    struct config_value *values = arena_array(arena, (size_t)schema->count, sizeof *values);
    if (!values)
        return -ENOMEM;
    for (int32_t i = 0; i < schema->count; i++) {
        int err = resolve_key(&schema->keys[i], layers, layer_count, arena, &values[i], ret_error);
        if (err != 0)
            return err;
    }
    *ret_config = (struct config){schema, values};
    return 0;
}

static const struct config_value *value_of(const struct config *config, int32_t key)
{
    must(key >= 0 && key < config->schema->count);
    return &config->values[key];
}

bool config_bool(const struct config *config, int32_t key)
{
    const struct config_value *value = value_of(config, key);
    must(config->schema->keys[key].type == CONFIG_TYPE_BOOLEAN && !value->is_null);
    return value->boolean;
}

int64_t config_long(const struct config *config, int32_t key)
{
    const struct config_value *value = value_of(config, key);
    enum config_type type = config->schema->keys[key].type;
    must(type == CONFIG_TYPE_INT || type == CONFIG_TYPE_SHORT || type == CONFIG_TYPE_LONG);
    must(!value->is_null);
    return value->number;
}

int32_t config_int(const struct config *config, int32_t key)
{
    must(config->schema->keys[key].type != CONFIG_TYPE_LONG);
    return (int32_t)config_long(config, key);
}

double config_double(const struct config *config, int32_t key)
{
    const struct config_value *value = value_of(config, key);
    must(config->schema->keys[key].type == CONFIG_TYPE_DOUBLE && !value->is_null);
    return value->real;
}

struct str config_text(const struct config *config, int32_t key)
{
    return value_of(config, key)->text;
}

bool config_is_null(const struct config *config, int32_t key)
{
    return value_of(config, key)->is_null;
}

enum config_source config_source_of(const struct config *config, int32_t key)
{
    return (enum config_source)value_of(config, key)->source;
}
