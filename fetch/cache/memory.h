/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory cache: identities of devices, one call under way for each device however many ask.
 *
 * A call belongs to the cache: it runs on a thread of the cache's own, and goes on when the caller
 * who caused it gives up. A fresh identity is served from memory; near the end of its time to live
 * it is served and refreshed behind; past it, it is served for as long as max-stale and the
 * certificate allow while it is refreshed behind. What is gone or forbidden is evicted at once.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "../identity.h"
#include "../settings.h"

struct memory_cache;

/*
 * Fetches what key names, on a thread of the cache's. background: nobody waits for it, so it
 * should not take a place from those who do.
 */
typedef struct aliyun_iot_identity *memory_fetch(void *context, const char *key, bool background,
        int64_t deadline, struct aliyun_iot_error **error);

/* settings must outlive the cache. NULL when out of memory. */
struct memory_cache *memory_cache_new(
        const struct settings *settings, memory_fetch *fetch, void *context);

/* No call may be under way. */
void memory_cache_free(struct memory_cache *cache);
DEFINE_CLEANUP(struct memory_cache *, memory_cache_free);

/*
 * The identity of key, from memory or by a call; waits until the deadline, and half a second more
 * for the call itself to say why it took so long.
 * Returns a reference; or NULL with *error set.
 */
struct aliyun_iot_identity *memory_cache_get(struct memory_cache *cache, const char *key,
        int64_t deadline, struct aliyun_iot_error **error);

/* For pthread_atfork(); forked in the child, which holds the lock. */
void memory_cache_lock(struct memory_cache *cache);
void memory_cache_unlock(struct memory_cache *cache);
void memory_cache_forked(struct memory_cache *cache);

#endif
