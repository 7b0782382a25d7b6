/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/memory.h"

#include <stdlib.h>

#include "base/deadline.h"
#include "base/trace.h"
#include "cache/memory_cache.h"

enum { BACKGROUND_MAX = 4 /* refreshes under way that nobody waits for */ };

/* In a child of fork(): the call of those who waited in the parent. It never ends. */
static struct call parents_call;

/* What a request or a call came to: an identity, or an error, or nothing yet. */
struct outcome {
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;
};

static void make_calls(void *context);

/* The caller's thread then makes calls as a thread of the library would. */
static bool use_callers_thread(struct memory_waiter *waiter)
{
    if (!waiter || !waiter->may_make_calls || process_is_exiting())
        return false;
    waiter->must_make_calls = true;
    return true;
}

/* A principal's first call gets a thread even if there are as many as CALLS_MAX. */
static bool may_have_thread(const struct memory_cache *cache, const struct call *call)
{
    return call_is_free(call) && cache->threads < (call_is_alone(call) ? 2 * CALLS_MAX : CALLS_MAX);
}

/*
 * Starts a call for the entry, which has none, on behalf of a principal. waiter: whose caller's
 * thread may make it if there can be no other; or NULL. Returns false if there is no memory, or no
 * thread to make the call.
 */
static bool start_call(struct memory_cache *cache, struct cache_entry *entry, bool background,
        const void *principal, struct memory_waiter *waiter)
{
    struct call *call = calloc(1, sizeof(*call));

    if (!call || !call_queue_add(&cache->queue, call, principal)) {
        free(call);
        return false;
    }
    if (may_have_thread(cache, call) &&
            (process_start_thread(make_calls, cache) || use_callers_thread(waiter)))
        cache->threads++;
    if (cache->threads == 0) {
        /* Then it is the only call. */
        call_queue_end(&cache->queue, call_queue_take(&cache->queue));
        free(call);
        return false;
    }
    call->entry = entry;
    call->background = background;
    entry->call = call;
    cache->calls++;
    cache->background_calls += background;
    return true;
}

static void add_waiter(struct call *call, struct memory_waiter *waiter)
{
    waiter->call = call;
    waiter->next = call->waiters;
    call->waiters = waiter;
}

/* Frees the call; its entry, which the caller must not use afterwards, may go with it. */
static void end_call(struct memory_cache *cache, struct call *call)
{
    struct cache_entry *entry = call->entry;

    cache->calls--;
    cache->background_calls -= call->background;
    if (entry->call == call)
        entry->call = NULL;
    entries_place(&cache->entries, entry, cache->settings);
    call_queue_end(&cache->queue, call);
    free(call);
}

/* A call has as much time as the most patient of those who wait for it when its turn comes. */
static void set_deadline(struct memory_cache *cache, struct call *call)
{
    if (call->waiters && call->background) {
        call->background = false;
        cache->background_calls--;
    }
    if (call->background)
        call->deadline = monotonic_milliseconds() + cache->settings->timeout_ms;
    for (struct memory_waiter *waiter = call->waiters; waiter; waiter = waiter->next)
        if (waiter->deadline > call->deadline)
            call->deadline = waiter->deadline;
}

/* The call whose turn it is; NULL: none. Calls whose waiters have all given up are not made. */
static struct call *next_call(struct memory_cache *cache)
{
    struct call *call;

    while ((call = call_queue_take(&cache->queue)) && !call->background && !call->waiters)
        end_call(cache, call);
    if (call)
        set_deadline(cache, call);
    return call;
}

/*
 * Whether the outcome is not final for this waiter: the call had less time than the waiter has, or
 * it was a refresh that left the quota to others.
 */
static bool deserves_another_call(
        const struct memory_waiter *waiter, const struct call *call, const struct outcome *outcome)
{
    enum aliyun_iot_reason reason;

    if (outcome->identity)
        return false;
    reason = aliyun_iot_error_reason(outcome->error);
    return (reason == ALIYUN_IOT_REASON_TIMEOUT || reason == ALIYUN_IOT_REASON_THROTTLED) &&
           (call->background || waiter->deadline > call->deadline) &&
           deadline_left_ms(waiter->deadline) > 0;
}

/* Starts a call for those of the ended call's waiters who deserve one. Returns the others. */
static struct memory_waiter *part_waiters(
        struct memory_cache *cache, struct call *call, const struct outcome *outcome)
{
    struct cache_entry *entry = call->entry;
    struct memory_waiter *waiter, *told = NULL;

    entry->call = NULL;
    while ((waiter = call->waiters)) {
        call->waiters = waiter->next;
        if (deserves_another_call(waiter, call, outcome) &&
                (entry->call || start_call(cache, entry, false, waiter->principal, NULL))) {
            add_waiter(entry->call, waiter);
        } else {
            waiter->call = NULL;
            waiter->next = told;
            told = waiter;
        }
    }
    return told;
}

static void tell(struct memory_waiter *waiters, const struct outcome *outcome)
{
    while (waiters) {
        struct memory_waiter *waiter = waiters;

        /* done may free the waiter's memory. */
        waiters = waiter->next;
        waiter->done(waiter->context,
                outcome->identity ? identity_reference(outcome->identity) : NULL,
                outcome->identity ? NULL : error_copy(outcome->error));
    }
}

static void make_call(struct memory_cache *cache, struct call *call)
{
    struct outcome outcome = {NULL, NULL};
    struct memory_waiter *told;

    if (deadline_left_ms(call->deadline) > 0)
        outcome.identity = cache->source->fetch(cache->source, call->entry->device,
                call->background, call->deadline, &outcome.error);
    else
        error_set(&outcome.error, ALIYUN_IOT_REASON_TIMEOUT,
                "the call's turn did not come before the end of timeout, because at most %d calls "
                "are made at once, and %d for one user of an agent; try again, or raise timeout in "
                "aliyun-iot.conf",
                CALLS_MAX, CALLS_OF_PRINCIPAL_MAX);
    pthread_mutex_lock(&cache->lock);
    cache->calls_ended++;
    if (!outcome.identity && aliyun_iot_error_reason(outcome.error) == ALIYUN_IOT_REASON_THROTTLED)
        cache->calls_throttled++;
    told = part_waiters(cache, call, &outcome);
    entry_update(call->entry, cache->settings, outcome.identity, outcome.error);
    end_call(cache, call);
    pthread_mutex_unlock(&cache->lock);
    tell(told, &outcome);
    aliyun_iot_identity_free(outcome.identity);
    aliyun_iot_error_free(outcome.error);
}

/* What a thread for calls does: one after the other, until none waits for its turn. */
static void make_calls(void *context)
{
    struct memory_cache *cache = context;
    void (*ended)(void *context);
    struct call *call;

    pthread_mutex_lock(&cache->lock);
    while ((call = next_call(cache))) {
        pthread_mutex_unlock(&cache->lock);
        make_call(cache, call);
        pthread_mutex_lock(&cache->lock);
    }
    cache->threads--;
    ended = cache->threads == 0 ? cache->ended : NULL;
    context = cache->ended_context;
    pthread_mutex_unlock(&cache->lock);
    if (ended)
        ended(context);
}

void memory_cache_make_calls(struct memory_cache *cache)
{
    process_run_here(make_calls, cache);
}

/* What can be served without waiting: a reference, or NULL. Starts a refresh if one is due. */
static struct aliyun_iot_identity *serve(
        struct memory_cache *cache, struct cache_entry *entry, struct memory_waiter *waiter)
{
    struct aliyun_iot_identity *identity = entry_identity(entry, cache->settings);

    if (identity && entry_call_is_due(entry) && !entry->call &&
            cache->background_calls < BACKGROUND_MAX)
        start_call(cache, entry, true, NULL, waiter);
    return identity;
}

/* What can be said at once. Nothing: the device has to be asked for. */
static struct outcome look_up(
        struct memory_cache *cache, const struct device *device, struct memory_waiter *waiter)
{
    struct cache_entry *entry = entries_find(&cache->entries, device);
    struct outcome outcome = {NULL, NULL};

    if (!entry)
        return outcome;
    outcome.identity = serve(cache, entry, waiter);
    if (!outcome.identity)
        outcome.error = entry_remembered_failure(entry);
    entries_place(&cache->entries, entry, cache->settings);
    return outcome;
}

/* Makes the waiter wait for the device's call, and starts one if there is none. */
static void join_call(struct memory_cache *cache, const struct device *device,
        struct memory_waiter *waiter, struct aliyun_iot_error **error)
{
    struct cache_entry *entry = entries_find(&cache->entries, device);

    if (!entry)
        entry = entries_add(&cache->entries, device);
    if (!entry) {
        error_set_out_of_memory(error);
        return;
    }
    if (!process_is_exiting() &&
            (entry->call || start_call(cache, entry, false, waiter->principal, waiter)))
        add_waiter(entry->call, waiter);
    else
        error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                "no thread could be started for the call: the process is exiting, or out of "
                "memory, or may have no more threads; raise RLIMIT_NPROC, or TasksMax of its "
                "systemd unit");
    entries_place(&cache->entries, entry, cache->settings);
}

/*
 * Once the waiter has joined a call, it can be told of the call's end at any moment, and device,
 * waiter and cache can be gone. So nothing comes after that, and the trace, which writes to a file
 * and so is no work for while the lock is held, comes before.
 */
void memory_cache_request(
        struct memory_cache *cache, const struct device *device, struct memory_waiter *waiter)
{
    struct outcome outcome;

    waiter->call = NULL;
    waiter->must_make_calls = false;
    pthread_mutex_lock(&cache->lock);
    outcome = look_up(cache, device, waiter);
    pthread_mutex_unlock(&cache->lock);
    trace(cache->settings, TRACE_DEBUG, "cache product=%s device=%s result=%s", device->product_key,
            device->device_name,
            outcome.identity ? "hit"
            : outcome.error  ? "failure"
                             : "miss");
    if (!outcome.identity && !outcome.error) {
        pthread_mutex_lock(&cache->lock);
        /* A call may have ended meanwhile. */
        outcome = look_up(cache, device, waiter);
        if (!outcome.identity && !outcome.error)
            join_call(cache, device, waiter, &outcome.error);
        pthread_mutex_unlock(&cache->lock);
    }
    if (outcome.identity || outcome.error)
        waiter->done(waiter->context, outcome.identity, outcome.error);
}

bool memory_cache_cancel(struct memory_cache *cache, struct memory_waiter *waiter)
{
    struct call *call;

    pthread_mutex_lock(&cache->lock);
    call = waiter->call;
    if (call && call != &parents_call) {
        struct memory_waiter **place = &call->waiters;

        while (*place != waiter)
            place = &(*place)->next;
        *place = waiter->next;
    }
    waiter->call = NULL;
    pthread_mutex_unlock(&cache->lock);
    return call != NULL;
}

/*
 * The threads that make the parent's calls are not here: the next caller for a device makes a call
 * of its own. Waiters of the parent can still be withdrawn; their memory may belong to threads that
 * are not here either, so no list keeps them.
 */
static void forget_call(struct cache_entry *entry)
{
    struct memory_waiter *waiter = entry->call ? entry->call->waiters : NULL;

    for (; waiter; waiter = waiter->next)
        waiter->call = &parents_call;
    free(entry->call);
    entry->call = NULL;
}

static void forget_calls(void *context)
{
    struct memory_cache *cache = context;
    struct entries *entries = &cache->entries;
    struct entry_list *lists[] = {&entries->identities, &entries->failures, &entries->calling};

    for (size_t index = 0; index < sizeof(lists) / sizeof(lists[0]); index++)
        for (struct cache_entry *entry = lists[index]->newest; entry; entry = entry->older)
            forget_call(entry);
    entries_clear(entries, &entries->calling);
    call_queue_clear(&cache->queue);
    cache->threads = cache->calls = cache->background_calls = 0;
}

struct memory_cache *memory_cache_new(const struct settings *settings, struct source *source)
{
    struct memory_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    cache->settings = settings;
    cache->source = source;
    pthread_mutex_init(&cache->lock, NULL);
    cache->fork = (struct fork_participant){
            .lock = &cache->lock, .reset_in_child = forget_calls, .context = cache};
    process_register(&cache->fork);
    return cache;
}

void memory_cache_end(struct memory_cache *cache, void (*ended)(void *context), void *context)
{
    bool at_once;

    pthread_mutex_lock(&cache->lock);
    at_once = cache->threads == 0;
    cache->ended = ended;
    cache->ended_context = context;
    pthread_mutex_unlock(&cache->lock);
    if (at_once)
        ended(context);
}

void memory_cache_free(struct memory_cache *cache)
{
    if (!cache)
        return;
    process_unregister(&cache->fork);
    entries_clear(&cache->entries, &cache->entries.identities);
    entries_clear(&cache->entries, &cache->entries.failures);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}
