/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of the machine's clocks, for a program whose result must not depend on how fast the
 * machine is: time passes only when the program sleeps or says so. The clock is shared with child
 * processes.
 */
#ifndef CLOCK_DOUBLE_H
#define CLOCK_DOUBLE_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *clock_milliseconds;

/* For threads and processes that wait for each other, in real time. */
static bool clock_stands_still;

/* To be called before anything else reads the clock. The machine was started an hour ago. */
static inline int clock_start(void)
{
    clock_milliseconds = mmap(NULL, sizeof(*clock_milliseconds), PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (clock_milliseconds == MAP_FAILED)
        return -1;
    atomic_store(clock_milliseconds, 3600 * 1000);
    return 0;
}

static inline void clock_advance(int64_t milliseconds)
{
    atomic_fetch_add(clock_milliseconds, milliseconds);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int64_t now = clock_milliseconds ? atomic_load(clock_milliseconds) : 0;

    (void)clock;
    *time = (struct timespec){now / 1000, now % 1000 * 1000000};
    return 0;
}

/* Every sleep of the library ends at a time on the monotonic clock. */
int clock_nanosleep(
        clockid_t clock, int flags, const struct timespec *end, struct timespec *remaining)
{
    int64_t end_ms = (int64_t)end->tv_sec * 1000 + end->tv_nsec / 1000000;
    int64_t now_ms = atomic_load(clock_milliseconds);

    (void)clock;
    (void)flags;
    (void)remaining;
    if (clock_stands_still)
        sched_yield();
    else if (end_ms > now_ms)
        clock_advance(end_ms - now_ms);
    return 0;
}

/* Looks at the clock after each millisecond of real time, as if it were woken up for no reason. */
int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
        const struct timespec *end)
{
    struct timespec soon;

    (void)clock;
    if ((int64_t)end->tv_sec * 1000 + end->tv_nsec / 1000000 <= atomic_load(clock_milliseconds))
        return ETIMEDOUT;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &soon);
    soon.tv_nsec += 1000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    pthread_cond_timedwait(condition, mutex, &soon);
    return 0;
}

#endif
