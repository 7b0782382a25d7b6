/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/quota_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/process.h"

enum {
    BOOT_ID_SIZE = 40, /* bytes: a UUID as text, and zeros */
    /* A lock is held for microseconds, unless its holder was stopped. */
    LOCK_WAIT_MS = 250,
    LOCK_PAUSE_MS = 1 /* between two tries */
};

/* What the file holds. */
struct record {
    char boot_id[BOOT_ID_SIZE];
    struct quota_queue queue;
};

/* CLOCK_BOOTTIME begins anew at each boot, but /tmp of a container or a disk stays. */
static char boot_id[BOOT_ID_SIZE]; /* zeros: it cannot be read here */

static void read_boot_id(void)
{
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return;
    if (read(file, boot_id, sizeof(boot_id) - 1) <= 0)
        memset(boot_id, 0, sizeof(boot_id));
    close(file);
}

static void close_keeping_errno(int descriptor)
{
    int before = errno;

    close(descriptor);
    errno = before;
}

/*
 * Checks that a file or folder is the user's, and takes from others what they may do with it.
 * Returns false with errno set.
 */
static bool make_private(int descriptor, mode_t type, mode_t mode)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return false;
    if ((status.st_mode & S_IFMT) != type || status.st_uid != geteuid()) {
        errno = EPERM;
        return false;
    }
    return (status.st_mode & 07777) == mode || fchmod(descriptor, mode) == 0;
}

/* Anybody can make a folder in /tmp, so one that exists is trusted only if it is the user's. */
static int open_folder_in(int parent, const char *name)
{
    int folder;

    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
        return -1;
    folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 || make_private(folder, S_IFDIR, 0700))
        return folder;
    close_keeping_errno(folder);
    return -1;
}

/*
 * If root has the XDG_RUNTIME_DIR of another user (sudo -E), a folder made there would lock that
 * user out.
 */
static int open_runtime_directory(void)
{
    const char *path = secure_getenv("XDG_RUNTIME_DIR");
    struct stat status;
    int directory;

    if (!path || *path != '/') {
        errno = ENOENT;
        return -1;
    }
    directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || (fstat(directory, &status) == 0 && status.st_uid == geteuid()))
        return directory;
    close(directory);
    errno = EPERM;
    return -1;
}

static int open_folder(enum quota_folder folder)
{
    char name[sizeof("aliyun-iot-18446744073709551615")] = "aliyun-iot";
    int parent, opened;

    if (folder == QUOTA_FOLDER_RUNTIME) {
        parent = open_runtime_directory();
    } else {
        parent = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
        snprintf(name, sizeof(name), "aliyun-iot-%lu", (unsigned long)geteuid());
    }
    if (parent < 0)
        return -1;
    opened = open_folder_in(parent, name);
    close_keeping_errno(parent);
    return opened;
}

static int open_file(enum quota_folder where, const char *name)
{
    int folder = open_folder(where), file;

    if (folder < 0)
        return -1;
    file = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    close_keeping_errno(folder);
    if (file < 0 || make_private(file, S_IFREG, 0600))
        return file;
    close_keeping_errno(file);
    return -1;
}

static bool lock(int file)
{
    int64_t deadline = monotonic_milliseconds() + LOCK_WAIT_MS;

    while (flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return false;
        if (deadline_left_ms(deadline) == 0) {
            errno = EBUSY;
            return false;
        }
        process_sleep(LOCK_PAUSE_MS);
    }
    return true;
}

int quota_file_open(enum quota_folder folder, const char *name, struct quota_queue *queue)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int file = open_file(folder, name);
    struct record record;

    if (file < 0)
        return -1;
    if (!lock(file)) {
        close_keeping_errno(file);
        return -1;
    }
    pthread_once(&once, read_boot_id);
    *queue = (struct quota_queue){0};
    if (pread(file, &record, sizeof(record), 0) == sizeof(record) &&
            (!*boot_id || memcmp(record.boot_id, boot_id, sizeof(boot_id)) == 0))
        *queue = record.queue;
    return file;
}

bool quota_file_write(int file, const struct quota_queue *queue)
{
    struct record record = {.queue = *queue};
    ssize_t written;

    memcpy(record.boot_id, boot_id, sizeof(boot_id));
    written = pwrite(file, &record, sizeof(record), 0);
    if (written >= 0 && written != sizeof(record))
        errno = ENOSPC;
    return written == sizeof(record);
}

/* A child that is forked meanwhile shares the lock, so closing alone would not release it. */
void quota_file_close(int file)
{
    flock(file, LOCK_UN);
    close(file);
}
