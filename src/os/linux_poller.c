/* epoll, level-triggered for sockets. Wakes come through an eventfd that is edge-triggered: every
 * write is an event of its own and the counter need not be read back, which saves a system call. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "os/linux_internal.h"

/* Events taken from the kernel at once. */
#define POLLER_BATCH_MAX 128

struct env_poller {
    struct env *env;
    int epoll;
    int wake;
    bool no_pwait2; /* the kernel is older than 5.11 */
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
    if (poller->epoll < 0 || poller->wake < 0 ||
        epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->wake, &event) < 0) {
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

static int wait_ns(struct env_poller *poller, struct epoll_event *events, int max, int64_t left_ns)
{
    if (left_ns <= 0)
        return epoll_wait(poller->epoll, events, max, (int)left_ns);
    if (!poller->no_pwait2) {
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        int n = epoll_pwait2(poller->epoll, events, max, &left, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        poller->no_pwait2 = true;
    }
    int64_t left_ms = left_ns / 1000000 + 1; /* late rather than early, and never a busy loop */
    return epoll_wait(poller->epoll, events, max, left_ms > 1000000 ? 1000000 : (int)left_ms);
}

int linux_poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                      int64_t deadline_ns)
{
    struct epoll_event ready[POLLER_BATCH_MAX];
    int64_t left_ns = deadline_ns;
    if (max > POLLER_BATCH_MAX)
        max = POLLER_BATCH_MAX;
    if (deadline_ns > 0) {
        left_ns = deadline_ns - env_now_ns(poller->env);
        if (left_ns < 0)
            left_ns = 0;
    }
    int count = wait_ns(poller, ready, max, left_ns);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    int filled = 0;
    for (int i = 0; i < count; i++) {
        if (ready[i].data.ptr == poller)
            continue;
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
