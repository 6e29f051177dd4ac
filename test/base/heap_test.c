#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/must.h"

#define NODES 500

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static int64_t least_key(const struct heap_node *nodes)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < NODES; i++) {
        if (heap_contains(&nodes[i]) && nodes[i].key < least)
            least = nodes[i].key;
    }
    return least;
}

static void the_first_is_always_the_least(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node nodes[NODES];
    uint64_t seed = 7;
    size_t size = 0;
    heap_init(&heap);
    for (size_t i = 0; i < NODES; i++)
        heap_node_init(&nodes[i]);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[next_random(&seed) % NODES];
        int64_t key = (int64_t)(next_random(&seed) % 1000);
        if (!heap_contains(node)) {
            assert_int_equal(heap_insert(&heap, node, key), 0);
            size++;
        } else if (next_random(&seed) % 2) {
            heap_move(&heap, node, key);
        } else {
            heap_remove(&heap, node);
            assert_false(heap_contains(node));
            size--;
        }
        assert_int_equal(heap.size, size);
        struct heap_node *first = heap_first(&heap);
        assert_int_equal(first ? first->key : INT64_MAX, least_key(nodes));
    }
    heap_close(&heap);
    assert_false(heap_contains(&nodes[0]));
}

static void nodes_come_out_in_order(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node nodes[NODES];
    uint64_t seed = 3;
    heap_init(&heap);
    for (size_t i = 0; i < NODES; i++) {
        heap_node_init(&nodes[i]);
        assert_int_equal(heap_insert(&heap, &nodes[i], (int64_t)next_random(&seed)), 0);
    }
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < NODES; i++) {
        struct heap_node *first = heap_first(&heap);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&heap, first);
    }
    assert_null(heap_first(&heap));
    heap_close(&heap);
}

static void memory_shrinks_with_the_heap(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node nodes[NODES];
    heap_init(&heap);
    for (size_t i = 0; i < NODES; i++) {
        heap_node_init(&nodes[i]);
        assert_int_equal(heap_insert(&heap, &nodes[i], (int64_t)i), 0);
    }
    while (heap_first(&heap))
        heap_remove(&heap, heap_first(&heap));
    assert_true(heap.capacity <= 16);
    heap_close(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_least),
        cmocka_unit_test(nodes_come_out_in_order),
        cmocka_unit_test(memory_shrinks_with_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
