/* SPDX-License-Identifier: Apache-2.0 */
/* The quota's file in hard places: others' folders, full disks, damage, other boots. */
#include "quota_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_file_is_the_users_alone(void **state)
{
    struct settings settings = settings_of(100, 1);
    char path[512];
    struct stat status;

    (void)state;
    assert_int_equal(places(&settings, 1), 1);
    assert_int_equal(0, stat(queue_file(path), &status));
    assert_int_equal(status.st_mode & 0777, 0600);
    /* Which account and endpoint it is for is nobody's business. */
    assert_null(strstr(path, "default"));
    assert_null(strstr(path, "cloud"));
    *strrchr(path, '/') = '\0';
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void modes_that_let_others_in_are_repaired(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    char path[512];
    struct stat status;

    (void)state;
    assert_int_equal(places(&settings, 2), 1);
    assert_int_equal(0, chmod(queue_file(path), 0644));
    snprintf(path, sizeof(path), "%s/aliyun-iot", getenv("XDG_RUNTIME_DIR"));
    assert_int_equal(0, chmod(path, 0755));
    /* It is still the same queue. */
    assert_int_equal(places(&settings, 2), 0);
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(0, stat(queue_file(path), &status));
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void a_file_that_somebody_truncates_kills_nobody(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    CLEANUP(quota_free) struct quota *quota = quota_open(&settings, CLOUD);
    char path[512];

    (void)state;
    for (off_t size = 0; size < 88; size += 8) {
        assert_int_equal(1, quota_wait(quota, false, monotonic_milliseconds(), NULL));
        assert_int_equal(0, quota_wait(quota, false, monotonic_milliseconds(), NULL));
        assert_int_equal(0, truncate(queue_file(path), size));
        if (size >= 80)
            assert_int_equal(0, quota_wait(quota, false, monotonic_milliseconds(), NULL));
    }
}

static int truncate_for_ever(void)
{
    char path[512];

    queue_file(path);
    for (;;)
        if (truncate(path, 0) != 0)
            return 1;
}

static void a_process_that_truncates_the_file_all_the_time_kills_nobody(void **state)
{
    struct settings settings = settings_of(100, 1);
    pid_t child;

    (void)state;
    assert_int_equal(places(&settings, 1), 1);
    child = fork();
    if (child == 0)
        _exit(truncate_for_ever());
    for (int call = 0; call < 500; call++)
        assert_int_equal(1, wait_for(&settings, 1000, false, NULL));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void write_at(const char *path, off_t offset, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY);

    assert_true(file >= 0);
    assert_int_equal(pwrite(file, bytes, size, offset), size);
    close(file);
}

static void a_damaged_file_is_an_empty_queue_from_then_on_shared_again(void **state)
{
    static const char bytes[] = {0, 1, 0x55, 0x7f, (char)0x80, (char)0xff};
    struct settings settings = settings_of(0.1, 1);
    char path[512], damage[80];

    (void)state;
    assert_int_equal(places(&settings, 2), 1);
    queue_file(path);
    for (size_t index = 0; index < sizeof(bytes); index++) {
        memset(damage, bytes[index], sizeof(damage));
        write_at(path, 0, damage, sizeof(damage));
        assert_int_equal(places(&settings, 2), 1);
        assert_int_equal(places(&settings, 2), 0);
    }
}

/* Behind the boot's id, which takes 40 bytes. */
static void damaged_times_stop_no_call(void **state)
{
    static const int64_t times[] = {INT64_MIN, -1, INT64_C(1) << 60, INT64_MAX};
    struct settings settings = settings_of(0.1, 1);
    char path[512];

    (void)state;
    assert_int_equal(places(&settings, 2), 1);
    for (size_t index = 0; index < sizeof(times) / sizeof(times[0]); index++) {
        for (off_t offset = 40; offset < 72; offset += sizeof(times[0])) {
            clock_advance(60 * 1000);
            assert_int_equal(places(&settings, 2), 1);
            write_at(queue_file(path), offset, &times[index], sizeof(times[index]));
            assert_int_equal(1, wait_for(&settings, 11 * 1000, false, NULL));
        }
    }
}

static void the_times_of_another_boot_stop_no_call(void **state)
{
    struct settings settings = settings_of(0.1, 100);
    char path[512];

    (void)state;
    assert_int_equal(places(&settings, 100), 100);
    /* The queue is long, and the machine starts again. */
    assert_int_equal(places(&settings, 1), 0);
    write_at(queue_file(path), 0, "00000000-0000-0000-0000-000000000000", 36);
    assert_int_equal(places(&settings, 100), 100);
    assert_int_equal(places(&settings, 1), 0);
}

static void a_file_of_another_kind_is_not_used_and_stops_nobody(void **state)
{
    struct settings settings = settings_of(0.1, 1);
    char path[512], target[600];
    struct stat status;

    (void)state;
    assert_int_equal(places(&settings, 1), 1);
    snprintf(target, sizeof(target), "%s/target", folder);
    assert_int_equal(0, unlink(queue_file(path)));
    assert_int_equal(0, symlink(target, path));
    places(&settings, 1);
    assert_int_equal(-1, stat(target, &status));
    assert_int_equal(0, unlink(path));
    assert_int_equal(0, mkfifo(path, 0600));
    places(&settings, 1);
    assert_int_equal(0, unlink(path));
}

/* In a child that has a /tmp of its own, with a runtime folder in it. Needs root. */
static const char *tmp_options;
static int (*in_tmp)(void);

static int with_tmp(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", "/tmp", "tmpfs", 0, tmp_options) != 0)
        return 77;
    if (mkdir("/tmp/runtime", 0700) != 0 || setenv("XDG_RUNTIME_DIR", "/tmp/runtime", 1) != 0)
        return 1;
    return in_tmp();
}

static void in_own_tmp(const char *options, int (*body)(void))
{
    pid_t child;
    int status;

    tmp_options = options;
    in_tmp = body;
    child = fork();
    if (child == 0)
        _exit(with_tmp());
    assert_int_equal(child, waitpid(child, &status, 0));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with wait status %#x", status);
}

/* Fails the child with the number of the line. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* How often the trace says that the queue is not shared. */
static int complaints(void)
{
    FILE *file = fopen("/dev/shm/quota-trace", "r");
    char line[1024];
    int count = 0;

    while (file && fgets(line, sizeof(line), file))
        count += strstr(line, "not shared") != NULL;
    if (file)
        fclose(file);
    return count;
}

static int wait_on_a_full_disk(void)
{
    static char trace_file[] = "/dev/shm/quota-trace";
    struct settings settings = settings_of(0.1, 10);
    int file = open("/tmp/filler", O_WRONLY | O_CREAT, 0600);
    static const char block[4096];

    settings.trace_file = trace_file;
    settings.trace_level = TRACE_ERROR;
    while (write(file, block, sizeof(block)) == sizeof(block)) {
    }
    close(file);
    unlink(trace_file);
    /* The process has a queue of its own, and says so once. */
    check(places(&settings, 20) == 10);
    check(complaints() == 1);
    clock_advance(20 * 1000);
    check(places(&settings, 20) == 2);
    check(complaints() == 1);
    clock_advance(1000 * 1000);
    check(threads_share() == 0);
    unlink("/tmp/filler");
    check(places(&settings, 20) == 10);
    clock_advance(1000 * 1000);
    unlink(trace_file);
    return 0;
}

static void on_a_full_disk_the_process_has_a_queue_of_its_own(void **state)
{
    (void)state;
    in_own_tmp("size=64k", wait_on_a_full_disk);
}

static int threads_share_on_a_read_only_disk(void)
{
    check(mount("tmpfs", "/tmp", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
    return threads_share();
}

static void on_a_read_only_disk_threads_share_the_queue_of_the_process(void **state)
{
    (void)state;
    in_own_tmp(NULL, threads_share_on_a_read_only_disk);
}

static int have_a_foreign_runtime_folder(void)
{
    struct settings settings = settings_of(0.1, 1);
    struct stat status;

    check(chown("/tmp/runtime", 12345, 12345) == 0);
    check(places(&settings, 2) == 1);
    check(stat("/tmp/runtime/aliyun-iot", &status) != 0);
    check(stat("/tmp/aliyun-iot-0", &status) == 0 && (status.st_mode & 0777) == 0700);
    return 0;
}

static void nothing_is_made_in_the_runtime_folder_of_another_user(void **state)
{
    (void)state;
    in_own_tmp(NULL, have_a_foreign_runtime_folder);
}

static int have_a_folder_of_somebody_else(void)
{
    struct settings settings = settings_of(0.1, 1);
    struct stat status;

    check(mkdir("/tmp/runtime/aliyun-iot", 0777) == 0);
    check(chown("/tmp/runtime/aliyun-iot", 12345, 12345) == 0);
    check(places(&settings, 2) == 1);
    check(stat("/tmp/aliyun-iot-0", &status) == 0);
    /* Then the other one is somebody else's too. */
    check(chown("/tmp/aliyun-iot-0", 12345, 12345) == 0);
    check(places(&settings, 2) == 1);
    check(places(&settings, 2) == 0);
    return 0;
}

static void a_folder_of_somebody_else_is_not_trusted(void **state)
{
    (void)state;
    in_own_tmp(NULL, have_a_folder_of_somebody_else);
}

static int wait_while_the_file_is_locked(void)
{
    struct settings settings = settings_of(0.1, 1);
    int64_t begun = monotonic_milliseconds();
    char path[512];
    int file;

    check(places(&settings, 2) == 1);
    file = open(queue_file(path), O_RDONLY);
    check(flock(file, LOCK_EX) == 0);
    check(places(&settings, 1) == 1);
    check(monotonic_milliseconds() - begun <= 1000);
    /* Those in the same place find the same queue. */
    check(places(&settings, 1) == 0);
    check(flock(file, LOCK_UN) == 0);
    check(places(&settings, 1) == 0);
    close(file);
    return 0;
}

static void a_process_that_is_stopped_with_the_lock_holds_up_nobody(void **state)
{
    (void)state;
    in_own_tmp(NULL, wait_while_the_file_is_locked);
}

static int lose_the_folder(void)
{
    struct settings settings = settings_of(0.1, 1);
    char path[512];

    check(places(&settings, 2) == 1);
    check(unlink(queue_file(path)) == 0 && rmdir("/tmp/runtime/aliyun-iot") == 0);
    check(places(&settings, 2) == 1);
    check(unlink(queue_file(path)) == 0 && rmdir("/tmp/runtime/aliyun-iot") == 0);
    check(rmdir("/tmp/runtime") == 0);
    check(places(&settings, 2) == 1);
    return 0;
}

static void a_folder_that_is_removed_is_made_again(void **state)
{
    (void)state;
    in_own_tmp(NULL, lose_the_folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(the_file_is_the_users_alone),
            TEST(modes_that_let_others_in_are_repaired),
            TEST(a_file_that_somebody_truncates_kills_nobody),
            TEST(a_process_that_truncates_the_file_all_the_time_kills_nobody),
            TEST(a_damaged_file_is_an_empty_queue_from_then_on_shared_again),
            TEST(damaged_times_stop_no_call),
            TEST(the_times_of_another_boot_stop_no_call),
            TEST(a_file_of_another_kind_is_not_used_and_stops_nobody),
            TEST(on_a_full_disk_the_process_has_a_queue_of_its_own),
            TEST(on_a_read_only_disk_threads_share_the_queue_of_the_process),
            TEST(nothing_is_made_in_the_runtime_folder_of_another_user),
            TEST(a_folder_of_somebody_else_is_not_trusted),
            TEST(a_process_that_is_stopped_with_the_lock_holds_up_nobody),
            TEST(a_folder_that_is_removed_is_made_again),
    };

    return cmocka_run_group_tests(tests, start_clock, NULL);
}
