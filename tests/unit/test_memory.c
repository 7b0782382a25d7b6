/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <limits.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/x509.h>

#include "background.h"
#include "cache/memory.h"
#include "deadline.h"

enum { HOUR = 60 * 60 * 1000, PATIENCE = 10 * 1000 };

/* A cloud that answers when it is told to. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls, answered;
    int gate;                       /* calls up to this number are answered */
    enum aliyun_iot_reason failure; /* 0: success */
} cloud = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static EVP_PKEY *key;
static STACK_OF(X509) *certificates;

static struct aliyun_iot_identity *answer(void *context, const char *name, bool background,
        int64_t deadline, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity = NULL;
    int call;

    (void)context;
    (void)background;
    (void)deadline;
    background_leave_gate();
    pthread_mutex_lock(&cloud.lock);
    call = ++cloud.calls;
    pthread_cond_broadcast(&cloud.changed);
    while (cloud.gate < call)
        pthread_cond_wait(&cloud.changed, &cloud.lock);
    if (cloud.failure)
        error_set(error, cloud.failure, "call %d for %s", call, name);
    else
        identity = identity_new(certificates, key, name, NULL, error);
    cloud.answered++;
    pthread_cond_broadcast(&cloud.changed);
    pthread_mutex_unlock(&cloud.lock);
    background_enter_gate();
    return identity;
}

static void open_gate(int calls, enum aliyun_iot_reason failure)
{
    pthread_mutex_lock(&cloud.lock);
    cloud.gate = calls;
    cloud.failure = failure;
    pthread_cond_broadcast(&cloud.changed);
    pthread_mutex_unlock(&cloud.lock);
}

static void await_calls(int calls)
{
    pthread_mutex_lock(&cloud.lock);
    while (cloud.calls < calls)
        pthread_cond_wait(&cloud.changed, &cloud.lock);
    pthread_mutex_unlock(&cloud.lock);
}

/* The thread of a call has ended, and with it the cache has taken over the result. */
static void await_quiet(void)
{
    while (background_count() > 0)
        usleep(1000);
}

static int calls(void)
{
    int count;

    pthread_mutex_lock(&cloud.lock);
    count = cloud.calls;
    pthread_mutex_unlock(&cloud.lock);
    return count;
}

static int reset_cloud(void **state)
{
    (void)state;
    cloud.calls = cloud.answered = 0;
    open_gate(INT_MAX, 0);
    return 0;
}

static struct settings settings_of(int64_t ttl, int64_t max_stale)
{
    return (struct settings){.timeout = PATIENCE,
            .cache_ttl = ttl,
            .cache_max_stale = max_stale,
            .cache_entries = 1000};
}

static bool get(struct memory_cache *cache, const char *name, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity =
            memory_cache_get(cache, name, monotonic_milliseconds() + PATIENCE, error);
    bool got = identity != NULL;

    if (got)
        assert_string_equal(aliyun_iot_identity_serial_number(identity), name);
    aliyun_iot_identity_free(identity);
    return got;
}

static void an_identity_is_fetched_once_and_then_served_from_memory(void **state)
{
    struct settings settings = settings_of(HOUR, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);

    (void)state;
    for (int time = 0; time < 3; time++)
        assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    assert_int_equal(calls(), 2);
    await_quiet();
    memory_cache_free(cache);
}

static void nothing_is_kept_with_a_time_to_live_of_zero(void **state)
{
    struct settings settings = settings_of(0, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 2);
    await_quiet();
    memory_cache_free(cache);
}

static void *get_in_thread(void *context)
{
    assert_true(get(context, "device-1", NULL));
    return NULL;
}

static void many_threads_that_want_one_device_make_one_call(void **state)
{
    enum { THREADS = 64 };
    struct settings settings = settings_of(HOUR, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);
    pthread_t threads[THREADS];

    (void)state;
    open_gate(0, 0);
    for (int index = 0; index < THREADS; index++)
        assert_int_equal(0, pthread_create(&threads[index], NULL, get_in_thread, cache));
    await_calls(1);
    open_gate(INT_MAX, 0);
    for (int index = 0; index < THREADS; index++)
        pthread_join(threads[index], NULL);
    assert_int_equal(calls(), 1);
    await_quiet();
    memory_cache_free(cache);
}

static void a_waiter_who_gives_up_does_not_stop_the_call(void **state)
{
    struct settings settings = settings_of(HOUR, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    open_gate(0, 0);
    assert_null(memory_cache_get(cache, "device-1", monotonic_milliseconds() + 20, &error));
    assert_error(error, ALIYUN_IOT_REASON_TIMEOUT, "under way");
    open_gate(INT_MAX, 0);
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 1);
    await_quiet();
    memory_cache_free(cache);
}

static void a_stale_identity_is_served_and_refreshed_behind(void **state)
{
    struct settings settings = settings_of(1, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    await_quiet();
    usleep(5000);
    open_gate(1, 0);
    assert_true(get(cache, "device-1", NULL));
    await_calls(2);
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 2);
    open_gate(INT_MAX, 0);
    await_quiet();
    memory_cache_free(cache);
}

static void a_stale_identity_outlives_a_passing_failure_but_not_a_refusal(void **state)
{
    struct settings settings = settings_of(1, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    await_quiet();
    usleep(5000);
    open_gate(INT_MAX, ALIYUN_IOT_REASON_UNREACHABLE);
    assert_true(get(cache, "device-1", NULL));
    await_quiet();
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 3);

    open_gate(INT_MAX, ALIYUN_IOT_REASON_REFUSED);
    assert_true(get(cache, "device-2", NULL));
    await_quiet();
    assert_false(get(cache, "device-2", &error));
    assert_error(error, ALIYUN_IOT_REASON_REFUSED, "call 4");
    memory_cache_free(cache);
}

static void an_identity_beyond_max_stale_is_not_served(void **state)
{
    struct settings settings = settings_of(1, 1);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    await_quiet();
    usleep(5000);
    open_gate(INT_MAX, ALIYUN_IOT_REASON_UNREACHABLE);
    assert_false(get(cache, "device-1", &error));
    assert_error(error, ALIYUN_IOT_REASON_UNREACHABLE, "call 2");
    await_quiet();
    memory_cache_free(cache);
}

static void what_is_not_found_is_remembered_and_a_network_failure_is_not(void **state)
{
    struct settings settings = settings_of(HOUR, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    open_gate(INT_MAX, ALIYUN_IOT_REASON_NOT_FOUND);
    for (int time = 0; time < 3; time++) {
        assert_false(get(cache, "device-1", &error));
        assert_error(error, ALIYUN_IOT_REASON_NOT_FOUND, "call 1");
    }
    open_gate(INT_MAX, ALIYUN_IOT_REASON_UNREACHABLE);
    assert_false(get(cache, "device-2", &error));
    assert_error(error, ALIYUN_IOT_REASON_UNREACHABLE, "call 2");
    open_gate(INT_MAX, 0);
    assert_true(get(cache, "device-2", NULL));
    await_quiet();
    memory_cache_free(cache);
}

static void the_least_recently_used_identity_makes_room(void **state)
{
    struct settings settings = settings_of(HOUR, HOUR);
    struct memory_cache *cache;

    (void)state;
    settings.cache_entries = 2;
    cache = memory_cache_new(&settings, answer, NULL);
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-3", NULL));
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 3);
    assert_true(get(cache, "device-2", NULL));
    assert_int_equal(calls(), 4);
    await_quiet();
    memory_cache_free(cache);
}

static void a_child_forked_during_a_call_makes_its_own(void **state)
{
    struct settings settings = settings_of(HOUR, HOUR);
    struct memory_cache *cache = memory_cache_new(&settings, answer, NULL);
    pthread_t waiter;
    int status;
    pid_t child;

    (void)state;
    open_gate(0, 0);
    assert_int_equal(0, pthread_create(&waiter, NULL, get_in_thread, cache));
    await_calls(1);
    background_close_gate();
    memory_cache_lock(cache);
    background_lock();
    child = fork();
    if (child == 0) {
        background_forked();
        memory_cache_forked(cache);
        background_unlock();
        memory_cache_unlock(cache);
        background_open_gate();
        /* The fork may have caught the cloud's own lock: the child has a fresh one. */
        pthread_mutex_init(&cloud.lock, NULL);
        pthread_cond_init(&cloud.changed, NULL);
        cloud.gate = INT_MAX;
        _exit(get(cache, "device-1", NULL) && cloud.calls == 2 ? 0 : 1);
    }
    background_unlock();
    memory_cache_unlock(cache);
    background_open_gate();
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(status, 0);
    open_gate(INT_MAX, 0);
    pthread_join(waiter, NULL);
    await_quiet();
    memory_cache_free(cache);
}

static int make_pair(void **state)
{
    X509 *certificate = X509_new();

    (void)state;
    key = EVP_EC_gen("P-256");
    certificates = sk_X509_new_null();
    if (!key || !certificate || !certificates)
        return -1;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    return sk_X509_push(certificates, certificate) ? 0 : -1;
}

static int free_pair(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    certificates_free(certificates);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(
                    an_identity_is_fetched_once_and_then_served_from_memory, reset_cloud),
            cmocka_unit_test_setup(nothing_is_kept_with_a_time_to_live_of_zero, reset_cloud),
            cmocka_unit_test_setup(many_threads_that_want_one_device_make_one_call, reset_cloud),
            cmocka_unit_test_setup(a_waiter_who_gives_up_does_not_stop_the_call, reset_cloud),
            cmocka_unit_test_setup(a_stale_identity_is_served_and_refreshed_behind, reset_cloud),
            cmocka_unit_test_setup(
                    a_stale_identity_outlives_a_passing_failure_but_not_a_refusal, reset_cloud),
            cmocka_unit_test_setup(an_identity_beyond_max_stale_is_not_served, reset_cloud),
            cmocka_unit_test_setup(
                    what_is_not_found_is_remembered_and_a_network_failure_is_not, reset_cloud),
            cmocka_unit_test_setup(the_least_recently_used_identity_makes_room, reset_cloud),
            cmocka_unit_test_setup(a_child_forked_during_a_call_makes_its_own, reset_cloud),
    };

    return cmocka_run_group_tests(tests, make_pair, free_pair);
}
