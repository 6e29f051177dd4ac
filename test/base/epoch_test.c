#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sched.h>

#include "base/epoch.h"
#include "base/must.h"

static int freed;

static void count_freed(struct epoch_entry *entry)
{
    (void)entry;
    freed++;
}

static void what_nobody_reads_is_freed_at_once(void **state)
{
    (void)state;
    struct epoch_domain domain;
    struct epoch_reader reader;
    struct epoch_entry entry;
    freed = 0;
    epoch_init(&domain);
    epoch_reader_add(&domain, &reader);
    epoch_retire(&domain, &entry, count_freed);
    assert_int_equal(freed, 1);
    epoch_reader_remove(&reader);
    epoch_close(&domain);
}

static void a_reader_that_was_online_delays_the_freeing(void **state)
{
    (void)state;
    struct epoch_domain domain;
    struct epoch_reader early, late;
    struct epoch_entry entries[2];
    freed = 0;
    epoch_init(&domain);
    epoch_reader_add(&domain, &early);
    epoch_reader_add(&domain, &late);
    epoch_online(&early);
    epoch_retire(&domain, &entries[0], count_freed);
    epoch_online(&late); /* came too late to have seen the first */
    epoch_retire(&domain, &entries[1], count_freed);
    assert_int_equal(freed, 0);
    epoch_offline(&early);
    assert_int_equal(freed, 1);
    epoch_online(&early);
    epoch_offline(&early);
    assert_int_equal(freed, 1);
    epoch_offline(&late);
    assert_int_equal(freed, 2);
    epoch_reader_remove(&early);
    epoch_reader_remove(&late);
    epoch_close(&domain);
}

static void going_on_without_a_break_counts_as_a_break(void **state)
{
    (void)state;
    struct epoch_domain domain;
    struct epoch_reader reader;
    struct epoch_entry entry, other;
    freed = 0;
    epoch_init(&domain);
    epoch_reader_add(&domain, &reader);
    epoch_online(&reader);
    epoch_retire(&domain, &entry, count_freed);
    epoch_online(&reader);
    epoch_retire(&domain, &other, count_freed);
    assert_int_equal(freed, 1);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    epoch_close(&domain);
}

#define READERS 3
#define ROUNDS 3000
#define ALIVE 0x11111111

struct object {
    struct epoch_entry entry;
    int state; /* plain: the sanitizers see a read that races with the freeing */
};

struct race {
    struct epoch_domain domain;
    _Atomic(struct object *) shared;
    _Atomic bool done;
    _Atomic int created, destroyed;
};

struct race_entry {
    struct object object;
    struct race *race;
};

static void object_free(struct epoch_entry *entry)
{
    struct race_entry *dead = container_of(entry, struct race_entry, object.entry);
    atomic_fetch_add(&dead->race->destroyed, 1);
    dead->object.state = 0;
    free(dead);
}

static struct object *object_create(struct race *race)
{
    struct race_entry *created = calloc(1, sizeof *created);
    must(created);
    created->race = race;
    created->object.state = ALIVE;
    atomic_fetch_add(&race->created, 1);
    return &created->object;
}

static void *race_reader(void *context)
{
    struct race *race = context;
    struct epoch_reader reader;
    int turns = 0;
    epoch_reader_add(&race->domain, &reader);
    while (!atomic_load(&race->done)) {
        epoch_online(&reader);
        const struct object *object = atomic_load_explicit(&race->shared, memory_order_acquire);
        must(object->state == ALIVE);
        if (turns++ % 5 == 0)
            sched_yield();
        must(object->state == ALIVE);
        epoch_offline(&reader);
    }
    epoch_reader_remove(&reader);
    return NULL;
}

static void *race_writer(void *context)
{
    struct race *race = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct object *old = atomic_exchange(&race->shared, object_create(race));
        epoch_retire(&race->domain, &old->entry, object_free);
        if (i % 7 == 0)
            sched_yield();
    }
    return NULL;
}

static void no_reader_sees_what_was_freed_and_nothing_is_left_over(void **state)
{
    (void)state;
    struct race race = {.done = false};
    pthread_t readers[READERS], writers[2];
    epoch_init(&race.domain);
    atomic_store(&race.shared, object_create(&race));
    for (int i = 0; i < READERS; i++)
        must(pthread_create(&readers[i], NULL, race_reader, &race) == 0);
    for (int i = 0; i < 2; i++)
        must(pthread_create(&writers[i], NULL, race_writer, &race) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    atomic_store(&race.done, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    /* All readers are offline, so all but the one still shared is gone, without any further call.
     */
    assert_int_equal(race.destroyed, 2 * ROUNDS);
    assert_int_equal(race.created, 2 * ROUNDS + 1);
    struct object *last = atomic_load(&race.shared);
    epoch_retire(&race.domain, &last->entry, object_free);
    epoch_close(&race.domain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_reads_is_freed_at_once),
        cmocka_unit_test(a_reader_that_was_online_delays_the_freeing),
        cmocka_unit_test(going_on_without_a_break_counts_as_a_break),
        cmocka_unit_test(no_reader_sees_what_was_freed_and_nothing_is_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
