/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the memory cache, which do not block, and the calls that answer them. */
#include "source_double.h"

#include <dlfcn.h>
#include <sys/wait.h>

enum { CALLS_MAX = 64 /* under way at once */ };

static bool no_threads_left;

/* In place of the C library's: what the library calls first to start a thread of its own. */
int pthread_attr_init(pthread_attr_t *attributes)
{
    int (*real)(pthread_attr_t *) = NULL;

    if (no_threads_left)
        return EAGAIN;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_attr_init");
    return real(attributes);
}

/* One caller. */
struct request {
    struct memory_waiter waiter;
    atomic_int told; /* how often */
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;
};

static void be_told(
        void *context, struct aliyun_iot_identity *identity, struct aliyun_iot_error *error)
{
    struct request *request = context;

    pthread_mutex_lock(&cloud.lock);
    request->identity = identity;
    request->error = error;
    request->told++;
    pthread_cond_broadcast(&cloud.changed);
    pthread_mutex_unlock(&cloud.lock);
}

static void ask_as(const void *principal, struct memory_cache *cache, struct request *request,
        const char *name, int64_t patience_ms)
{
    const struct device device = device_of(name);

    *request = (struct request){.waiter = {.done = be_told,
                                        .context = request,
                                        .principal = principal,
                                        .deadline = monotonic_milliseconds() + patience_ms}};
    memory_cache_request(cache, &device, &request->waiter);
}

/* The caller has so many milliseconds. */
static void ask(
        struct memory_cache *cache, struct request *request, const char *name, int64_t patience_ms)
{
    ask_as(NULL, cache, request, name, patience_ms);
}

static void await_told(struct request *request)
{
    pthread_mutex_lock(&cloud.lock);
    while (request->told == 0)
        pthread_cond_wait(&cloud.changed, &cloud.lock);
    pthread_mutex_unlock(&cloud.lock);
}

static void assert_told_of(struct request *request, const char *name)
{
    await_told(request);
    assert_int_equal(request->told, 1);
    assert_null(request->error);
    assert_string_equal(aliyun_iot_identity_serial_number(request->identity), name);
    aliyun_iot_identity_free(request->identity);
}

static void assert_told_failure(
        struct request *request, enum aliyun_iot_reason reason, const char *phrase)
{
    await_told(request);
    assert_int_equal(request->told, 1);
    assert_null(request->identity);
    assert_error(request->error, reason, phrase);
}

static void assert_never_told(struct request *request)
{
    process_await_threads();
    assert_int_equal(request->told, 0);
}

static struct settings settings;
static struct memory_cache *cache;

static int make_cache(void **state)
{
    reset_cloud(state);
    settings = settings_of(HOUR_MS, HOUR_MS);
    cache = memory_cache_new(&settings, &source);
    return cache ? 0 : -1;
}

static int free_cache(void **state)
{
    (void)state;
    process_await_threads();
    memory_cache_free(cache);
    return 0;
}

static void what_is_in_memory_is_told_before_the_request_returns(void **state)
{
    struct request request;

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    ask(cache, &request, "device-1", 0);
    assert_int_equal(request.told, 1);
    assert_false(memory_cache_cancel(cache, &request.waiter));
    assert_told_of(&request, "device-1");

    open_gate(INT_MAX, ALIYUN_IOT_REASON_NOT_FOUND);
    assert_false(get(cache, "unknown", NULL));
    ask(cache, &request, "unknown", 0);
    assert_int_equal(request.told, 1);
    assert_told_failure(&request, ALIYUN_IOT_REASON_NOT_FOUND, "call 2");
}

static void a_request_does_not_wait_for_the_source(void **state)
{
    struct request request;

    (void)state;
    open_gate(0, 0);
    ask(cache, &request, "device-1", HOUR_MS);
    assert_int_equal(request.told, 0);
    open_gate(1, 0);
    assert_told_of(&request, "device-1");
    assert_false(memory_cache_cancel(cache, &request.waiter));
}

static void a_request_that_was_withdrawn_is_not_told_but_its_call_goes_on(void **state)
{
    struct request first, second, third;

    (void)state;
    open_gate(0, 0);
    ask(cache, &first, "device-1", HOUR_MS);
    ask(cache, &second, "device-1", HOUR_MS);
    ask(cache, &third, "device-1", HOUR_MS);
    await_calls(1);
    assert_true(memory_cache_cancel(cache, &second.waiter));
    assert_false(memory_cache_cancel(cache, &second.waiter));
    assert_true(memory_cache_cancel(cache, &first.waiter));
    open_gate(INT_MAX, 0);
    assert_told_of(&third, "device-1");
    assert_never_told(&first);
    assert_never_told(&second);

    open_gate(1, 0);
    ask(cache, &first, "device-2", HOUR_MS);
    await_calls(2);
    assert_true(memory_cache_cancel(cache, &first.waiter));
    open_gate(INT_MAX, 0);
    assert_never_told(&first);
    assert_true(get(cache, "device-2", NULL));
    assert_int_equal(calls(), 2);
}

static void a_caller_with_more_time_than_the_call_gets_another(void **state)
{
    struct request first, second, third;

    (void)state;
    open_gate(0, ALIYUN_IOT_REASON_TIMEOUT);
    ask(cache, &first, "device-1", 1000);
    await_calls(1);
    ask(cache, &second, "device-1", 5000);
    ask(cache, &third, "device-1", 3000);
    clock_advance(1000);
    open_gate(1, ALIYUN_IOT_REASON_TIMEOUT);
    assert_told_failure(&first, ALIYUN_IOT_REASON_TIMEOUT, "call 1");
    await_calls(2);
    assert_true(cloud.deadline == second.waiter.deadline);
    assert_int_equal(second.told + third.told, 0);
    open_gate(2, 0);
    assert_told_of(&second, "device-1");
    assert_told_of(&third, "device-1");
    assert_int_equal(calls(), 2);
}

static void a_caller_with_no_more_time_than_the_call_shares_its_failure(void **state)
{
    struct request first, second;

    (void)state;
    open_gate(0, 0);
    ask(cache, &first, "device-1", 5000);
    await_calls(1);
    ask(cache, &second, "device-1", 1000);
    open_gate(1, ALIYUN_IOT_REASON_TIMEOUT);
    assert_told_failure(&first, ALIYUN_IOT_REASON_TIMEOUT, "call 1");
    assert_told_failure(&second, ALIYUN_IOT_REASON_TIMEOUT, "call 1");
    /* More time does not help against another failure. */
    ask(cache, &first, "device-1", 1000);
    await_calls(2);
    ask(cache, &second, "device-1", 5000);
    open_gate(2, ALIYUN_IOT_REASON_UNREACHABLE);
    assert_told_failure(&first, ALIYUN_IOT_REASON_UNREACHABLE, "call 2");
    assert_told_failure(&second, ALIYUN_IOT_REASON_UNREACHABLE, "call 2");
    process_await_threads();
    assert_int_equal(calls(), 2);
}

/* As many calls under way as there may be. */
static struct request busy[CALLS_MAX];

static void name_of(char name[sizeof("busy-00")], int index)
{
    snprintf(name, sizeof("busy-00"), "busy-%d", index % 100);
}

static void start_all_calls(void)
{
    char name[sizeof("busy-00")];

    open_gate(0, 0);
    for (int index = 0; index < CALLS_MAX; index++) {
        name_of(name, index);
        ask(cache, &busy[index], name, HOUR_MS);
    }
    await_calls(CALLS_MAX);
}

static void end_all_calls(void)
{
    char name[sizeof("busy-00")];

    open_gate(INT_MAX, 0);
    for (int index = 0; index < CALLS_MAX; index++) {
        name_of(name, index);
        assert_told_of(&busy[index], name);
    }
}

static void at_most_64_calls_are_under_way_and_more_wait_for_their_turn(void **state)
{
    struct request first, withdrawn, second;

    (void)state;
    start_all_calls();
    ask(cache, &first, "device-1", HOUR_MS);
    ask(cache, &withdrawn, "withdrawn", HOUR_MS);
    ask(cache, &second, "device-2", HOUR_MS);
    assert_true(memory_cache_cancel(cache, &withdrawn.waiter));
    end_all_calls();
    assert_told_of(&first, "device-1");
    assert_told_of(&second, "device-2");
    process_await_threads();
    assert_int_equal(cloud.most_at_once, CALLS_MAX);
    /* Nobody waited for the withdrawn one any more. */
    assert_int_equal(calls(), CALLS_MAX + 2);
    assert_true(get(cache, "withdrawn", NULL));
    assert_int_equal(calls(), CALLS_MAX + 3);
}

static void a_call_has_the_time_of_those_who_wait_when_its_turn_comes(void **state)
{
    struct request withdrawn, patient, late;

    (void)state;
    start_all_calls();
    ask(cache, &withdrawn, "device-1", HOUR_MS);
    ask(cache, &late, "device-2", 1000);
    ask(cache, &patient, "device-1", 5000);
    assert_true(memory_cache_cancel(cache, &withdrawn.waiter));
    clock_advance(2000);
    open_gate(1, 0);
    await_calls(CALLS_MAX + 1);
    assert_true(cloud.deadline == patient.waiter.deadline);
    end_all_calls();
    assert_told_of(&patient, "device-1");
    assert_told_failure(&late, ALIYUN_IOT_REASON_TIMEOUT, "turn did not come");
    assert_int_equal(calls(), CALLS_MAX + 1);
}

/* Principals of an agent. */
static const char many[] = "asks for many", one[] = "asks for one";

static void a_principal_has_16_calls_under_way_and_does_not_hold_up_another(void **state)
{
    enum { SHARE = 16 };
    struct request request;
    char name[sizeof("busy-00")];

    (void)state;
    open_gate(0, 0);
    for (int index = 0; index < CALLS_MAX; index++) {
        name_of(name, index);
        ask_as(many, cache, &busy[index], name, HOUR_MS);
    }
    await_calls(SHARE);
    ask_as(one, cache, &request, "device-1", HOUR_MS);
    await_calls(SHARE + 1);
    assert_int_equal(calls(), SHARE + 1);
    end_all_calls();
    assert_told_of(&request, "device-1");
    process_await_threads();
    assert_int_equal(cloud.most_at_once, SHARE + 1);
    assert_int_equal(calls(), CALLS_MAX + 1);
}

static void a_principal_that_has_no_call_gets_one_while_64_are_under_way(void **state)
{
    struct request first, second;

    (void)state;
    start_all_calls();
    ask_as(one, cache, &first, "device-1", HOUR_MS);
    await_calls(CALLS_MAX + 1);
    ask_as(one, cache, &second, "device-2", HOUR_MS);
    end_all_calls();
    assert_told_of(&first, "device-1");
    assert_told_of(&second, "device-2");
    process_await_threads();
    assert_int_equal(cloud.most_at_once, CALLS_MAX + 1);
}

/* The identity of device-1 is served, and refreshed behind; then it is too old to be served. */
static void let_a_refresh_begin_and_the_identity_expire(void)
{
    assert_true(get(cache, "device-1", NULL));
    clock_advance(HOUR_MS);
    assert_true(get(cache, "device-1", NULL));
    /* A call whose time has passed before it is made is not made. */
    await_calls(2);
    clock_advance(HOUR_MS);
}

static void a_caller_who_joined_a_refresh_gets_a_call_if_the_refresh_got_no_place(void **state)
{
    struct request request;

    (void)state;
    cloud.background_failure = ALIYUN_IOT_REASON_THROTTLED;
    open_gate(1, 0);
    let_a_refresh_begin_and_the_identity_expire();
    await_calls(2);
    assert_true(cloud.background);
    ask(cache, &request, "device-1", 10);
    assert_int_equal(request.told, 0);
    open_gate(INT_MAX, 0);
    assert_told_of(&request, "device-1");
    assert_int_equal(calls(), 3);
    assert_false(cloud.background);
}

static void a_refresh_that_somebody_waits_for_when_its_turn_comes_is_none_any_more(void **state)
{
    struct request request;

    (void)state;
    cloud.background_failure = ALIYUN_IOT_REASON_THROTTLED;
    assert_true(get(cache, "device-1", NULL));
    process_await_threads();
    cloud.calls = cloud.answered = 0;
    start_all_calls();
    clock_advance(HOUR_MS);
    assert_true(get(cache, "device-1", NULL));
    clock_advance(HOUR_MS);
    ask(cache, &request, "device-1", 2 * HOUR_MS);
    end_all_calls();
    assert_told_of(&request, "device-1");
    assert_int_equal(calls(), CALLS_MAX + 1);
    assert_false(cloud.background);
}

static void without_a_thread_for_the_call_the_request_fails_at_once(void **state)
{
    struct request request;

    (void)state;
    no_threads_left = true;
    ask(cache, &request, "device-1", HOUR_MS);
    no_threads_left = false;
    assert_int_equal(request.told, 1);
    assert_told_failure(&request, ALIYUN_IOT_REASON_INTERNAL, "thread");
    assert_true(get(cache, "device-1", NULL));
}

static void with_few_threads_one_makes_the_calls_of_several(void **state)
{
    struct request first, second;

    (void)state;
    open_gate(0, 0);
    ask(cache, &first, "device-1", HOUR_MS);
    await_calls(1);
    no_threads_left = true;
    ask(cache, &second, "device-2", HOUR_MS);
    no_threads_left = false;
    open_gate(INT_MAX, 0);
    assert_told_of(&first, "device-1");
    assert_told_of(&second, "device-2");
}

static void a_child_of_fork_is_not_told_and_can_withdraw_what_the_parent_asked(void **state)
{
    bool *withdrawn =
            mmap(NULL, 2 * sizeof(bool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct request first, second;
    pid_t child;

    (void)state;
    assert_ptr_not_equal(withdrawn, MAP_FAILED);
    open_gate(0, 0);
    ask(cache, &first, "device-1", HOUR_MS);
    ask(cache, &second, "device-1", HOUR_MS);
    await_calls(1);
    child = fork();
    if (child == 0) {
        withdrawn[0] = memory_cache_cancel(cache, &first.waiter) && first.told == 0;
        withdrawn[1] = memory_cache_cancel(cache, &second.waiter) && second.told == 0;
        _exit(0);
    }
    assert_int_equal(child, waitpid(child, NULL, 0));
    assert_true(withdrawn[0] && withdrawn[1]);
    munmap(withdrawn, 2 * sizeof(bool));
    open_gate(INT_MAX, 0);
    assert_told_of(&first, "device-1");
    assert_told_of(&second, "device-1");
}

static void free_ended_cache(void *context)
{
    memory_cache_free(cache);
    cache = NULL;
    be_told(context, NULL, NULL);
}

static void a_cache_ends_with_its_last_call(void **state)
{
    struct request request, end = {.told = 0};

    (void)state;
    open_gate(0, 0);
    ask(cache, &request, "device-1", HOUR_MS);
    await_calls(1);
    assert_true(memory_cache_cancel(cache, &request.waiter));
    memory_cache_end(cache, free_ended_cache, &end);
    assert_int_equal(end.told, 0);
    open_gate(INT_MAX, 0);
    await_told(&end);
    assert_int_equal(end.told, 1);
}

static void a_cache_without_calls_ends_at_once(void **state)
{
    struct request end = {.told = 0};

    (void)state;
    assert_true(get(cache, "device-1", NULL));
    process_await_threads();
    memory_cache_end(cache, free_ended_cache, &end);
    assert_int_equal(end.told, 1);
}

/* Asks for the cache's end in the midst of being told: nothing uses the cache afterwards. */
static void end_the_cache(
        void *context, struct aliyun_iot_identity *identity, struct aliyun_iot_error *error)
{
    be_told(context, identity, error);
    memory_cache_end(cache, free_ended_cache, &busy[0]);
}

static void who_is_told_may_end_the_cache(void **state)
{
    const struct device device = device_of("device-1");

    for (int round = 0; round < 200; round++) {
        struct request request = {.waiter = {.done = end_the_cache,
                                          .context = &request,
                                          .deadline = monotonic_milliseconds() + HOUR_MS}};

        busy[0].told = 0;
        memory_cache_request(cache, &device, &request.waiter);
        assert_told_of(&request, "device-1");
        await_told(&busy[0]);
        assert_int_equal(0, make_cache(state));
    }
}

enum { ASKING_THREADS = 32, ROUNDS = 100, DEVICES = 5 };

static void *ask_and_withdraw(void *context)
{
    unsigned random = (unsigned)(uintptr_t)context;
    struct request request;
    char name[sizeof("busy-00")];

    for (int round = 0; round < ROUNDS; round++) {
        name_of(name, rand_r(&random) % DEVICES);
        ask(cache, &request, name, HOUR_MS);
        if (rand_r(&random) % 2 && memory_cache_cancel(cache, &request.waiter))
            assert_int_equal(request.told, 0);
        else
            assert_told_of(&request, name);
    }
    return NULL;
}

static void each_of_many_requests_is_either_told_or_withdrawn(void **state)
{
    pthread_t threads[ASKING_THREADS];

    (void)state;
    settings.cache_ttl_ms = 0;
    settings.cache_entries = 2;
    for (uintptr_t index = 0; index < ASKING_THREADS; index++)
        assert_int_equal(0, pthread_create(&threads[index], NULL, ask_and_withdraw, (void *)index));
    for (int index = 0; index < ASKING_THREADS; index++)
        pthread_join(threads[index], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_cache, free_cache)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(what_is_in_memory_is_told_before_the_request_returns),
            TEST(a_request_does_not_wait_for_the_source),
            TEST(a_request_that_was_withdrawn_is_not_told_but_its_call_goes_on),
            TEST(a_caller_with_more_time_than_the_call_gets_another),
            TEST(a_caller_with_no_more_time_than_the_call_shares_its_failure),
            TEST(at_most_64_calls_are_under_way_and_more_wait_for_their_turn),
            TEST(a_principal_has_16_calls_under_way_and_does_not_hold_up_another),
            TEST(a_principal_that_has_no_call_gets_one_while_64_are_under_way),
            TEST(a_call_has_the_time_of_those_who_wait_when_its_turn_comes),
            TEST(a_caller_who_joined_a_refresh_gets_a_call_if_the_refresh_got_no_place),
            TEST(a_refresh_that_somebody_waits_for_when_its_turn_comes_is_none_any_more),
            TEST(without_a_thread_for_the_call_the_request_fails_at_once),
            TEST(with_few_threads_one_makes_the_calls_of_several),
            TEST(a_child_of_fork_is_not_told_and_can_withdraw_what_the_parent_asked),
            TEST(a_cache_ends_with_its_last_call),
            TEST(a_cache_without_calls_ends_at_once),
            TEST(who_is_told_may_end_the_cache),
            TEST(each_of_many_requests_is_either_told_or_withdrawn),
    };

    return cmocka_run_group_tests(tests, make_pair, free_pair);
}
