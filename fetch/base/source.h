/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where identities come from. The resolver makes a source as its settings say and asks it for what
 * its memory does not hold.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/device.h"
#include "base/identity.h"

struct source {
    /*
     * Fetches a device's identity, by the deadline (see deadline.h). background: nobody waits for
     * it, so it must not take a place in the quota's queue from those who wait. Called on threads
     * of the library, by several at once. Returns a reference; or NULL with *error set.
     */
    struct aliyun_iot_identity *(*fetch)(struct source *source, const struct device *device,
            bool background, int64_t deadline, struct aliyun_iot_error **error);
    /* Frees the source. No fetch is under way. */
    void (*free)(struct source *source);
};

static inline void source_free(struct source *source)
{
    if (source)
        source->free(source);
}
DEFINE_CLEANUP(struct source *, source_free);

#endif
