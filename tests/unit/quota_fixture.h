/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the quota have in common: a runtime folder for each test, and calls in it. */
#ifndef QUOTA_FIXTURE_H
#define QUOTA_FIXTURE_H

#include "unit.h"

#include <dirent.h>
#include <pthread.h>

#include "base/deadline.h"
#include "clock_double.h"
#include "cloud/quota.h"

#define CLOUD "https://cloud"

static char folder[] = "/tmp/quota-test-XXXXXX";
static char account[] = "default";

static inline struct settings settings_of(double rate, int64_t burst)
{
    return (struct settings){.quota_rate = rate, .quota_burst = burst, .quota_account = account};
}

/* One call that may wait that long. */
static inline int wait_for(const struct settings *settings, int64_t wait_max, bool background,
        struct aliyun_iot_error **error)
{
    CLEANUP(quota_free) struct quota *quota = quota_open(settings, CLOUD);

    assert_non_null(quota);
    return quota_wait(quota, background, monotonic_milliseconds() + wait_max, error);
}

/* How many of so many calls find a place now, with no time to wait. */
static inline int places(const struct settings *settings, int tries)
{
    int found = 0;

    for (int call = 0; call < tries; call++)
        found += wait_for(settings, 0, false, NULL);
    return found;
}

/* The path of the only queue in the folder for runtime files; the buffer is the caller's. */
static inline const char *queue_file(char path[512])
{
    struct dirent *entry;
    DIR *listing;
    int files = 0;

    snprintf(path, 512, "%s/aliyun-iot", getenv("XDG_RUNTIME_DIR"));
    listing = opendir(path);
    assert_non_null(listing);
    while ((entry = readdir(listing))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, 512, "%s/aliyun-iot/%.200s", getenv("XDG_RUNTIME_DIR"), entry->d_name);
        files++;
    }
    closedir(listing);
    assert_int_equal(files, 1);
    return path;
}

static inline void *take_in_thread(void *context)
{
    int *found = context;
    struct settings settings = settings_of(0.1, 100);

    *found = places(&settings, 50);
    return NULL;
}

/* Threads of one process take exactly the burst. */
static inline int threads_share(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int found[THREADS], total = 0;

    clock_stands_still = true;
    for (int index = 0; index < THREADS; index++)
        if (pthread_create(&threads[index], NULL, take_in_thread, &found[index]) != 0)
            return 1;
    for (int index = 0; index < THREADS; index++) {
        pthread_join(threads[index], NULL);
        total += found[index];
    }
    clock_stands_still = false;
    return total == 100 ? 0 : 1;
}

static inline int make_folder(void **state)
{
    (void)state;
    memcpy(strrchr(folder, '-'), "-XXXXXX", 7);
    return mkdtemp(folder) && setenv("XDG_RUNTIME_DIR", folder, 1) == 0 ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    char command[600];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

static inline int start_clock(void **state)
{
    (void)state;
    return clock_start();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

#endif
