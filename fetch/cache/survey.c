/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator sees of the memory cache, takes out of it, and hands on to another. */
#include <stdlib.h>
#include <time.h>

#include "base/deadline.h"
#include "cache/memory_cache.h"

struct memory_counts memory_cache_counts(struct memory_cache *cache)
{
    struct memory_counts counts;

    pthread_mutex_lock(&cache->lock);
    counts = (struct memory_counts){.identities = cache->entries.identities.count,
            .failures = cache->entries.failures.count,
            .calls = cache->calls,
            .calls_ended = cache->calls_ended,
            .calls_throttled = cache->calls_throttled};
    pthread_mutex_unlock(&cache->lock);
    return counts;
}

struct memory_visit {
    bool (*visit)(void *context, const struct memory_item *item);
    void *context;
    int64_t now, now_ms; /* of the clock, and of the monotonic clock */
};

static bool visit_entry(void *context, struct cache_entry *entry)
{
    const struct memory_visit *visit = context;
    const struct memory_item item = {.device = entry->device,
            .identity = entry->identity,
            .fetched = visit->now - (visit->now_ms - entry->fetched_ms) / 1000};

    return !entry->identity || visit->visit(visit->context, &item);
}

void memory_cache_visit(struct memory_cache *cache,
        bool (*visit)(void *context, const struct memory_item *item), void *context)
{
    struct memory_visit all = {visit, context, (int64_t)time(NULL), monotonic_milliseconds()};

    pthread_mutex_lock(&cache->lock);
    entries_visit(&cache->entries, visit_entry, &all);
    pthread_mutex_unlock(&cache->lock);
}

/* Removes what it forgets, so it reads the list's next entry first. */
static int64_t evict_from(struct memory_cache *cache, struct entry_list *list,
        bool (*matches)(void *context, const struct device *device), void *context)
{
    struct cache_entry *entry = list->oldest, *newest = list->newest;
    int64_t count = 0;

    while (entry) {
        struct cache_entry *newer = entry == newest ? NULL : entry->newer;

        if (matches(context, entry->device)) {
            count += entry->identity != NULL;
            entry_forget(entry);
            entries_place(&cache->entries, entry, cache->settings);
        }
        entry = newer;
    }
    return count;
}

int64_t memory_cache_evict(struct memory_cache *cache,
        bool (*matches)(void *context, const struct device *device), void *context)
{
    int64_t count;

    pthread_mutex_lock(&cache->lock);
    count = evict_from(cache, &cache->entries.identities, matches, context);
    evict_from(cache, &cache->entries.failures, matches, context);
    pthread_mutex_unlock(&cache->lock);
    return count;
}

void memory_cache_inherit(struct memory_cache *cache, struct memory_cache *older)
{
    pthread_mutex_lock(&older->lock);
    for (struct cache_entry *entry = older->entries.identities.oldest; entry; entry = entry->newer)
        entries_inherit(&cache->entries, entry, cache->settings);
    pthread_mutex_unlock(&older->lock);
}
