/* Intrusive min-heap; nodes know their place, so removal is O(log n). */
#ifndef JACKDAW_BASE_HEAP_H
#define JACKDAW_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NONE SIZE_MAX

struct heap_node {
    size_t index; /* HEAP_NONE when in no heap */
    int64_t key;
};

struct heap_slot;

struct heap {
    struct heap_slot *slots;
    size_t size;
    size_t capacity;
};

void heap_init(struct heap *heap);
void heap_close(struct heap *heap);

/* 0 or -ENOMEM. Nodes of equal keys come out in no promised order but a repeatable one. */
int heap_insert(struct heap *heap, struct heap_node *node, int64_t key);
void heap_remove(struct heap *heap, struct heap_node *node);

/* Give a node in the heap another key. Never fails. */
void heap_move(struct heap *heap, struct heap_node *node, int64_t key);

/* The node of the least key, or NULL. */
struct heap_node *heap_first(const struct heap *heap);

static inline void heap_node_init(struct heap_node *node)
{
    node->index = HEAP_NONE;
    node->key = 0;
}
static inline bool heap_contains(const struct heap_node *node)
{
    return node->index != HEAP_NONE;
}

#endif
