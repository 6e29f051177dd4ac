/* Wake-ups to be made once a lock is dropped.
 *
 * Waking a sleeping loop is a system call, and none belongs under a lock. Who fires callbacks under
 * a lock passes them a `wakes`; they note there whom to wake, and wakes_run does it after unlock.
 * A sleeping loop is noted once however many callbacks reach it, because the first note claims its
 * sleep (os/loop.c), so the small array is enough; past its end the wake is made at once, which is
 * slower and still correct. */
#ifndef JACKDAW_BASE_WAKES_H
#define JACKDAW_BASE_WAKES_H

#define WAKES_MAX 16

struct wakes {
    int count;
    struct {
        void (*wake)(void *target);
        void *target;
    } list[WAKES_MAX];
};

static inline void wakes_init(struct wakes *wakes)
{
    wakes->count = 0;
}

static inline void wakes_add(struct wakes *wakes, void (*wake)(void *target), void *target)
{
    if (wakes->count == WAKES_MAX) {
        wake(target);
        return;
    }
    wakes->list[wakes->count].wake = wake;
    wakes->list[wakes->count].target = target;
    wakes->count++;
}

static inline void wakes_run(struct wakes *wakes)
{
    for (int i = 0; i < wakes->count; i++)
        wakes->list[i].wake(wakes->list[i].target);
    wakes->count = 0;
}

#endif
