/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the memory cache: a source that answers when the test says so, and whose answers the
 * test chooses. Time is the clock double's.
 */
#ifndef SOURCE_DOUBLE_H
#define SOURCE_DOUBLE_H

#include "unit.h"

#include <limits.h>
#include <pthread.h>

#include <openssl/x509.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/source.h"
#include "cache/memory.h"
#include "clock_double.h"

enum { HOUR_MS = 60 * 60 * 1000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls, answered, most_at_once;
    int gate;                                  /* calls up to this number are answered */
    enum aliyun_iot_reason failure;            /* 0: success */
    enum aliyun_iot_reason background_failure; /* of refreshes; 0: as the others */
    bool background;                           /* of the last call */
    int64_t deadline;
} cloud = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static EVP_PKEY *device_key;
static STACK_OF(X509) *certificates;

/* With the lock held, which is released meanwhile. */
static inline int await_turn(bool background, int64_t deadline)
{
    int call = ++cloud.calls;

    cloud.background = background;
    cloud.deadline = deadline;
    if (cloud.calls - cloud.answered > cloud.most_at_once)
        cloud.most_at_once = cloud.calls - cloud.answered;
    pthread_cond_broadcast(&cloud.changed);
    while (cloud.gate < call)
        WAIT_OUTSIDE(pthread_cond_wait(&cloud.changed, &cloud.lock));
    cloud.answered++;
    return call;
}

/* The identity's serial number is the device's name. */
static inline struct aliyun_iot_identity *answer(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity = NULL;
    enum aliyun_iot_reason failure;
    int call;

    (void)source;
    pthread_mutex_lock(&cloud.lock);
    call = await_turn(background, deadline);
    failure = background && cloud.background_failure ? cloud.background_failure : cloud.failure;
    if (failure)
        error_set(error, failure, "call %d for %s", call, device->device_name);
    else
        identity = identity_new(certificates, device_key, device->device_name, NULL, error);
    pthread_mutex_unlock(&cloud.lock);
    return identity;
}

static struct source source = {.fetch = answer};

static inline struct device device_of(const char *name)
{
    return (struct device){"cn-shanghai", "https://h", "product", name, NULL};
}

static inline void open_gate(int calls, enum aliyun_iot_reason failure)
{
    pthread_mutex_lock(&cloud.lock);
    cloud.gate = calls;
    cloud.failure = failure;
    pthread_cond_broadcast(&cloud.changed);
    pthread_mutex_unlock(&cloud.lock);
}

static inline void await_calls(int calls)
{
    pthread_mutex_lock(&cloud.lock);
    while (cloud.calls < calls)
        pthread_cond_wait(&cloud.changed, &cloud.lock);
    pthread_mutex_unlock(&cloud.lock);
}

static inline int calls(void)
{
    int count;

    pthread_mutex_lock(&cloud.lock);
    count = cloud.calls;
    pthread_mutex_unlock(&cloud.lock);
    return count;
}

static inline int reset_cloud(void **state)
{
    (void)state;
    cloud.calls = cloud.answered = cloud.most_at_once = 0;
    cloud.background_failure = 0;
    open_gate(INT_MAX, 0);
    return 0;
}

static inline struct settings settings_of(int64_t ttl, int64_t max_stale)
{
    return (struct settings){.timeout_ms = HOUR_MS,
            .cache_ttl_ms = ttl,
            .cache_max_stale_ms = max_stale,
            .cache_entries = 1000};
}

/* Whether there is an identity. The caller has an hour, which only the test lets pass. */
static inline bool get(
        struct memory_cache *cache, const char *name, struct aliyun_iot_error **error)
{
    const struct device device = device_of(name);
    struct aliyun_iot_identity *identity =
            memory_cache_get(cache, &device, monotonic_milliseconds() + HOUR_MS, error);
    bool got = identity != NULL;

    if (got)
        assert_string_equal(aliyun_iot_identity_serial_number(identity), name);
    aliyun_iot_identity_free(identity);
    return got;
}

static inline int make_pair(void **state)
{
    (void)state;
    if (clock_start() != 0)
        return -1;
    device_key = pair_key("EC");
    certificates = sk_X509_new_null();
    return sk_X509_push(certificates, pair_certificate(device_key, -60, 3600)) ? 0 : -1;
}

static inline int free_pair(void **state)
{
    (void)state;
    EVP_PKEY_free(device_key);
    certificates_free(certificates);
    return 0;
}

#endif
