/* A binary heap in an array of pointers. The array grows by doubling and shrinks to half when only
 * a quarter is used, so a burst of timers does not leave its memory behind.
 *
 * Invariants: nodes[i]->index == i for all i < size; nodes[i]->key >= nodes[(i - 1) / 2]->key. */
#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

#define HEAP_CAPACITY_MIN 16

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_close(struct heap *heap)
{
    for (size_t i = 0; i < heap->size; i++)
        heap->nodes[i]->index = HEAP_NONE;
    free(heap->nodes);
    *heap = (struct heap){0};
}

static int heap_resize(struct heap *heap, size_t capacity)
{
    struct heap_node **nodes = reallocarray(heap->nodes, capacity, sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    heap->nodes = nodes;
    heap->capacity = capacity;
    return 0;
}

static void heap_put(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->index = index;
}

/* Move `node`, which belongs at `index`, up while its parent is greater. */
static void heap_sift_up(struct heap *heap, size_t index, struct heap_node *node)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->nodes[parent]->key <= node->key)
            break;
        heap_put(heap, index, heap->nodes[parent]);
        index = parent;
    }
    heap_put(heap, index, node);
}

static void heap_sift_down(struct heap *heap, size_t index, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->size)
            break;
        if (child + 1 < heap->size && heap->nodes[child + 1]->key < heap->nodes[child]->key)
            child++;
        if (heap->nodes[child]->key >= node->key)
            break;
        heap_put(heap, index, heap->nodes[child]);
        index = child;
    }
    heap_put(heap, index, node);
}

int heap_insert(struct heap *heap, struct heap_node *node, int64_t key)
{
    must(node->index == HEAP_NONE);
    if (heap->size == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : HEAP_CAPACITY_MIN;
        int err = heap_resize(heap, capacity);
        if (err < 0)
            return err;
    }
    node->key = key;
    heap_sift_up(heap, heap->size++, node);
    return 0;
}

static void heap_place(struct heap *heap, size_t index, struct heap_node *node)
{
    if (index > 0 && heap->nodes[(index - 1) / 2]->key > node->key)
        heap_sift_up(heap, index, node);
    else
        heap_sift_down(heap, index, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t index = node->index;
    must(index < heap->size);
    must(heap->nodes[index] == node);
    struct heap_node *last = heap->nodes[--heap->size];
    node->index = HEAP_NONE;
    if (last != node)
        heap_place(heap, index, last);
    if (heap->capacity > HEAP_CAPACITY_MIN && heap->size < heap->capacity / 4)
        (void)heap_resize(heap, heap->capacity / 2); /* a failure to shrink leaves it as it is */
}

void heap_move(struct heap *heap, struct heap_node *node, int64_t key)
{
    must(node->index < heap->size);
    must(heap->nodes[node->index] == node);
    node->key = key;
    heap_place(heap, node->index, node);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->size ? heap->nodes[0] : NULL;
}
