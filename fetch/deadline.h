/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time on the monotonic clock, in milliseconds: a deadline travels down the calls, and
 * every wait ends by it.
 */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds left until the deadline, 0 when it has passed. */
static inline int64_t deadline_left(int64_t deadline)
{
    int64_t left = deadline - monotonic_milliseconds();

    return left > 0 ? left : 0;
}

#endif
