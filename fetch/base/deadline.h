/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deadline is a point in time on the monotonic clock, in milliseconds. A caller passes it to the
 * functions that it calls, and every wait ends by it. A variable that is named deadline is always
 * such a point; a length of time has its unit in its name (pause_ms).
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
static inline int64_t deadline_left_ms(int64_t deadline)
{
    int64_t left = deadline - monotonic_milliseconds();

    return left > 0 ? left : 0;
}

/* The deadline for functions that take an absolute time of CLOCK_MONOTONIC. */
static inline struct timespec deadline_timespec(int64_t deadline)
{
    return (struct timespec){deadline / 1000, deadline % 1000 * 1000000};
}

#endif
