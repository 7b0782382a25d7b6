/* SPDX-License-Identifier: Apache-2.0 */
#include "recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"

enum {
    GAP_MAX = 500,  /* milliseconds between two opens that set up one connection */
    SPAN_MAX = 2000 /* and from the first to the last: a thread that never rests sees the new one */
};

struct recent {
    const struct resolver *resolver;
    char *key;
    struct aliyun_iot_identity *identity;
    int64_t first, last; /* monotonic milliseconds */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t slot;
static int slot_failed;

static void recent_free(void *context)
{
    struct recent *recent = context;

    aliyun_iot_identity_free(recent->identity);
    free(recent->key);
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

struct aliyun_iot_identity *recent_find(const struct resolver *resolver, const char *key)
{
    struct recent *recent = this_thread();
    int64_t now = monotonic_milliseconds();

    if (!recent || recent->resolver != resolver || strcmp(recent->key, key) != 0)
        return NULL;
    if (now - recent->last > GAP_MAX || now - recent->first > SPAN_MAX) {
        forget(recent);
        return NULL;
    }
    recent->last = now;
    return identity_reference(recent->identity);
}

void recent_remember(
        const struct resolver *resolver, const char *key, struct aliyun_iot_identity *identity)
{
    struct recent *recent = this_thread();

    if (recent && recent->identity == identity && recent->resolver == resolver &&
            strcmp(recent->key, key) == 0)
        return;
    if (recent)
        forget(recent);
    if (slot_failed)
        return;
    recent = calloc(1, sizeof(*recent));
    if (!recent)
        return;
    recent->key = strdup(key);
    if (!recent->key || pthread_setspecific(slot, recent) != 0) {
        free(recent->key);
        free(recent);
        return;
    }
    recent->resolver = resolver;
    recent->identity = identity_reference(identity);
    recent->first = recent->last = monotonic_milliseconds();
}
