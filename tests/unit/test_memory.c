/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory cache serves, and when it asks the source. */
#include "source_double.h"

#include <sys/wait.h>

#include "keys.h"

static void an_identity_is_fetched_once_and_then_served_from_memory(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);

    (void)state;
    for (int time = 0; time < 3; time++)
        assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    assert_int_equal(calls(), 2);
    process_await_threads();
    memory_cache_free(cache);
}

static void nothing_is_kept_with_a_time_to_live_of_zero(void **state)
{
    struct settings settings = settings_of(0, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 2);
    process_await_threads();
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
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);
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
    process_await_threads();
    memory_cache_free(cache);
}

static void *let_time_pass_when_called(void *milliseconds)
{
    await_calls(1);
    clock_advance(*(int *)milliseconds);
    return NULL;
}

static void a_waiter_who_gives_up_does_not_stop_the_call(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);
    const struct device device = device_of("device-1");
    struct aliyun_iot_error *error = NULL;
    int minute_ms = 60 * 1000;
    pthread_t clock;

    (void)state;
    open_gate(0, 0);
    assert_int_equal(0, pthread_create(&clock, NULL, let_time_pass_when_called, &minute_ms));
    assert_null(memory_cache_get(cache, &device, monotonic_milliseconds() + 20, &error));
    assert_error(error, ALIYUN_IOT_REASON_TIMEOUT, "under way");
    pthread_join(clock, NULL);
    open_gate(INT_MAX, 0);
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 1);
    process_await_threads();
    memory_cache_free(cache);
}

static void a_stale_identity_is_served_and_refreshed_behind(void **state)
{
    struct settings settings = settings_of(1, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    process_await_threads();
    clock_advance(5);
    open_gate(1, 0);
    assert_true(get(cache, "device-1", NULL));
    await_calls(2);
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 2);
    open_gate(INT_MAX, 0);
    process_await_threads();
    memory_cache_free(cache);
}

static void a_stale_identity_outlives_a_passing_failure_but_not_a_refusal(void **state)
{
    struct settings settings = settings_of(1, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    process_await_threads();
    clock_advance(5);
    open_gate(INT_MAX, ALIYUN_IOT_REASON_UNREACHABLE);
    assert_true(get(cache, "device-1", NULL));
    process_await_threads();
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 3);

    open_gate(INT_MAX, ALIYUN_IOT_REASON_REFUSED);
    assert_true(get(cache, "device-2", NULL));
    process_await_threads();
    assert_false(get(cache, "device-2", &error));
    assert_error(error, ALIYUN_IOT_REASON_REFUSED, "call 4");
    memory_cache_free(cache);
}

static void a_wrong_private_half_does_not_replace_a_good_identity(void **state)
{
    struct settings settings = settings_of(1, HOUR_MS);
    const struct device device = device_of("device-1");
    struct memory_cache *cache = memory_cache_new(&settings, &source);
    EVP_PKEY *good = device_key, *other = EVP_EC_gen("P-256");
    size_t good_size, size;
    struct aliyun_iot_identity *first =
            memory_cache_get(cache, &device, monotonic_milliseconds() + HOUR_MS, NULL);
    const unsigned char *good_key = aliyun_iot_identity_key(first, &good_size);

    (void)state;
    process_await_threads();
    clock_advance(5);
    device_key = graft(good, other, (const char *[]){"priv", NULL});
    for (int time = 0; time < 3; time++) {
        struct aliyun_iot_identity *next =
                memory_cache_get(cache, &device, monotonic_milliseconds() + HOUR_MS, NULL);

        assert_non_null(next);
        assert_memory_equal(aliyun_iot_identity_key(next, &size), good_key, good_size);
        aliyun_iot_identity_free(next);
        process_await_threads();
    }
    assert_true(calls() > 1);
    aliyun_iot_identity_free(first);
    EVP_PKEY_free(device_key);
    EVP_PKEY_free(other);
    device_key = good;
    memory_cache_free(cache);
}

static void an_identity_beyond_max_stale_is_not_served(void **state)
{
    struct settings settings = settings_of(1, 1);
    struct memory_cache *cache = memory_cache_new(&settings, &source);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    process_await_threads();
    clock_advance(5);
    open_gate(INT_MAX, ALIYUN_IOT_REASON_UNREACHABLE);
    assert_false(get(cache, "device-1", &error));
    assert_error(error, ALIYUN_IOT_REASON_UNREACHABLE, "call 2");
    process_await_threads();
    memory_cache_free(cache);
}

static void what_is_not_found_is_remembered_and_a_network_failure_is_not(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);
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
    process_await_threads();
    memory_cache_free(cache);
}

static void failures_do_not_push_out_identities(void **state)
{
    enum { FAILURES = 3000 };
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache;
    char name[sizeof("unknown-0000")];

    (void)state;
    settings.cache_entries = 2;
    cache = memory_cache_new(&settings, &source);
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    open_gate(INT_MAX, ALIYUN_IOT_REASON_NOT_FOUND);
    for (int number = 0; number < FAILURES; number++) {
        snprintf(name, sizeof(name), "unknown-%d", number);
        assert_false(get(cache, name, NULL));
    }
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    assert_int_equal(calls(), 2 + FAILURES);
    /* Only the last ones are remembered. */
    assert_false(get(cache, "unknown-2999", NULL));
    assert_int_equal(calls(), 2 + FAILURES);
    assert_false(get(cache, "unknown-0", NULL));
    assert_int_equal(calls(), 3 + FAILURES);
    process_await_threads();
    memory_cache_free(cache);
}

static void a_failure_is_forgotten_in_time(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);

    (void)state;
    open_gate(INT_MAX, ALIYUN_IOT_REASON_NOT_FOUND);
    assert_false(get(cache, "device-1", NULL));
    process_await_threads();
    open_gate(INT_MAX, 0);
    clock_advance(59 * 1000);
    assert_false(get(cache, "device-1", NULL));
    clock_advance(1000);
    assert_true(get(cache, "device-1", NULL));
    process_await_threads();
    memory_cache_free(cache);
}

static void the_least_recently_used_identity_makes_room(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache;

    (void)state;
    settings.cache_entries = 2;
    cache = memory_cache_new(&settings, &source);
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-2", NULL));
    assert_true(get(cache, "device-1", NULL));
    assert_true(get(cache, "device-3", NULL));
    assert_true(get(cache, "device-1", NULL));
    assert_int_equal(calls(), 3);
    assert_true(get(cache, "device-2", NULL));
    assert_int_equal(calls(), 4);
    process_await_threads();
    memory_cache_free(cache);
}

/*
 * What the child found comes by memory and not by its exit status, which valgrind sets if memory
 * that belonged to a thread of the parent is lost in the child.
 */
static void a_child_forked_during_a_call_makes_its_own(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = memory_cache_new(&settings, &source);
    int *childs_calls =
            mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_t waiter;
    pid_t child;

    (void)state;
    assert_ptr_not_equal(childs_calls, MAP_FAILED);
    open_gate(0, 0);
    assert_int_equal(0, pthread_create(&waiter, NULL, get_in_thread, cache));
    await_calls(1);
    child = fork();
    if (child == 0) {
        /* A thread of the parent may have held the cloud's lock. */
        pthread_mutex_init(&cloud.lock, NULL);
        pthread_cond_init(&cloud.changed, NULL);
        cloud.gate = INT_MAX;
        if (get(cache, "device-1", NULL))
            *childs_calls = cloud.calls;
        _exit(0);
    }
    assert_int_equal(child, waitpid(child, NULL, 0));
    assert_int_equal(*childs_calls, 2);
    munmap(childs_calls, sizeof(int));
    open_gate(INT_MAX, 0);
    pthread_join(waiter, NULL);
    process_await_threads();
    memory_cache_free(cache);
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
            cmocka_unit_test_setup(
                    a_wrong_private_half_does_not_replace_a_good_identity, reset_cloud),
            cmocka_unit_test_setup(an_identity_beyond_max_stale_is_not_served, reset_cloud),
            cmocka_unit_test_setup(
                    what_is_not_found_is_remembered_and_a_network_failure_is_not, reset_cloud),
            cmocka_unit_test_setup(failures_do_not_push_out_identities, reset_cloud),
            cmocka_unit_test_setup(a_failure_is_forgotten_in_time, reset_cloud),
            cmocka_unit_test_setup(the_least_recently_used_identity_makes_room, reset_cloud),
            cmocka_unit_test_setup(a_child_forked_during_a_call_makes_its_own, reset_cloud),
    };

    return cmocka_run_group_tests(tests, make_pair, free_pair);
}
