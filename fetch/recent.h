/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread was given last. A program opens a URI two or three times to set up one connection:
 * once for the certificate, once for the key. Should the cache's copy be renewed in between, or
 * nothing be cached at all, both must still be of one fetch.
 */
#ifndef RECENT_H
#define RECENT_H

#include "identity.h"

struct resolver;

/* A reference to what this thread was given for the key a moment ago; or NULL. */
struct aliyun_iot_identity *recent_find(const struct resolver *resolver, const char *key);

/* Remembers for this thread; running out of memory forgets. */
void recent_remember(
        const struct resolver *resolver, const char *key, struct aliyun_iot_identity *identity);

#endif
