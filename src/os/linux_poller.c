/* epoll, level-triggered for sockets. Wakes come through an eventfd that is edge-triggered: every
 * write is an event of its own and the counter need not be read back, which saves a system call.
 *
 * Deadlines come through a timer of the kernel's, edge-triggered too, that is only ever set
 * earlier: most are seconds away and move on with every wait, and a timeout of epoll_wait would be
 * queued and taken back each time. So a wait may end early, once per deadline that was given up. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/must.h"
#include "os/linux_internal.h"

/* Events taken from the kernel at once. */
#define POLLER_BATCH_MAX 128

struct env_poller {
    struct env *env;
    int epoll;
    int wake;
    int timer;
    int64_t timer_ns; /* when it goes off; 0: it is not set */
};

struct env_poller *linux_poller_create(struct env *env)
{
    struct env_poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return NULL;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = poller};
    poller->env = env;
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    poller->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    poller->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event due = {.events = EPOLLIN | EPOLLET, .data.ptr = &poller->timer};
    if (poller->epoll < 0 || poller->wake < 0 || poller->timer < 0 ||
        epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->wake, &event) < 0 ||
        epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->timer, &due) < 0) {
        linux_poller_destroy(poller);
        return NULL;
    }
    return poller;
}

void linux_poller_destroy(struct env_poller *poller)
{
    if (!poller)
        return;
    if (poller->wake >= 0)
        close(poller->wake);
    if (poller->timer >= 0)
        close(poller->timer);
    if (poller->epoll >= 0)
        close(poller->epoll);
    free(poller);
}

static int poller_control(struct env_poller *poller, int operation, int sock, unsigned events,
                          void *tag)
{
    struct epoll_event event = {.data.ptr = tag};
    if (events & ENV_POLL_IN)
        event.events |= EPOLLIN;
    if (events & ENV_POLL_OUT)
        event.events |= EPOLLOUT;
    return linux_result(epoll_ctl(poller->epoll, operation, sock, &event));
}

int linux_poller_add(struct env_poller *poller, int sock, unsigned events, void *tag)
{
    return poller_control(poller, EPOLL_CTL_ADD, sock, events, tag);
}

int linux_poller_change(struct env_poller *poller, int sock, unsigned events, void *tag)
{
    return poller_control(poller, EPOLL_CTL_MOD, sock, events, tag);
}

int linux_poller_remove(struct env_poller *poller, int sock)
{
    return poller_control(poller, EPOLL_CTL_DEL, sock, 0, NULL);
}

/* Have the timer go off at this time, or before. */
static void timer_set(struct env_poller *poller, int64_t deadline_ns)
{
    if (poller->timer_ns > 0 && poller->timer_ns <= deadline_ns)
        return;
    struct itimerspec at = {.it_value = {deadline_ns / 1000000000, deadline_ns % 1000000000}};
    must(timerfd_settime(poller->timer, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    poller->timer_ns = deadline_ns;
}

int linux_poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                      int64_t deadline_ns)
{
    struct epoll_event ready[POLLER_BATCH_MAX];
    if (max > POLLER_BATCH_MAX)
        max = POLLER_BATCH_MAX;
    if (deadline_ns > 0)
        timer_set(poller, deadline_ns);
    int count = epoll_wait(poller->epoll, ready, max, deadline_ns == 0 ? 0 : -1);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    int filled = 0;
    for (int i = 0; i < count; i++) {
        if (ready[i].data.ptr == poller)
            continue;
        if (ready[i].data.ptr == &poller->timer) {
            poller->timer_ns = 0;
            continue;
        }
        unsigned is = ready[i].events;
        events[filled].events = (is & EPOLLIN ? ENV_POLL_IN : 0) |
                                (is & EPOLLOUT ? ENV_POLL_OUT : 0) |
                                (is & (EPOLLHUP | EPOLLERR) ? ENV_POLL_HUP : 0);
        events[filled].tag = ready[i].data.ptr;
        filled++;
    }
    return filled;
}

void linux_poller_wake(struct env_poller *poller)
{
    uint64_t one = 1;
    ssize_t n = linux_retry(write(poller->wake, &one, sizeof one));
    must(n == sizeof one);
}
