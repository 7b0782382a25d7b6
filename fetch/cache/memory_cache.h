/* SPDX-License-Identifier: Apache-2.0 */
/* The memory cache from inside, for the files that it is made of. */
#ifndef MEMORY_CACHE_H
#define MEMORY_CACHE_H

#include <pthread.h>

#include "base/process.h"
#include "cache/calls.h"
#include "cache/entries.h"
#include "cache/memory.h"

struct memory_cache {
    const struct settings *settings;
    struct source *source;
    pthread_mutex_t lock; /* for all that follows */
    struct fork_participant fork;
    struct entries entries;
    struct call_queue queue;     /* of calls that wait for their turn */
    int threads;                 /* that make calls */
    int calls, background_calls; /* waiting or under way: all, and those that nobody waits for */
    int64_t calls_ended, calls_throttled;
    void (*ended)(void *context); /* called when there are no threads any more; or NULL */
    void *ended_context;
};

#endif
