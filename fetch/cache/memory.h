/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory cache: identities of devices, and one call to the source for each device, however many
 * ask for it.
 *
 * A call belongs to the cache: it runs on a thread of the library, and goes on if the callers who
 * wait for it give up. A fresh identity is served from memory; near the end of its time to live it
 * is served and refreshed behind; after that, it is served for as long as max-stale and the
 * certificate allow while it is refreshed behind. What is gone or forbidden is evicted at once.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "base/settings.h"
#include "base/source.h"

struct memory_cache;

/* settings and source must outlive the cache. NULL when out of memory. */
struct memory_cache *memory_cache_new(const struct settings *settings, struct source *source);

/*
 * Calls ended(context) once no call is under way: at once, or later on a thread of the library.
 * There must be no further request. ended may free the cache and its source.
 */
void memory_cache_end(struct memory_cache *cache, void (*ended)(void *context), void *context);

/* No call may be under way. NULL is ignored. */
void memory_cache_free(struct memory_cache *cache);
DEFINE_CLEANUP(struct memory_cache *, memory_cache_free);

/*
 * One request that waits for a call. Its memory is the caller's, and must stay until done was
 * called or memory_cache_cancel() returned true.
 */
struct memory_waiter {
    /*
     * Receives a reference to the identity; or NULL and an error, which becomes the receiver's.
     * Called once, on any thread, with no lock of the cache's held. It must not block.
     */
    void (*done)(
            void *context, struct aliyun_iot_identity *identity, struct aliyun_iot_error *error);
    void *context;
    int64_t deadline; /* see deadline.h: how long the source may try on behalf of this request */
    /*
     * Who asks: compared alone, so it may point to what is gone. NULL: this process itself. Calls
     * under way are shared out among principals.
     */
    const void *principal;

    /*
     * Whether the caller can call memory_cache_make_calls() after memory_cache_request() if the
     * process can have no more threads; and whether it must.
     */
    bool may_make_calls, must_make_calls;

    /* The cache's own. */
    struct call *call;
    struct memory_waiter *next;
};

/*
 * Asks for a device and does not block. The caller has set the waiter's done, context and deadline.
 * What is in memory is given before this returns; otherwise done is called when the call for the
 * device ends, which can be before this returns too. At most 64 calls are under way at once, and 16
 * for one principal; others wait for their turn. A principal that has no call gets one all the
 * same, up to a total of 128. If a call fails because its own deadline came earlier than this
 * waiter's, another one is made. After the deadline, the caller must cancel the request. In a child
 * of fork(), done is not called for what was asked before, but it can be cancelled.
 */
void memory_cache_request(
        struct memory_cache *cache, const struct device *device, struct memory_waiter *waiter);

/*
 * Makes calls on this thread, until none waits for its turn: of a caller whose waiter has
 * must_make_calls set. The calls block.
 */
void memory_cache_make_calls(struct memory_cache *cache);

/*
 * Withdraws a request. Returns true if done was not called and will not be; false if it was called
 * or is about to be, or if the request was withdrawn before.
 */
bool memory_cache_cancel(struct memory_cache *cache, struct memory_waiter *waiter);

/* What the cache holds and does. */
struct memory_counts {
    int64_t identities, failures; /* that are remembered */
    int calls;                    /* waiting for their turn or under way */
    int64_t calls_ended, calls_throttled;
};

struct memory_counts memory_cache_counts(struct memory_cache *cache);

/* An identity in the cache. Valid during the visit alone. */
struct memory_item {
    const struct device *device;
    const struct aliyun_iot_identity *identity;
    int64_t fetched; /* in seconds since 1970 */
};

/*
 * Shows the identities that are in the cache, in an order that does not change while none comes or
 * goes, until visit returns false. visit must not block, or use the cache.
 */
void memory_cache_visit(struct memory_cache *cache,
        bool (*visit)(void *context, const struct memory_item *item), void *context);

/* Forgets what is known of the devices that match. Returns how many identities were forgotten. */
int64_t memory_cache_evict(struct memory_cache *cache,
        bool (*matches)(void *context, const struct device *device), void *context);

/* Gives the identities that older has to a new cache, which nobody has asked for anything yet. */
void memory_cache_inherit(struct memory_cache *cache, struct memory_cache *older);

/*
 * As memory_cache_request(), but waits until the deadline, and half a second more for the call
 * itself to say why it took so long. Returns a reference; or NULL with *error set.
 */
struct aliyun_iot_identity *memory_cache_get(struct memory_cache *cache,
        const struct device *device, int64_t deadline, struct aliyun_iot_error **error);

#endif
