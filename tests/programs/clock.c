/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded, it makes the clock of the time of day wrong by as many seconds as the file says that
 * CLOCK_OFFSET_S names. The file may change at any time. Monotonic clocks are left alone, as a step
 * of the real clock leaves them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long offset_s(void)
{
    const char *path = getenv("CLOCK_OFFSET_S");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[32] = "";
    ssize_t size = file < 0 ? 0 : read(file, text, sizeof(text) - 1);

    if (file >= 0)
        close(file);
    return size > 0 ? atoll(text) : 0;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);

    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset_s();
    return status;
}

__attribute__((visibility("default"))) time_t time(time_t *result)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
