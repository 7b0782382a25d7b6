/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread was given last. A program opens a URI two or three times to set up one connection:
 * once for the certificate, once for the key. Should the cache's copy be renewed in between, or
 * nothing be cached at all, both must still be of one fetch.
 */
#ifndef RECENT_H
#define RECENT_H

#include <stdint.h>

#include "base/device.h"
#include "base/identity.h"

/*
 * A reference to what this thread was given for the device a moment ago, by the resolver with this
 * number; or NULL.
 */
struct aliyun_iot_identity *recent_find(uint64_t resolver, const struct device *device);

/* Remembers for this thread; running out of memory forgets. */
void recent_remember(
        uint64_t resolver, const struct device *device, struct aliyun_iot_identity *identity);

#endif
