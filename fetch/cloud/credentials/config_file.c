/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/text.h"

enum { LOCK_POLL_MS = 50 };

/* Names are relative to the open folder: what happens to its path meanwhile does not matter. */
struct config_file {
    char *path; /* without symbolic links */
    char *name, *lock_name, *new_name;
    int folder, lock, new_file; /* descriptors; -1: not open */
    struct config_file *next;   /* in the list below */
};

/*
 * The files that are locked, or about to be. A lock belongs to its descriptor, which a child of
 * fork() has too: if the child kept it, the lock would outlive a process that is killed.
 */
static struct config_file *files;
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;

static void close_files_in_child(void *unused)
{
    (void)unused;
    for (struct config_file *file = files; file; file = file->next) {
        close(file->lock);
        close(file->new_file);
        close(file->folder);
    }
    files = NULL;
}

static void take_part_in_fork(void)
{
    static struct fork_participant participant = {
            .lock = &files_lock, .reset_in_child = close_files_in_child};

    process_register(&participant);
}

static void add_to_files(struct config_file *file)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, take_part_in_fork);
    pthread_mutex_lock(&files_lock);
    file->next = files;
    files = file;
    pthread_mutex_unlock(&files_lock);
}

static void remove_from_files(struct config_file *file)
{
    pthread_mutex_lock(&files_lock);
    for (struct config_file **place = &files; *place; place = &(*place)->next) {
        if (*place == file) {
            *place = file->next;
            break;
        }
    }
    pthread_mutex_unlock(&files_lock);
}

static int fail_file(const struct config_file *file, const char *what, int number,
        struct aliyun_iot_error **error)
{
    return error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "%.200s: %s: %s", file->path, what,
            strerror(number));
}

static void discard_new_file(struct config_file *file)
{
    if (file->new_file < 0)
        return;
    close(file->new_file);
    file->new_file = -1;
    unlinkat(file->folder, file->new_name, 0);
}

void config_file_free(struct config_file *file)
{
    if (!file)
        return;
    discard_new_file(file);
    remove_from_files(file);
    if (file->lock >= 0) {
        /* A child forked meanwhile has the descriptor too, so that close() alone would not do. */
        flock(file->lock, LOCK_UN);
        close(file->lock);
    }
    if (file->folder >= 0)
        close(file->folder);
    free(file->path);
    free(file->name);
    free(file->lock_name);
    free(file->new_name);
    free(file);
}

/* Returns 1; or 0 with errno set. */
static int open_config_folder(struct config_file *file, const char *path)
{
    CLEANUP(free) char *folder = NULL;
    const char *slash;

    file->path = realpath(path, NULL);
    if (!file->path)
        return 0;
    slash = strrchr(file->path, '/');
    folder = strndup(file->path, (size_t)(slash - file->path) + 1);
    file->name = strdup(slash + 1);
    if (!folder || !file->name)
        return 0;
    if (asprintf(&file->lock_name, "%s.lock", file->name) < 0) {
        file->lock_name = NULL;
        return 0;
    }
    if (asprintf(&file->new_name, "%s.new", file->name) < 0) {
        file->new_name = NULL;
        return 0;
    }
    file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file->folder >= 0;
}

/* Gives a file of ours the old file's owner and those bits of its mode. Returns 0, or errno. */
static int keep_owner_and_mode(int descriptor, const struct stat *old, mode_t bits)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return errno;
    if ((status.st_uid != old->st_uid || status.st_gid != old->st_gid) &&
            fchown(descriptor, old->st_uid, old->st_gid) != 0)
        return errno;
    if ((status.st_mode & bits) != (old->st_mode & bits) &&
            fchmod(descriptor, old->st_mode & bits) != 0)
        return errno;
    return 0;
}

static int open_lock(struct config_file *file, struct aliyun_iot_error **error)
{
    enum { FLAGS = O_RDWR | O_NOFOLLOW | O_CLOEXEC };
    struct stat old;

    if (fstatat(file->folder, file->name, &old, 0) != 0)
        return fail_file(file, "it cannot be locked", errno, error);
    file->lock = openat(file->folder, file->lock_name, FLAGS | O_CREAT | O_EXCL, 0600);
    if (file->lock >= 0) {
        /* Or root, who was here first, would lock the file's owner out. */
        keep_owner_and_mode(file->lock, &old, 0666);
        return 1;
    }
    if (errno == EEXIST)
        file->lock = openat(file->folder, file->lock_name, FLAGS | O_NONBLOCK);
    return file->lock >= 0 ? 1 : fail_file(file, "its lock file cannot be opened", errno, error);
}

static int await_lock(struct config_file *file, int64_t deadline, struct aliyun_iot_error **error)
{
    while (flock(file->lock, LOCK_EX | LOCK_NB) != 0) {
        int64_t left_ms = deadline_left_ms(deadline);

        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail_file(file, "it cannot be locked", errno, error);
        if (left_ms == 0)
            return error_set(error, ALIYUN_IOT_REASON_TIMEOUT,
                    "%.200s.lock: another process has held the lock for too long", file->path);
        process_sleep(left_ms < LOCK_POLL_MS ? left_ms : LOCK_POLL_MS);
    }
    return 1;
}

struct config_file *config_file_lock(
        const char *path, int64_t deadline, struct aliyun_iot_error **error)
{
    CLEANUP(config_file_free) struct config_file *file = calloc(1, sizeof(*file));

    if (!file) {
        error_set_out_of_memory(error);
        return NULL;
    }
    file->folder = file->lock = file->new_file = -1;
    add_to_files(file);
    if (!open_config_folder(file, path)) {
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
                "%.200s: its folder cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    if (!open_lock(file, error) || !await_lock(file, deadline, error))
        return NULL;
    return take(file);
}

/* Returns 0, or errno. Outside the gate, like all that may wait for the disk. */
static int reserve(int descriptor, size_t size)
{
    struct rlimit limit;

    /* Beyond this limit the kernel would send SIGXFSZ, which ends the program. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
            size > limit.rlim_cur)
        return EFBIG;
    return WAIT_OUTSIDE(posix_fallocate(descriptor, 0, (off_t)size));
}

int config_file_prepare(struct config_file *file, size_t size, struct aliyun_iot_error **error)
{
    struct stat old;
    int problem;

    discard_new_file(file);
    if (fstatat(file->folder, file->name, &old, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_file(file, "it cannot be replaced", errno, error);
    if (!S_ISREG(old.st_mode))
        return fail_file(file, "it is not a regular file", EINVAL, error);
    /* A process that was killed may have left one. */
    unlinkat(file->folder, file->new_name, 0);
    file->new_file = openat(file->folder, file->new_name,
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file->new_file < 0)
        return fail_file(file, "its folder cannot be written", errno, error);
    problem = keep_owner_and_mode(file->new_file, &old, 07777);
    if (problem) {
        discard_new_file(file);
        return fail_file(file, "a new file cannot have its owner and mode", problem, error);
    }
    problem = reserve(file->new_file, size);
    if (problem) {
        discard_new_file(file);
        return fail_file(file, "there is no room for a new file", problem, error);
    }
    return 1;
}

/* Returns 0, or errno. */
static int sync_to_disk(int descriptor)
{
    return WAIT_OUTSIDE(fsync(descriptor)) == 0 ? 0 : errno;
}

/* Returns 0, or errno. */
static int write_all(int descriptor, const BUF_MEM *text)
{
    for (size_t done = 0; done < text->length;) {
        ssize_t count = write(descriptor, text->data + done, text->length - done);

        if (count < 0 && errno != EINTR)
            return errno;
        done += (size_t)(count > 0 ? count : 0);
    }
    if (ftruncate(descriptor, (off_t)text->length) != 0)
        return errno;
    return sync_to_disk(descriptor);
}

int config_file_replace(
        struct config_file *file, const BUF_MEM *text, struct aliyun_iot_error **error)
{
    int problem = write_all(file->new_file, text);

    if (!problem && renameat(file->folder, file->new_name, file->folder, file->name) != 0)
        problem = errno;
    if (problem) {
        discard_new_file(file);
        return fail_file(file, "it cannot be replaced", problem, error);
    }
    close(file->new_file);
    file->new_file = -1;
    /* Some file systems cannot do this for a folder, and need not. */
    sync_to_disk(file->folder);
    return 1;
}
