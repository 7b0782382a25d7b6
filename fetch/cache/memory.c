/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../background.h"
#include "../deadline.h"
#include "../trace.h"

enum {
    /* How long a failure is remembered, in milliseconds; others are not. */
    NOT_FOUND_KEPT = 60 * 1000,
    REFUSED_KEPT = 10 * 1000,
    NOT_READY_KEPT = 3 * 1000,
    REFRESH_PAUSE = 30 * 1000, /* between two refreshes that fail */
    BACKGROUND_MAX = 4,        /* refreshes behind at once */
    REFRESH_AHEAD = 5,         /* the last fifth of the time to live */
    LANDING = 500              /* milliseconds in which a call that timed out can say so itself */
};

/* One call under way, held by its thread and by each waiter. */
struct flight {
    int references;
    bool done;
    bool background;
    pthread_cond_t landed;
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;
};

struct cache_entry {
    char *key;
    struct cache_entry *newer, *older; /* by last use */
    struct flight *flight;             /* NULL: no call under way */
    struct aliyun_iot_identity *identity;
    int64_t fetched; /* monotonic milliseconds, of identity */
    int64_t not_refreshed_before;
    struct aliyun_iot_error *failure; /* remembered until failure_end */
    int64_t failure_end;
};

struct memory_cache {
    const struct settings *settings;
    memory_fetch *fetch;
    void *context;
    pthread_mutex_t lock;
    void *tree; /* of entries by key, for tsearch(3) */
    struct cache_entry *newest, *oldest;
    int64_t count;
    int background_flights;
};

/* What a flight's thread is given. */
struct departure {
    struct memory_cache *cache;
    struct cache_entry *entry;
    struct flight *flight;
    int64_t deadline;
};

static int compare_keys(const void *left, const void *right)
{
    return strcmp(
            ((const struct cache_entry *)left)->key, ((const struct cache_entry *)right)->key);
}

static void flight_release(struct flight *flight)
{
    if (--flight->references > 0)
        return;
    aliyun_iot_identity_free(flight->identity);
    aliyun_iot_error_free(flight->error);
    pthread_cond_destroy(&flight->landed);
    free(flight);
}

static void unlink_entry(struct memory_cache *cache, struct cache_entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
    cache->count--;
}

static void link_newest(struct memory_cache *cache, struct cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
    cache->count++;
}

static void forget_failure(struct cache_entry *entry)
{
    aliyun_iot_error_free(entry->failure);
    entry->failure = NULL;
}

static void forget_identity(struct cache_entry *entry)
{
    aliyun_iot_identity_free(entry->identity);
    entry->identity = NULL;
}

static void entry_free(struct cache_entry *entry)
{
    forget_identity(entry);
    forget_failure(entry);
    free(entry->key);
    free(entry);
}

static void remove_entry(struct memory_cache *cache, struct cache_entry *entry)
{
    unlink_entry(cache, entry);
    tdelete(entry, &cache->tree, compare_keys);
    entry_free(entry);
}

/* An entry with a call under way is in use, and stays. */
static void make_room(struct memory_cache *cache)
{
    struct cache_entry *entry = cache->oldest;

    while (entry && cache->count >= cache->settings->cache_entries) {
        struct cache_entry *newer = entry->newer;

        if (!entry->flight)
            remove_entry(cache, entry);
        entry = newer;
    }
}

static struct cache_entry *add_entry(struct memory_cache *cache, const char *key)
{
    struct cache_entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->key = strdup(key);
    if (!entry->key || !tsearch(entry, &cache->tree, compare_keys)) {
        entry_free(entry);
        return NULL;
    }
    link_newest(cache, entry);
    return entry;
}

static struct cache_entry *find_entry(struct memory_cache *cache, const char *key)
{
    /* The tree's own type has no const; the key is only compared. */
    union {
        const char *constant;
        char *plain;
    } sought = {.constant = key};
    struct cache_entry **found =
            tfind(&(struct cache_entry){.key = sought.plain}, &cache->tree, compare_keys);

    if (!found) {
        make_room(cache);
        return add_entry(cache, key);
    }
    unlink_entry(cache, *found);
    link_newest(cache, *found);
    return *found;
}

static int64_t failure_kept(enum aliyun_iot_reason reason)
{
    switch (reason) {
    case ALIYUN_IOT_REASON_NOT_FOUND:
        return NOT_FOUND_KEPT;
    case ALIYUN_IOT_REASON_REFUSED:
        return REFUSED_KEPT;
    case ALIYUN_IOT_REASON_NOT_READY:
        return NOT_READY_KEPT;
    default:
        return 0;
    }
}

/* Takes a flight's result into its entry. Never good for bad: a passing failure changes nothing. */
static void update_entry(
        const struct settings *settings, struct cache_entry *entry, const struct flight *flight)
{
    int64_t now = monotonic_milliseconds();
    enum aliyun_iot_reason reason;

    if (flight->identity) {
        forget_failure(entry);
        forget_identity(entry);
        if (settings->cache_ttl > 0)
            entry->identity = identity_reference(flight->identity);
        entry->fetched = now;
        entry->not_refreshed_before = 0;
        return;
    }
    reason = aliyun_iot_error_reason(flight->error);
    if (reason == ALIYUN_IOT_REASON_NOT_FOUND || reason == ALIYUN_IOT_REASON_REFUSED)
        forget_identity(entry);
    entry->not_refreshed_before = now + REFRESH_PAUSE;
    forget_failure(entry);
    if (!entry->identity && failure_kept(reason) > 0) {
        entry->failure = error_copy(flight->error);
        entry->failure_end = now + failure_kept(reason);
    }
}

static void land(const struct departure *departure, struct aliyun_iot_identity *identity,
        struct aliyun_iot_error *error)
{
    struct memory_cache *cache = departure->cache;
    struct flight *flight = departure->flight;

    pthread_mutex_lock(&cache->lock);
    flight->identity = identity;
    flight->error = error;
    flight->done = true;
    if (flight->background)
        cache->background_flights--;
    update_entry(cache->settings, departure->entry, flight);
    departure->entry->flight = NULL;
    pthread_cond_broadcast(&flight->landed);
    flight_release(flight);
    pthread_mutex_unlock(&cache->lock);
}

static void fly(void *context)
{
    struct departure departure = *(struct departure *)context;
    struct memory_cache *cache = departure.cache;
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity;

    free(context);
    /* The key is the entry's, which stays while it has a flight. */
    identity = cache->fetch(cache->context, departure.entry->key, departure.flight->background,
            departure.deadline, &error);
    land(&departure, identity, error);
}

static struct flight *flight_new(bool background)
{
    struct flight *flight = calloc(1, sizeof(*flight));

    if (!flight)
        return NULL;
    flight->references = 1;
    flight->background = background;
    pthread_cond_init(&flight->landed, NULL);
    return flight;
}

/* Starts a call for the entry, which has none. Returns whether it did. */
static bool start_flight(struct memory_cache *cache, struct cache_entry *entry, bool background)
{
    struct departure *departure = malloc(sizeof(*departure));
    struct flight *flight = flight_new(background);

    if (departure && flight) {
        *departure = (struct departure){
                cache, entry, flight, monotonic_milliseconds() + cache->settings->timeout};
        entry->flight = flight;
        if (background_run(fly, departure)) {
            cache->background_flights += background;
            return true;
        }
        entry->flight = NULL;
    }
    if (flight)
        flight_release(flight);
    free(departure);
    return false;
}

static void refresh_behind(struct memory_cache *cache, struct cache_entry *entry, int64_t now)
{
    if (entry->flight || now < entry->not_refreshed_before ||
            cache->background_flights >= BACKGROUND_MAX)
        return;
    if (start_flight(cache, entry, true))
        trace(cache->settings, TRACE_INFO, "refresh key=%s", entry->key);
}

/* What can be served without waiting: a reference, or NULL. */
static struct aliyun_iot_identity *serve_from_memory(
        struct memory_cache *cache, struct cache_entry *entry)
{
    const struct settings *settings = cache->settings;
    int64_t now = monotonic_milliseconds(), age = now - entry->fetched;

    if (!entry->identity)
        return NULL;
    if (identity_not_after(entry->identity) <= (int64_t)time(NULL) ||
            age >= settings->cache_ttl + settings->cache_max_stale) {
        forget_identity(entry);
        return NULL;
    }
    if (age >= settings->cache_ttl - settings->cache_ttl / REFRESH_AHEAD)
        refresh_behind(cache, entry, now);
    trace(settings, TRACE_DEBUG, "cache hit key=%s age_ms=%lld stale=%d", entry->key,
            (long long)age, age >= settings->cache_ttl);
    return identity_reference(entry->identity);
}

static struct timespec absolute(int64_t deadline)
{
    return (struct timespec){deadline / 1000, deadline % 1000 * 1000000};
}

/* Waits for the entry's flight. The lock is released meanwhile, and held again on return. */
static struct aliyun_iot_identity *await_landing(struct memory_cache *cache, struct flight *flight,
        int64_t deadline, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity = NULL;
    struct timespec end = absolute(deadline + LANDING);

    flight->references++;
    while (!flight->done && pthread_cond_clockwait(&flight->landed, &cache->lock, CLOCK_MONOTONIC,
                                    &end) != ETIMEDOUT) {
    }
    if (!flight->done)
        error_set(error, ALIYUN_IOT_REASON_TIMEOUT,
                "the call was still under way at the end of timeout; try again, or raise timeout "
                "in aliyun-iot.conf");
    else if (flight->identity)
        identity = identity_reference(flight->identity);
    else if (error)
        *error = error_copy(flight->error);
    flight_release(flight);
    return identity;
}

static struct aliyun_iot_identity *get(struct memory_cache *cache, const char *key,
        int64_t deadline, struct aliyun_iot_error **error)
{
    struct cache_entry *entry = find_entry(cache, key);
    struct aliyun_iot_identity *identity;

    if (!entry) {
        error_set_out_of_memory(error);
        return NULL;
    }
    identity = serve_from_memory(cache, entry);
    if (identity)
        return identity;
    if (entry->failure && monotonic_milliseconds() < entry->failure_end) {
        trace(cache->settings, TRACE_DEBUG, "cache hit key=%s failure=1", key);
        if (error)
            *error = error_copy(entry->failure);
        return NULL;
    }
    trace(cache->settings, TRACE_DEBUG, "cache miss key=%s joined=%d", key, entry->flight != NULL);
    if (!entry->flight && !start_flight(cache, entry, false)) {
        error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                "no thread could be started for the call: the process is exiting, or out of "
                "threads or memory");
        return NULL;
    }
    return await_landing(cache, entry->flight, deadline, error);
}

struct aliyun_iot_identity *memory_cache_get(struct memory_cache *cache, const char *key,
        int64_t deadline, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity;

    pthread_mutex_lock(&cache->lock);
    identity = get(cache, key, deadline, error);
    pthread_mutex_unlock(&cache->lock);
    return identity;
}

struct memory_cache *memory_cache_new(
        const struct settings *settings, memory_fetch *fetch, void *context)
{
    struct memory_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    cache->settings = settings;
    cache->fetch = fetch;
    cache->context = context;
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void memory_cache_free(struct memory_cache *cache)
{
    if (!cache)
        return;
    while (cache->newest)
        remove_entry(cache, cache->newest);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

void memory_cache_lock(struct memory_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
}

void memory_cache_unlock(struct memory_cache *cache)
{
    pthread_mutex_unlock(&cache->lock);
}

/*
 * The parent's calls do not exist here, and nobody waits for them. Their conditions, which threads
 * of the parent wait at, are not taken down but forgotten.
 */
void memory_cache_forked(struct memory_cache *cache)
{
    for (struct cache_entry *entry = cache->newest; entry; entry = entry->older) {
        free(entry->flight);
        entry->flight = NULL;
    }
    cache->background_flights = 0;
}
