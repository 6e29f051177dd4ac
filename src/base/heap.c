/* A heap of four children per parent in an array. The array has the keys, too: nodes are timers of
 * sessions, requests and connections, each in cold memory of its own, and to compare keys none of
 * them is read. Four children are next to each other and half as many nodes change their place.
 *
 * The array grows by doubling and shrinks to half when only a quarter is used, so a burst of timers
 * does not leave its memory behind.
 *
 * Invariants: slots[i].node->index == i and slots[i].node->key == slots[i].key for all i < size;
 * slots[i].key >= slots[(i - 1) / 4].key. */
#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

#define HEAP_CAPACITY_MIN 16
#define CHILDREN 4

struct heap_slot {
    int64_t key;
    struct heap_node *node;
};

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_close(struct heap *heap)
{
    for (size_t i = 0; i < heap->size; i++)
        heap->slots[i].node->index = HEAP_NONE;
    free(heap->slots);
    *heap = (struct heap){0};
}

static int heap_resize(struct heap *heap, size_t capacity)
{
    struct heap_slot *slots = reallocarray(heap->slots, capacity, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    heap->slots = slots;
    heap->capacity = capacity;
    return 0;
}

static void heap_put(struct heap *heap, size_t index, struct heap_slot slot)
{
    heap->slots[index] = slot;
    slot.node->index = index;
}

/* Move `slot`, which belongs at `index`, up while its parent is greater. */
static void heap_sift_up(struct heap *heap, size_t index, struct heap_slot slot)
{
    while (index > 0) {
        size_t parent = (index - 1) / CHILDREN;
        if (heap->slots[parent].key <= slot.key)
            break;
        heap_put(heap, index, heap->slots[parent]);
        index = parent;
    }
    heap_put(heap, index, slot);
}

static void heap_sift_down(struct heap *heap, size_t index, struct heap_slot slot)
{
    for (;;) {
        size_t least = CHILDREN * index + 1, end = least + CHILDREN;
        if (least >= heap->size)
            break;
        if (end > heap->size)
            end = heap->size;
        for (size_t child = least + 1; child < end; child++)
            if (heap->slots[child].key < heap->slots[least].key)
                least = child;
        if (heap->slots[least].key >= slot.key)
            break;
        heap_put(heap, index, heap->slots[least]);
        index = least;
    }
    heap_put(heap, index, slot);
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
    heap_sift_up(heap, heap->size++, (struct heap_slot){key, node});
    return 0;
}

static void heap_place(struct heap *heap, size_t index, struct heap_slot slot)
{
    if (index > 0 && heap->slots[(index - 1) / CHILDREN].key > slot.key)
        heap_sift_up(heap, index, slot);
    else
        heap_sift_down(heap, index, slot);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t index = node->index;
    must(index < heap->size);
    must(heap->slots[index].node == node);
    struct heap_slot last = heap->slots[--heap->size];
    node->index = HEAP_NONE;
    if (last.node != node)
        heap_place(heap, index, last);
    if (heap->capacity > HEAP_CAPACITY_MIN && heap->size < heap->capacity / 4)
        (void)heap_resize(heap, heap->capacity / 2); /* a failure to shrink leaves it as it is */
}

void heap_move(struct heap *heap, struct heap_node *node, int64_t key)
{
    must(node->index < heap->size);
    must(heap->slots[node->index].node == node);
    node->key = key;
    heap_place(heap, node->index, (struct heap_slot){key, node});
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->size ? heap->slots[0].node : NULL;
}
