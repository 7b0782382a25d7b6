/* SPDX-License-Identifier: Apache-2.0 */
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "../background.h"
#include "../cryptography.h"
#include "../deadline.h"
#include "../trace.h"

#define SECOND INT64_C(1000000000) /* nanoseconds */

enum {
    RECOVERY = 30,   /* seconds in which a halved rate grows back */
    QUEUE_MAX = 3600 /* seconds: a time stamp further ahead is of another boot, or damage */
};

/*
 * What the file holds, in nanoseconds of CLOCK_BOOTTIME, which all processes of a machine share and
 * no one can set.
 */
struct shared {
    _Atomic int64_t next;      /* when the queue is empty: the theoretical arrival time */
    _Atomic int64_t throttled; /* when the service last throttled a call; 0: never */
};

/* The queue of this process alone, where no file can be had. */
static struct shared unshared;

struct quota {
    const struct settings *settings;
    struct shared *shared;
};

DEFINE_CLEANUP(char *, free);

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* $XDG_RUNTIME_DIR/aliyun-iot, or a folder of the user's own in /tmp. To be freed; NULL: none. */
static char *runtime_folder(void)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char *folder;
    int size;

    if (runtime && *runtime == '/')
        size = asprintf(&folder, "%s/aliyun-iot", runtime);
    else
        size = asprintf(&folder, "/tmp/aliyun-iot-%lu", (unsigned long)geteuid());
    return size < 0 ? NULL : folder;
}

/* Makes the folder, and trusts it only if it is the user's alone: anybody can make one in /tmp. */
static int open_folder(const char *path)
{
    struct stat status;
    int folder;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return -1;
    if (fstat(folder, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 077) == 0)
        return folder;
    close(folder);
    errno = EPERM;
    return -1;
}

/* "quota-" and a digest, since an AccessKey id and a URL are no file name. Returns 0 on failure. */
static int name_file(
        const char *account, const char *endpoint, char name[6 + 2 * SHA256_DIGEST_LENGTH + 1])
{
    OSSL_LIB_CTX *context = cryptography_context(NULL);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    CLEANUP(free) char *both = NULL;

    if (asprintf(&both, "%s %s", account, endpoint) < 0) {
        both = NULL;
        return 0;
    }
    if (!context || !EVP_Q_digest(context, "SHA256", NULL, both, strlen(both), digest, NULL))
        return 0;
    snprintf(name, 7, "quota-");
    for (size_t index = 0; index < sizeof(digest); index++)
        snprintf(name + 6 + 2 * index, 3, "%02x", digest[index]);
    return 1;
}

/* The mapping of the file; NULL with errno set. A new file is all zeros: an empty queue. */
static struct shared *map_file(int folder, const char *name)
{
    int file = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    struct stat status;
    void *mapped = MAP_FAILED;

    if (file < 0)
        return NULL;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
            (status.st_size >= (off_t)sizeof(struct shared) ||
                    ftruncate(file, sizeof(struct shared)) == 0))
        mapped = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static struct shared *open_shared(const char *account, const char *endpoint)
{
    char name[6 + 2 * SHA256_DIGEST_LENGTH + 1];
    CLEANUP(free) char *path = runtime_folder();
    struct shared *shared;
    int folder;

    if (!path || !name_file(account, endpoint, name))
        return NULL;
    folder = open_folder(path);
    if (folder < 0)
        return NULL;
    shared = map_file(folder, name);
    close(folder);
    return shared;
}

struct quota *quota_open(const struct settings *settings, const char *account, const char *endpoint)
{
    struct quota *quota = calloc(1, sizeof(*quota));

    if (!quota)
        return NULL;
    quota->settings = settings;
    quota->shared = open_shared(account, endpoint);
    if (!quota->shared) {
        quota->shared = &unshared;
        trace(settings, TRACE_ERROR,
                "quota not shared with other processes: no file in the runtime folder: %s",
                strerror(errno));
    }
    return quota;
}

void quota_free(struct quota *quota)
{
    if (!quota)
        return;
    if (quota->shared != &unshared)
        munmap(quota->shared, sizeof(*quota->shared));
    free(quota);
}

/* Nanoseconds between two calls: doubled just after a throttled call, and less by the second. */
static int64_t interval(const struct quota *quota, int64_t time)
{
    int64_t throttled = atomic_load(&quota->shared->throttled);
    double rate = quota->settings->quota_rate;
    int64_t since = time - throttled;

    if (throttled != 0 && since >= 0 && since < RECOVERY * SECOND)
        rate *= 0.5 + 0.5 * (double)since / (double)(RECOVERY * SECOND);
    return (int64_t)((double)SECOND / rate);
}

static int refuse(const struct quota *quota, int64_t wait, struct aliyun_iot_error **error)
{
    return error_set(error, ALIYUN_IOT_REASON_THROTTLED,
            "the queue for the account's quota of calls (%.1f a second) is %.1f seconds long, "
            "longer than this call may take; try again later, or raise timeout in aliyun-iot.conf",
            quota->settings->quota_rate, (double)wait / (double)SECOND);
}

/*
 * Takes the next place. Returns how long to wait for it, in nanoseconds; -1 with *error set when
 * that is longer than wait_max, and no place is taken.
 */
static int64_t take_place(const struct quota *quota, bool background, int64_t wait_max,
        struct aliyun_iot_error **error)
{
    int64_t next = atomic_load(&quota->shared->next);

    for (;;) {
        int64_t time = now(), step = interval(quota, time);
        int64_t begin = next > time && next - time < QUEUE_MAX * SECOND ? next : time;
        int64_t wait = begin - (quota->settings->quota_burst - 1) * step - time;

        if (wait < 0)
            wait = 0;
        if (wait > wait_max || (background && wait > 0)) {
            refuse(quota, wait, error);
            return -1;
        }
        if (atomic_compare_exchange_weak(&quota->shared->next, &next, begin + step))
            return wait;
    }
}

int quota_wait(
        struct quota *quota, bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    int64_t wait = take_place(quota, background, deadline_left(deadline) * (SECOND / 1000), error);

    if (wait < 0)
        return 0;
    if (wait == 0)
        return 1;
    trace(quota->settings, TRACE_DEBUG, "quota wait_ms=%lld", (long long)(wait / 1000000));
    if (background_sleep((wait + 999999) / 1000000))
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_INTERNAL, "the process is exiting");
}

void quota_throttled(struct quota *quota)
{
    atomic_store(&quota->shared->throttled, now());
    trace(quota->settings, TRACE_ERROR, "quota throttled by the service: rate halved");
}
