/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver: from a URI to an identity, by the settings of one file. It joins the memory cache
 * and the source that the settings name; or it asks an agent, which has the memory.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "base/device.h"
#include "base/settings.h"
#include "base/uri.h"
#include "cache/memory.h"

/* Reference counted: it ends when its last user and its last call under way have ended. */
struct resolver;

/*
 * Makes a resolver by settings, which become the resolver's, or are freed if there is none. Returns
 * the first reference, or NULL with *error set.
 */
struct resolver *resolver_new(struct settings *settings, struct aliyun_iot_error **error);

/* One more reference. Returns resolver. */
struct resolver *resolver_reference(struct resolver *resolver);

/* Gives back a reference. NULL is ignored. */
void resolver_free(struct resolver *resolver);
DEFINE_CLEANUP(struct resolver *, resolver_free);

/* Its settings, which live as long as the resolver. */
const struct settings *resolver_settings(const struct resolver *resolver);

/*
 * The device that a URI names under these settings, to be freed with device_free(); or NULL with
 * *error set.
 */
struct device *resolver_device(
        const struct resolver *resolver, const struct uri *uri, struct aliyun_iot_error **error);

/*
 * Asks for a device's identity and does not block: see memory_cache_request(). For a resolver
 * without an agent. The caller keeps a reference to the resolver until the request has ended or was
 * cancelled.
 */
void resolver_request(
        struct resolver *resolver, const struct device *device, struct memory_waiter *waiter);

/* Withdraws a request: see memory_cache_cancel(). */
bool resolver_cancel(struct resolver *resolver, struct memory_waiter *waiter);

/* What is in memory, of a resolver without an agent: see memory.h. */
struct memory_counts resolver_counts(const struct resolver *resolver);
void resolver_visit(const struct resolver *resolver,
        bool (*visit)(void *context, const struct memory_item *item), void *context);
int64_t resolver_evict(struct resolver *resolver,
        bool (*matches)(void *context, const struct device *device), void *context);
void resolver_inherit(struct resolver *resolver, struct resolver *older);

/*
 * The identity that a URI names, after at most the settings' timeout. Returns a reference; or NULL
 * with *error set.
 */
struct aliyun_iot_identity *resolver_resolve(
        struct resolver *resolver, const struct uri *uri, struct aliyun_iot_error **error);

#endif
