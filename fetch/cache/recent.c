/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/recent.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/deadline.h"

enum {
    GAP_MAX_MS = 500, /* between two opens that set up one connection */
    SPAN_MAX_MS =
            2000 /* and from the first to the last: a thread that never rests sees the new one */
};

struct recent {
    uint64_t resolver; /* its number */
    struct device *device;
    struct aliyun_iot_identity *identity;
    int64_t first_ms, last_ms; /* on the monotonic clock */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t slot;
static int slot_failed;

static void recent_free(void *context)
{
    struct recent *recent = context;

    aliyun_iot_identity_free(recent->identity);
    device_free(recent->device);
    free(recent);
}

static void make_slot(void)
{
    slot_failed = pthread_key_create(&slot, recent_free);
}

static struct recent *this_thread(void)
{
    pthread_once(&once, make_slot);
    return slot_failed ? NULL : pthread_getspecific(slot);
}

static void forget(struct recent *recent)
{
    if (pthread_setspecific(slot, NULL) == 0)
        recent_free(recent);
}

struct aliyun_iot_identity *recent_find(uint64_t resolver, const struct device *device)
{
    struct recent *recent = this_thread();
    int64_t now_ms = monotonic_milliseconds();

    if (!recent || recent->resolver != resolver || device_compare(recent->device, device) != 0)
        return NULL;
    if (now_ms - recent->last_ms > GAP_MAX_MS || now_ms - recent->first_ms > SPAN_MAX_MS) {
        forget(recent);
        return NULL;
    }
    recent->last_ms = now_ms;
    return identity_reference(recent->identity);
}

void recent_remember(
        uint64_t resolver, const struct device *device, struct aliyun_iot_identity *identity)
{
    struct recent *recent = this_thread();

    if (recent && recent->identity == identity && recent->resolver == resolver &&
            device_compare(recent->device, device) == 0)
        return;
    if (recent)
        forget(recent);
    if (slot_failed)
        return;
    recent = calloc(1, sizeof(*recent));
    if (!recent)
        return;
    recent->device = device_copy(device);
    if (!recent->device || pthread_setspecific(slot, recent) != 0) {
        device_free(recent->device);
        free(recent);
        return;
    }
    recent->resolver = resolver;
    recent->identity = identity_reference(identity);
    recent->first_ms = recent->last_ms = monotonic_milliseconds();
}
