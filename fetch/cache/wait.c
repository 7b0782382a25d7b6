/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the memory cache that blocks, built on the one that does not. */
#include <pthread.h>
#include <time.h>

#include "base/deadline.h"
#include "cache/memory.h"

enum { GRACE_MS = 500 /* for a call that timed out to say so itself */ };

/* Where the thread that ends the call meets the one that waits for it. */
struct wait {
    pthread_t caller;
    bool told_at_once; /* by the caller's own thread, which alone reads and writes this */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;
};

static void end_wait(
        void *context, struct aliyun_iot_identity *identity, struct aliyun_iot_error *error)
{
    struct wait *wait = context;

    /* A warm request is told within memory_cache_request(), and needs no lock. */
    if (pthread_equal(pthread_self(), wait->caller)) {
        wait->identity = identity;
        wait->error = error;
        wait->told_at_once = true;
        return;
    }
    pthread_mutex_lock(&wait->lock);
    wait->identity = identity;
    wait->error = error;
    wait->done = true;
    /* With the lock held: the waiter's memory ends when it can take the lock. */
    pthread_cond_signal(&wait->ended);
    pthread_mutex_unlock(&wait->lock);
}

/* Returns whether the request ended by then. */
static bool await(struct wait *wait, int64_t deadline)
{
    struct timespec end = deadline_timespec(deadline);
    int problem = 0;
    bool done;

    pthread_mutex_lock(&wait->lock);
    while (!wait->done && problem == 0)
        problem = pthread_cond_clockwait(&wait->ended, &wait->lock, CLOCK_MONOTONIC, &end);
    done = wait->done;
    pthread_mutex_unlock(&wait->lock);
    return done;
}

struct aliyun_iot_identity *memory_cache_get(struct memory_cache *cache,
        const struct device *device, int64_t deadline, struct aliyun_iot_error **error)
{
    struct wait wait = {.caller = pthread_self(),
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER};
    struct memory_waiter waiter = {
            .done = end_wait, .context = &wait, .deadline = deadline, .may_make_calls = true};

    memory_cache_request(cache, device, &waiter);
    if (waiter.must_make_calls)
        memory_cache_make_calls(cache);
    if (!wait.told_at_once && !await(&wait, deadline + GRACE_MS)) {
        if (memory_cache_cancel(cache, &waiter)) {
            error_set(&wait.error, ALIYUN_IOT_REASON_TIMEOUT,
                    "the call was still under way at the end of timeout; try again, or raise "
                    "timeout in aliyun-iot.conf");
        } else {
            /* Its thread is about to say how it ended. */
            while (!await(&wait, monotonic_milliseconds() + GRACE_MS)) {
            }
        }
    }
    if (error)
        *error = wait.error;
    else
        aliyun_iot_error_free(wait.error);
    return wait.identity;
}
