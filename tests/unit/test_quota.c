/* SPDX-License-Identifier: Apache-2.0 */
/* The queue that threads and processes share, in a time that passes only when somebody sleeps. */
#include "quota_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void calls_are_spread_over_time(void **state)
{
    struct settings settings = settings_of(100, 1);
    int64_t begun = monotonic_milliseconds();

    (void)state;
    for (int call = 0; call < 51; call++) {
        assert_int_equal(1, wait_for(&settings, 1000, false, NULL));
        assert_int_equal(monotonic_milliseconds() - begun, 10 * call);
    }
}

static void an_idle_queue_lets_a_burst_through_at_once(void **state)
{
    struct settings settings = settings_of(0.1, 5);

    (void)state;
    assert_int_equal(places(&settings, 10), 5);
    clock_advance(10 * 1000);
    assert_int_equal(places(&settings, 10), 1);
}

static void a_caller_who_cannot_wait_takes_no_place(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_int_equal(1, wait_for(&settings, 100, false, NULL));
    for (int call = 0; call < 3; call++) {
        assert_int_equal(0, wait_for(&settings, 9999, false, &error));
        /* The queue does not grow by those who leave. */
        assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "is 10.0 seconds long");
        error = NULL;
    }
    assert_int_equal(1, wait_for(&settings, 10 * 1000, false, NULL));
}

static void accounts_and_endpoints_have_queues_of_their_own(void **state)
{
    static char name[] = "other";
    struct settings settings = settings_of(0.1, 1), other = settings;
    struct quota *elsewhere = quota_open(&settings, "https://elsewhere");
    int64_t now = monotonic_milliseconds();

    (void)state;
    other.quota_account = name;
    assert_int_equal(places(&settings, 2), 1);
    assert_int_equal(places(&other, 2), 1);
    assert_int_equal(1, quota_wait(elsewhere, false, now, NULL));
    assert_int_equal(0, quota_wait(elsewhere, false, now, NULL));
    quota_free(elsewhere);
}

static void work_behind_the_scenes_goes_only_through_an_empty_queue(void **state)
{
    struct settings settings = settings_of(20, 1);

    (void)state;
    assert_int_equal(1, wait_for(&settings, 1000, true, NULL));
    assert_int_equal(0, wait_for(&settings, 1000, true, NULL));
    assert_int_equal(1, wait_for(&settings, 1000, false, NULL));
    clock_advance(50);
    assert_int_equal(1, wait_for(&settings, 1000, true, NULL));
}

static void a_throttled_call_slows_the_queue_down_for_some_seconds(void **state)
{
    struct settings settings = settings_of(10, 1);
    CLEANUP(quota_free) struct quota *quota = quota_open(&settings, CLOUD);
    int64_t begun = monotonic_milliseconds();

    (void)state;
    quota_throttled(quota);
    for (int call = 0; call <= 10; call++)
        assert_int_equal(1, wait_for(&settings, 1000, false, NULL));
    assert_between(monotonic_milliseconds() - begun, 1100, 1300);
    clock_advance(60 * 1000);
    begun = monotonic_milliseconds();
    for (int call = 0; call <= 10; call++)
        assert_int_equal(1, wait_for(&settings, 1000, false, NULL));
    assert_int_equal(monotonic_milliseconds() - begun, 1000);
}

/* Runs it in a child process, whose exit status must be 0. */
static void in_child(int (*body)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(body());
    assert_int_equal(child, waitpid(child, &status, 0));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with wait status %d", status);
}

static int take_thirty(void)
{
    struct settings settings = settings_of(0.1, 100);

    return places(&settings, 30) == 30 ? 0 : 1;
}

static void two_processes_share_one_queue(void **state)
{
    struct settings settings = settings_of(0.1, 100);

    (void)state;
    in_child(take_thirty);
    assert_int_equal(places(&settings, 100), 70);
}

static void processes_share_the_queue_even_if_one_is_killed_in_it(void **state)
{
    enum { PROCESSES = 4, BURST = 1000 };
    struct settings settings = settings_of(1, BURST);
    _Atomic int *found =
            mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[PROCESSES], victim;
    int status;

    (void)state;
    assert_true(found != MAP_FAILED);
    clock_stands_still = true;
    victim = fork();
    if (victim == 0)
        for (;;)
            atomic_fetch_add(found, wait_for(&settings, 0, true, NULL));
    for (int index = 0; index < PROCESSES; index++) {
        children[index] = fork();
        if (children[index] == 0) {
            atomic_fetch_add(found, places(&settings, BURST));
            _exit(0);
        }
    }
    kill(victim, SIGKILL);
    waitpid(victim, &status, 0);
    for (int index = 0; index < PROCESSES; index++) {
        waitpid(children[index], &status, 0);
        assert_int_equal(status, 0);
    }
    /* No place was given twice; the victim may have taken one that it did not report. */
    assert_between(atomic_load(found), BURST - 1, BURST);
    assert_int_equal(places(&settings, 1), 0);
    clock_stands_still = false;
    munmap(found, sizeof(*found));
}

static void threads_share_one_queue(void **state)
{
    (void)state;
    assert_int_equal(0, threads_share());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(calls_are_spread_over_time),
            TEST(an_idle_queue_lets_a_burst_through_at_once),
            TEST(a_caller_who_cannot_wait_takes_no_place),
            TEST(accounts_and_endpoints_have_queues_of_their_own),
            TEST(work_behind_the_scenes_goes_only_through_an_empty_queue),
            TEST(a_throttled_call_slows_the_queue_down_for_some_seconds),
            TEST(two_processes_share_one_queue),
            TEST(processes_share_the_queue_even_if_one_is_killed_in_it),
            TEST(threads_share_one_queue),
    };

    return cmocka_run_group_tests(tests, start_clock, NULL);
}
