/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/quota.h"
#include "deadline.h"

static char folder[] = "/tmp/quota-test-XXXXXX";

static struct settings settings_of(double rate, int64_t burst)
{
    return (struct settings){.quota_rate = rate, .quota_burst = burst};
}

/* Calls that get a place before the deadline. */
static int places(const struct settings *settings, const char *account, int64_t deadline)
{
    struct quota *quota = quota_open(settings, account, "https://cloud");
    int count = 0;

    while (quota_wait(quota, false, deadline, NULL))
        count++;
    quota_free(quota);
    return count;
}

static void calls_are_spread_over_time(void **state)
{
    struct settings settings = settings_of(100, 1);
    int64_t begun = monotonic_milliseconds();
    int count = places(&settings, "spread", begun + 500);

    (void)state;
    /* A place at the start, and 50 more; a slow machine gives fewer, none gives more. */
    assert_between(count, 25, 51);
}

static void an_idle_queue_lets_a_burst_through_at_once(void **state)
{
    struct settings settings = settings_of(0.1, 5);
    struct quota *quota = quota_open(&settings, "burst", "https://cloud");
    struct aliyun_iot_error *error = NULL;

    (void)state;
    for (int call = 0; call < 5; call++)
        assert_int_equal(1, quota_wait(quota, false, monotonic_milliseconds() + 100, NULL));
    assert_int_equal(0, quota_wait(quota, false, monotonic_milliseconds() + 100, &error));
    assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "seconds long");
    quota_free(quota);
}

static void a_caller_who_cannot_wait_takes_no_place(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    struct quota *quota = quota_open(&settings, "impatient", "https://cloud");
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_int_equal(1, quota_wait(quota, false, monotonic_milliseconds() + 100, NULL));
    for (int call = 0; call < 3; call++) {
        assert_int_equal(0, quota_wait(quota, false, monotonic_milliseconds() + 100, &error));
        /* The queue does not grow by those who leave. */
        assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "is 10.0 seconds long");
        error = NULL;
    }
    quota_free(quota);
}

static void accounts_and_endpoints_have_queues_of_their_own(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    struct quota *one = quota_open(&settings, "account-1", "https://cloud");
    struct quota *other = quota_open(&settings, "account-2", "https://cloud");
    struct quota *elsewhere = quota_open(&settings, "account-1", "https://elsewhere");
    int64_t soon = monotonic_milliseconds() + 100;

    (void)state;
    assert_int_equal(1, quota_wait(one, false, soon, NULL));
    assert_int_equal(1, quota_wait(other, false, soon, NULL));
    assert_int_equal(1, quota_wait(elsewhere, false, soon, NULL));
    assert_int_equal(0, quota_wait(one, false, soon, NULL));
    quota_free(one);
    quota_free(other);
    quota_free(elsewhere);
}

static void work_behind_the_scenes_goes_only_through_an_empty_queue(void **state)
{
    struct settings settings = settings_of(20, 1);
    struct quota *quota = quota_open(&settings, "behind", "https://cloud");
    int64_t later = monotonic_milliseconds() + 1000;

    (void)state;
    assert_int_equal(1, quota_wait(quota, true, later, NULL));
    assert_int_equal(0, quota_wait(quota, true, later, NULL));
    assert_int_equal(1, quota_wait(quota, false, later, NULL));
    quota_free(quota);
}

static void a_throttled_call_halves_the_rate(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    struct quota *quota = quota_open(&settings, "halved", "https://cloud");
    struct aliyun_iot_error *error = NULL;

    (void)state;
    quota_throttled(quota);
    assert_int_equal(1, quota_wait(quota, false, monotonic_milliseconds() + 100, NULL));
    assert_int_equal(0, quota_wait(quota, false, monotonic_milliseconds() + 100, &error));
    /* 10 seconds for each call, doubled; a little has grown back meanwhile. */
    assert_non_null(error);
    assert_true(strstr(aliyun_iot_error_message(error), "is 20.0 seconds") ||
                strstr(aliyun_iot_error_message(error), "is 19."));
    aliyun_iot_error_free(error);
    quota_free(quota);
}

static void processes_share_the_queue_even_if_one_is_killed_in_it(void **state)
{
    enum { PROCESSES = 4 };
    struct settings settings = settings_of(100, 1);
    int64_t deadline = monotonic_milliseconds() + 500;
    pid_t children[PROCESSES], victim;
    int total, status;

    (void)state;
    victim = fork();
    if (victim == 0) {
        struct settings slow = settings_of(100, 1);

        places(&slow, "processes", monotonic_milliseconds() + 60000);
        _exit(0);
    }
    for (int index = 0; index < PROCESSES; index++) {
        children[index] = fork();
        if (children[index] == 0)
            _exit(places(&settings, "processes", deadline));
    }
    kill(victim, SIGKILL);
    waitpid(victim, &status, 0);
    total = 0;
    for (int index = 0; index < PROCESSES; index++) {
        waitpid(children[index], &status, 0);
        assert_true(WIFEXITED(status));
        total += WEXITSTATUS(status);
    }
    assert_between(total, 10, 52);
}

static void the_file_is_the_users_alone(void **state)
{
    struct settings settings = settings_of(100, 1);
    struct quota *quota = quota_open(&settings, "private", "https://cloud");
    char path[512];
    struct stat status;
    struct dirent *entry;
    DIR *listing;
    int files = 0;

    (void)state;
    snprintf(path, sizeof(path), "%s/aliyun-iot", folder);
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(status.st_mode & 0777, 0700);
    listing = opendir(path);
    assert_non_null(listing);
    while ((entry = readdir(listing))) {
        if (entry->d_name[0] == '.')
            continue;
        /* Which account it is for is nobody's business. */
        assert_null(strstr(entry->d_name, "private"));
        files++;
    }
    closedir(listing);
    assert_true(files > 0);
    quota_free(quota);
}

static void a_folder_of_somebody_else_is_not_trusted(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    struct quota *quota;
    char path[512];

    (void)state;
    snprintf(path, sizeof(path), "%s/open", folder);
    assert_int_equal(0, mkdir(path, 0700));
    setenv("XDG_RUNTIME_DIR", path, 1);
    snprintf(path, sizeof(path), "%s/open/aliyun-iot", folder);
    assert_int_equal(0, mkdir(path, 0777));
    assert_int_equal(0, chmod(path, 0777));
    quota = quota_open(&settings, "account", "https://cloud");
    assert_non_null(quota);
    /* It works all the same, for this process. */
    assert_int_equal(1, quota_wait(quota, false, monotonic_milliseconds() + 100, NULL));
    assert_int_equal(0, quota_wait(quota, false, monotonic_milliseconds() + 100, NULL));
    assert_int_equal(0, rmdir(path));
    quota_free(quota);
    setenv("XDG_RUNTIME_DIR", folder, 1);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && setenv("XDG_RUNTIME_DIR", folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[600];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(calls_are_spread_over_time),
            cmocka_unit_test(an_idle_queue_lets_a_burst_through_at_once),
            cmocka_unit_test(a_caller_who_cannot_wait_takes_no_place),
            cmocka_unit_test(accounts_and_endpoints_have_queues_of_their_own),
            cmocka_unit_test(work_behind_the_scenes_goes_only_through_an_empty_queue),
            cmocka_unit_test(a_throttled_call_halves_the_rate),
            cmocka_unit_test(processes_share_the_queue_even_if_one_is_killed_in_it),
            cmocka_unit_test(the_file_is_the_users_alone),
            cmocka_unit_test(a_folder_of_somebody_else_is_not_trusted),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
