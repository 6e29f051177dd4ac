/* An ordered tree whose old versions stay readable: a copy-on-write B+ tree of reference-counted
 * items.
 *
 * `struct tree` is a value: copying it with tree_copy is O(1), and from then on both copies change
 * independently, each copying the nodes on the path it touches. A node or item that only one tree
 * can reach is changed in place, so folding a batch of n records costs O(n log n) and one copy of
 * each touched node. Readers of a tree nobody changes need no lock, on any thread; a tree has one
 * writer at a time.
 *
 * Items embed a tree_item first. Nodes hold the first 8 bytes of each key in place (`prefix`), so
 * that most comparisons follow no pointer. Reference counts say how many nodes and holders reach a
 * node or an item. */
#ifndef JACKDAW_METADATA_TREE_H
#define JACKDAW_METADATA_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    TREE_FANOUT = 32,    /* most entries of a node */
    TREE_DEPTH_MAX = 16, /* 16 levels of at least 8 entries: more than memory holds */
};

struct tree_item {
    _Atomic int32_t refs;
    const struct tree_item_ops *ops;
};

/* A key to look for or to order by: number first, then bytes. */
struct tree_key {
    int64_t number;
    struct bytes bytes;
};

struct tree_item_ops {
    struct tree_key (*key)(const struct tree_item *item);
    void (*destroy)(struct tree_item *item); /* the last reference went */
};

struct tree_node;

struct tree {
    struct tree_node *root; /* NULL: empty */
    int32_t size;
};

static inline int32_t tree_size(const struct tree *tree)
{
    return tree->size;
}

/* Shares everything; release each with tree_clear. */
struct tree tree_copy(const struct tree *tree);
void tree_clear(struct tree *tree);

void tree_item_init(struct tree_item *item, const struct tree_item_ops *ops); /* one reference */
struct tree_item *tree_item_ref(const struct tree_item *item);
void tree_item_unref(struct tree_item *item);

struct tree_item *tree_find(const struct tree *tree, struct tree_key key);

/* Put an item in, replacing the one of the same key; takes over the caller's reference. Memory
 * running out aborts (must): a fold cannot fail. */
void tree_put(struct tree *tree, struct tree_item *item);

/* Take an item out; true when there was one. */
bool tree_remove(struct tree *tree, struct tree_key key);

/* Hand out an item for changing in place: when other trees reach it, `clone` makes a copy of it
 * first, which takes its place. The key must stay the same. NULL when there is none. */
struct tree_item *tree_edit(struct tree *tree, struct tree_key key,
                            struct tree_item *(*clone)(const struct tree_item *item));

/* Position in a tree that does not change meanwhile. */
struct tree_cursor {
    const struct tree_node *nodes[TREE_DEPTH_MAX]; /* root first */
    uint8_t at[TREE_DEPTH_MAX];                    /* index of the next entry in each */
    int32_t depth;                                 /* 0: at the end */
};

/* At the first item whose key is >= key; tree_first: at the very first. */
void tree_seek(const struct tree *tree, struct tree_key key, struct tree_cursor *ret_cursor);
void tree_first(const struct tree *tree, struct tree_cursor *ret_cursor);
struct tree_item *tree_next(struct tree_cursor *cursor); /* NULL at the end */

/* Call `each` for every key where the trees differ, in order: before NULL when added, after NULL
 * when removed. What both share is skipped, so the cost follows the difference. */
void tree_diff(const struct tree *before, const struct tree *after,
               void (*each)(void *context, const struct tree_item *before,
                            const struct tree_item *after),
               void *context);

/* Check order, fill and counts of every node; must() on the first fault. For tests. */
void tree_check(const struct tree *tree);

#endif
