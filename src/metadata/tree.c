/* Invariants:
 *  1. Entries of a node ascend strictly; an entry of an inner node carries the prefix of the least
 *     key below it. All leaves have height 0 and the same depth.
 *  2. Every node but the root and those on the right edge has at least MIN_FILL entries.
 *  3. A writer changes a node or an item only when every node on the way to it, and it itself, has
 *     one reference: then no other tree reaches it. own_* establish that from the root down. */
#include "metadata/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum { MIN_FILL = TREE_FANOUT / 4 };

struct tree_entry {
    uint64_t prefix;
    void *to; /* a tree_item in a leaf, a tree_node above */
};

struct tree_node {
    _Atomic int32_t refs;
    uint8_t height; /* 0: a leaf */
    uint8_t count;
    uint8_t capacity;
    struct tree_entry entries[];
};

struct path {
    struct tree_node *nodes[TREE_DEPTH_MAX]; /* root first, leaf last */
    int at[TREE_DEPTH_MAX];
    int depth;
};

/* Keys and order. */

/* Order-preserving: smaller prefix, smaller key; equal prefixes decide nothing. 16 bits of the
 * number, saturated, then 6 bytes. */
static uint64_t key_prefix(struct tree_key key)
{
    int64_t number = key.number;
    if (number < INT16_MIN)
        number = INT16_MIN;
    if (number > INT16_MAX)
        number = INT16_MAX;
    uint8_t bytes[8] = {0};
    size_t size = key.bytes.size < 6 ? (size_t)key.bytes.size : 6;
    if (size)
        memcpy(bytes + 2, key.bytes.data, size);
    return (uint64_t)(number - INT16_MIN) << 48 | load_be64(bytes);
}

static int key_compare(struct tree_key a, struct tree_key b)
{
    if (a.number != b.number)
        return a.number < b.number ? -1 : 1;
    int32_t size = a.bytes.size < b.bytes.size ? a.bytes.size : b.bytes.size;
    int order = size ? memcmp(a.bytes.data, b.bytes.data, (size_t)size) : 0;
    return order ? order : (a.bytes.size > b.bytes.size) - (a.bytes.size < b.bytes.size);
}

static struct tree_key item_key(const struct tree_item *item)
{
    return item->ops->key(item);
}

static const struct tree_item *least_item(const struct tree_node *node, int i)
{
    const struct tree_node *at = node;
    for (; at->height > 0; i = 0)
        at = at->entries[i].to;
    return at->entries[i].to;
}

/* <0, 0, >0: the key against the (least) key of entry i. */
static int entry_compare(struct tree_key key, uint64_t prefix, const struct tree_node *node, int i)
{
    uint64_t other = node->entries[i].prefix;
    if (prefix != other)
        return prefix < other ? -1 : 1;
    return key_compare(key, item_key(least_item(node, i)));
}

/* The number of entries whose (least) key is < key; ret_equal says whether the next one equals it.
 */
static int entries_below(const struct tree_node *node, struct tree_key key, uint64_t prefix,
                         bool *ret_equal)
{
    int low = 0;
    int high = node->count;
    *ret_equal = false;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = entry_compare(key, prefix, node, middle);
        if (order == 0) {
            *ret_equal = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The child of an inner node that holds the key if any does. */
static int child_of(const struct tree_node *node, struct tree_key key, uint64_t prefix)
{
    bool equal;
    int below = entries_below(node, key, prefix, &equal);
    return equal || below == 0 ? below : below - 1;
}

/* Items and nodes. */

void tree_item_init(struct tree_item *item, const struct tree_item_ops *ops)
{
    atomic_init(&item->refs, 1);
    item->ops = ops;
}

struct tree_item *tree_item_ref(const struct tree_item *item)
{
    struct tree_item *own = (struct tree_item *)item;
    atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    return own;
}

void tree_item_unref(struct tree_item *item)
{
    if (!item)
        return;
    int32_t before = atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel);
    must(before > 0);
    if (before == 1)
        item->ops->destroy(item);
}

static bool is_sole(const _Atomic int32_t *refs)
{
    return atomic_load_explicit(refs, memory_order_acquire) == 1;
}

static struct tree_node *node_create(int height, int capacity)
{
    struct tree_node *node = malloc(sizeof *node + (size_t)capacity * sizeof node->entries[0]);
    must(node);
    atomic_init(&node->refs, 1);
    node->height = (uint8_t)height;
    node->count = 0;
    node->capacity = (uint8_t)capacity;
    return node;
}

static struct tree_node *node_ref(struct tree_node *node)
{
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return node;
}

/* Recursion is bounded by the height. */
static void node_unref(struct tree_node *node)
{
    int32_t before = atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel);
    must(before > 0);
    if (before != 1)
        return;
    for (int i = 0; i < node->count; i++) {
        if (node->height == 0)
            tree_item_unref(node->entries[i].to);
        else
            node_unref(node->entries[i].to);
    }
    free(node);
}

static int capacity_for(int count)
{
    int capacity = 4;
    while (capacity < count)
        capacity *= 2;
    return capacity < TREE_FANOUT ? capacity : TREE_FANOUT;
}

/* Make the node at `slot` ours alone, with room for `room` entries (at most TREE_FANOUT). The
 * slot's own node is ours already, or the slot is a root. */
static struct tree_node *own_node(struct tree_node **slot, int room)
{
    struct tree_node *node = *slot;
    if (is_sole(&node->refs)) {
        if (node->capacity >= room)
            return node;
        int capacity = capacity_for(room);
        node = realloc(node, sizeof *node + (size_t)capacity * sizeof node->entries[0]);
        must(node);
        node->capacity = (uint8_t)capacity;
        *slot = node;
        return node;
    }
    struct tree_node *copy =
        node_create(node->height, capacity_for(node->count > room ? node->count : room));
    copy->count = node->count;
    memcpy(copy->entries, node->entries, node->count * sizeof node->entries[0]);
    for (int i = 0; i < copy->count; i++) {
        if (copy->height == 0)
            tree_item_ref(copy->entries[i].to);
        else
            node_ref(copy->entries[i].to);
    }
    node_unref(node);
    *slot = copy;
    return copy;
}

static struct tree_node **child_slot(struct tree_node *node, int i)
{
    return (struct tree_node **)&node->entries[i].to;
}

/* Trees. */

struct tree tree_copy(const struct tree *tree)
{
    if (tree->root)
        node_ref(tree->root);
    return *tree;
}

void tree_clear(struct tree *tree)
{
    if (tree->root)
        node_unref(tree->root);
    *tree = (struct tree){0};
}

struct tree_item *tree_find(const struct tree *tree, struct tree_key key)
{
    const struct tree_node *node = tree->root;
    if (!node)
        return NULL;
    uint64_t prefix = key_prefix(key);
    while (node->height > 0)
        node = node->entries[child_of(node, key, prefix)].to;
    bool equal;
    int i = entries_below(node, key, prefix, &equal);
    return equal ? node->entries[i].to : NULL;
}

/* Own every node from the root to the leaf for `key`; the leaf with room for one more. */
static void own_path(struct tree *tree, struct tree_key key, uint64_t prefix, struct path *path)
{
    struct tree_node **slot = &tree->root;
    path->depth = 0;
    for (;;) {
        must(path->depth < TREE_DEPTH_MAX);
        int room = (*slot)->count + 1;
        struct tree_node *node = own_node(slot, room < TREE_FANOUT ? room : TREE_FANOUT);
        path->nodes[path->depth] = node;
        if (node->height == 0)
            break;
        int i = child_of(node, key, prefix);
        path->at[path->depth++] = i;
        slot = child_slot(node, i);
    }
    bool equal;
    path->at[path->depth] = entries_below(path->nodes[path->depth], key, prefix, &equal);
    path->depth++;
}

/* The least key of path->nodes[level] changed: correct what its parents note of it. */
static void refresh_prefixes(struct path *path, int level)
{
    for (; level > 0; level--) {
        struct tree_node *parent = path->nodes[level - 1];
        int i = path->at[level - 1];
        parent->entries[i].prefix = path->nodes[level]->entries[0].prefix;
        if (i != 0)
            break;
    }
}

static void entry_insert(struct tree_node *node, int i, struct tree_entry entry)
{
    must(node->count < node->capacity);
    memmove(node->entries + i + 1, node->entries + i,
            (size_t)(node->count - i) * sizeof node->entries[0]);
    node->entries[i] = entry;
    node->count++;
}

static void entry_delete(struct tree_node *node, int i)
{
    node->count--;
    memmove(node->entries + i, node->entries + i + 1,
            (size_t)(node->count - i) * sizeof node->entries[0]);
}

/* Move the upper part of a full node to a new one. Appending at the end leaves the node full, so
 * that ascending inserts pack. */
static struct tree_node *node_split(struct tree_node *node, bool at_end)
{
    int keep = at_end ? node->count : node->count / 2;
    struct tree_node *right = node_create(node->height, TREE_FANOUT);
    right->count = (uint8_t)(node->count - keep);
    memcpy(right->entries, node->entries + keep, right->count * sizeof node->entries[0]);
    node->count = (uint8_t)keep;
    return right;
}

/* Insert an entry into path->nodes[level] at path->at[level], splitting upwards as far as needed.
 */
static void path_insert(struct tree *tree, struct path *path, struct tree_entry entry)
{
    int level = path->depth - 1;
    for (;;) {
        struct tree_node *node = path->nodes[level];
        int i = path->at[level];
        if (node->count < TREE_FANOUT) {
            entry_insert(node, i, entry);
            if (i == 0)
                refresh_prefixes(path, level);
            return;
        }
        struct tree_node *right = node_split(node, i == node->count);
        if (i > node->count || right->count == 0) {
            entry_insert(right, i - node->count, entry);
        } else {
            entry_insert(node, i, entry);
            if (i == 0)
                refresh_prefixes(path, level);
        }
        entry = (struct tree_entry){right->entries[0].prefix, right};
        if (level == 0) {
            struct tree_node *root = node_create(node->height + 1, 4);
            must(node->height + 1 < TREE_DEPTH_MAX);
            entry_insert(root, 0, (struct tree_entry){node->entries[0].prefix, node});
            entry_insert(root, 1, entry);
            tree->root = root;
            return;
        }
        level--;
        path->at[level]++;
    }
}

void tree_put(struct tree *tree, struct tree_item *item)
{
    struct tree_key key = item_key(item);
    uint64_t prefix = key_prefix(key);
    if (!tree->root)
        tree->root = node_create(0, 4);
    struct path path;
    own_path(tree, key, prefix, &path);
    struct tree_node *leaf = path.nodes[path.depth - 1];
    int i = path.at[path.depth - 1];
    if (i < leaf->count && entry_compare(key, prefix, leaf, i) == 0) {
        tree_item_unref(leaf->entries[i].to);
        leaf->entries[i].to = item;
        return;
    }
    path_insert(tree, &path, (struct tree_entry){prefix, item});
    tree->size++;
}

/* Join children i and i + 1 of an owned parent when they fit into one node, else even them out. */
static void join_children(struct tree_node *parent, int i)
{
    struct tree_node *left = own_node(child_slot(parent, i), TREE_FANOUT);
    struct tree_node *right = own_node(child_slot(parent, i + 1), TREE_FANOUT);
    int total = left->count + right->count;
    int keep = total <= TREE_FANOUT ? total : total / 2;
    int move = keep - left->count; /* > 0: from right to left */
    if (move > 0) {
        memcpy(left->entries + left->count, right->entries, (size_t)move * sizeof left->entries[0]);
        memmove(right->entries, right->entries + move,
                (size_t)(right->count - move) * sizeof left->entries[0]);
    } else if (move < 0) {
        memmove(right->entries - move, right->entries, right->count * sizeof left->entries[0]);
        memcpy(right->entries, left->entries + keep, (size_t)-move * sizeof left->entries[0]);
    }
    left->count = (uint8_t)keep;
    right->count = (uint8_t)(total - keep);
    parent->entries[i].prefix = left->entries[0].prefix;
    if (right->count == 0) {
        node_unref(right);
        entry_delete(parent, i + 1);
    } else {
        parent->entries[i + 1].prefix = right->entries[0].prefix;
    }
}

bool tree_remove(struct tree *tree, struct tree_key key)
{
    if (!tree_find(tree, key))
        return false;
    struct path path;
    own_path(tree, key, key_prefix(key), &path);
    int level = path.depth - 1;
    struct tree_node *leaf = path.nodes[level];
    tree_item_unref(leaf->entries[path.at[level]].to);
    entry_delete(leaf, path.at[level]);
    tree->size--;
    for (; level > 0; level--) {
        struct tree_node *node = path.nodes[level];
        struct tree_node *parent = path.nodes[level - 1];
        int i = path.at[level - 1];
        if (node->count > 0)
            parent->entries[i].prefix = node->entries[0].prefix;
        if (node->count >= MIN_FILL)
            continue;
        if (node->count == 0) {
            node_unref(node);
            entry_delete(parent, i);
        } else if (parent->count > 1) {
            join_children(parent, i > 0 ? i - 1 : i);
        }
    }
    while (tree->root->height > 0 && tree->root->count == 1) {
        struct tree_node *child = node_ref(tree->root->entries[0].to);
        node_unref(tree->root);
        tree->root = child;
    }
    if (tree->root->count == 0)
        tree_clear(tree);
    return true;
}

struct tree_item *tree_edit(struct tree *tree, struct tree_key key,
                            struct tree_item *(*clone)(const struct tree_item *item))
{
    if (!tree_find(tree, key))
        return NULL;
    struct path path;
    own_path(tree, key, key_prefix(key), &path);
    void **slot = &path.nodes[path.depth - 1]->entries[path.at[path.depth - 1]].to;
    struct tree_item *item = *slot;
    if (is_sole(&item->refs))
        return item;
    *slot = clone(item);
    tree_item_unref(item);
    return *slot;
}

/* Walking. A cursor stands before an item: at[depth - 1] is that item's place in its leaf. */

/* After a step: leave finished nodes, then go down to a leaf. */
static void cursor_settle(struct tree_cursor *cursor)
{
    while (cursor->depth > 0) {
        int level = cursor->depth - 1;
        const struct tree_node *node = cursor->nodes[level];
        if (cursor->at[level] >= node->count) {
            cursor->depth--;
            if (cursor->depth > 0)
                cursor->at[cursor->depth - 1]++;
            continue;
        }
        if (node->height == 0)
            return;
        cursor->nodes[cursor->depth] = node->entries[cursor->at[level]].to;
        cursor->at[cursor->depth++] = 0;
    }
}

void tree_first(const struct tree *tree, struct tree_cursor *ret_cursor)
{
    ret_cursor->depth = 0;
    if (!tree->root)
        return;
    ret_cursor->nodes[0] = tree->root;
    ret_cursor->at[0] = 0;
    ret_cursor->depth = 1;
    cursor_settle(ret_cursor);
}

void tree_seek(const struct tree *tree, struct tree_key key, struct tree_cursor *ret_cursor)
{
    uint64_t prefix = key_prefix(key);
    bool equal;
    ret_cursor->depth = 0;
    for (const struct tree_node *node = tree->root; node;) {
        int level = ret_cursor->depth++;
        ret_cursor->nodes[level] = node;
        if (node->height == 0) {
            ret_cursor->at[level] = (uint8_t)entries_below(node, key, prefix, &equal);
            break;
        }
        ret_cursor->at[level] = (uint8_t)child_of(node, key, prefix);
        node = node->entries[ret_cursor->at[level]].to;
    }
    cursor_settle(ret_cursor);
}

static struct tree_item *cursor_item(const struct tree_cursor *cursor)
{
    if (cursor->depth == 0)
        return NULL;
    int level = cursor->depth - 1;
    return cursor->nodes[level]->entries[cursor->at[level]].to;
}

struct tree_item *tree_next(struct tree_cursor *cursor)
{
    struct tree_item *item = cursor_item(cursor);
    if (item) {
        cursor->at[cursor->depth - 1]++;
        cursor_settle(cursor);
    }
    return item;
}

/* Leave out everything below nodes[level], at whose beginning the cursor stands. */
static void cursor_skip(struct tree_cursor *cursor, int level)
{
    cursor->depth = level;
    if (level > 0)
        cursor->at[level - 1]++;
    cursor_settle(cursor);
}

/* The level of the node of this height at whose beginning the cursor stands, or -1. */
static int cursor_begins(const struct tree_cursor *cursor, int height)
{
    for (int level = cursor->depth - 1; level >= 0; level--) {
        if (cursor->at[level] != 0)
            return -1;
        if (cursor->nodes[level]->height == height)
            return level;
    }
    return -1;
}

/* Step both over the largest subtree that they share and stand before. */
static bool skip_shared(struct tree_cursor *a, struct tree_cursor *b)
{
    if (a->depth == 0 || b->depth == 0)
        return false;
    for (int height = a->nodes[0]->height; height >= 0; height--) {
        int level_a = cursor_begins(a, height);
        int level_b = cursor_begins(b, height);
        if (level_a < 0 || level_b < 0 || a->nodes[level_a] != b->nodes[level_b])
            continue;
        cursor_skip(a, level_a);
        cursor_skip(b, level_b);
        return true;
    }
    return false;
}

void tree_diff(const struct tree *before, const struct tree *after,
               void (*each)(void *context, const struct tree_item *before,
                            const struct tree_item *after),
               void *context)
{
    struct tree_cursor a;
    struct tree_cursor b;
    tree_first(before, &a);
    tree_first(after, &b);
    for (;;) {
        if (skip_shared(&a, &b))
            continue;
        const struct tree_item *old = cursor_item(&a);
        const struct tree_item *new = cursor_item(&b);
        if (!old && !new)
            return;
        int order = !old ? 1 : !new ? -1 : key_compare(item_key(old), item_key(new));
        if (order <= 0)
            tree_next(&a);
        if (order >= 0)
            tree_next(&b);
        if (old != new)
            each(context, order <= 0 ? old : NULL, order >= 0 ? new : NULL);
    }
}

static int32_t node_check(const struct tree_node *node, int height, bool right_edge, bool is_root)
{
    must(node->height == height);
    must(node->count > 0 && node->count <= node->capacity && node->capacity <= TREE_FANOUT);
    must(is_root || right_edge || node->count >= MIN_FILL);
    int32_t size = 0;
    for (int i = 0; i < node->count; i++) {
        struct tree_key key = item_key(least_item(node, i));
        must(node->entries[i].prefix == key_prefix(key));
        if (i > 0)
            must(entry_compare(key, key_prefix(key), node, i - 1) > 0);
        size += height == 0 ? 1
                            : node_check(node->entries[i].to, height - 1,
                                         right_edge && i == node->count - 1, false);
    }
    return size;
}

void tree_check(const struct tree *tree)
{
    if (!tree->root)
        must(tree->size == 0);
    else
        must(node_check(tree->root, tree->root->height, true, true) == tree->size);
}
