/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NEW_PREFIX ".new-"
#define SET_ASIDE "set-aside"

enum {
    PREFIX_SIZE = 2,            /* characters of an entry's name that name its folder */
    NEW_NAME_SIZE = 32,         /* of a file that is being written, with its NUL */
    ABANDONED_AFTER_S = 60 * 60 /* no writer takes so long */
};

static const char no_regular_file[] = "it is a symbolic link, or no regular file";

DEFINE_CLEANUP(DIR *, closedir);

void files_close(const int *folder)
{
    if (*folder >= 0) {
        int before = errno;

        close(*folder);
        errno = before;
    }
}

/* Returns what is wrong with a file or folder of that type; NULL: nothing. */
static const char *find_fault(int descriptor, mode_t type, struct stat *status)
{
    if (fstat(descriptor, status) != 0)
        return strerror(errno);
    if ((status->st_mode & S_IFMT) != type)
        return type == S_IFDIR ? "it is no folder" : no_regular_file;
    if (status->st_uid != geteuid())
        return "it belongs to another user";
    if (status->st_mode & (S_IRWXG | S_IRWXO))
        return type == S_IFDIR ? "others may use it; its mode must be 0700"
                               : "others may use it; its mode must be 0600";
    return NULL;
}

static files_problem open_folder(int at, const char *name, int *folder)
{
    struct stat status;
    files_problem problem;

    *folder = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*folder < 0)
        return errno == ENOTDIR || errno == ELOOP ? "it is a symbolic link, or no folder"
                                                  : strerror(errno);
    problem = find_fault(*folder, S_IFDIR, &status);
    if (!problem)
        return NULL;
    close(*folder);
    *folder = -1;
    return problem;
}

files_problem files_open(const char *path, int *folder)
{
    return open_folder(AT_FDCWD, path, folder);
}

static files_problem make_folder(int at, const char *name, int *folder)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return strerror(errno);
    return open_folder(at, name, folder);
}

static bool is_empty(int folder)
{
    CLEANUP(closedir) DIR *entries = NULL;
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;

    entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (!entries)
        return false;
    while ((entry = readdir(entries)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    return true;
}

files_problem files_create(const char *path, int *folder)
{
    files_problem problem = make_folder(AT_FDCWD, path, folder);

    if (problem || is_empty(*folder))
        return problem;
    close(*folder);
    *folder = -1;
    return "it is not empty";
}

static bool is_entry(const char *name)
{
    return strlen(name) == strspn(name, "0123456789abcdef") && strlen(name) > PREFIX_SIZE;
}

/*
 * Opens the folder that a file of that name lies in, and makes it if it is to be made. *there is -1
 * without a problem: it is not there.
 */
static files_problem open_folder_of(int folder, const char *name, bool is_to_be_made, int *there)
{
    char prefix[PREFIX_SIZE + 1] = {name[0], name[1], '\0'};
    files_problem problem;

    if (!is_entry(name))
        return open_folder(folder, ".", there);
    if (is_to_be_made) {
        if (mkdirat(folder, prefix, 0700) == 0)
            fsync(folder);
        else if (errno != EEXIST)
            return strerror(errno);
    }
    problem = open_folder(folder, prefix, there);
    return *there < 0 && errno == ENOENT && !is_to_be_made ? NULL : problem;
}

static files_problem read_whole(int descriptor, struct file *file, size_t size)
{
    /* One more byte, to see whether it grows meanwhile. */
    file->bytes = malloc(size + 1);
    if (!file->bytes)
        return strerror(ENOMEM);
    while (file->size <= size) {
        ssize_t got = read(descriptor, file->bytes + file->size, size + 1 - file->size);

        if (got == 0)
            return NULL;
        if (got < 0 && errno != EINTR)
            return strerror(errno);
        file->size += got > 0 ? (size_t)got : 0;
    }
    return NULL;
}

files_problem files_read(int folder, const char *name, struct file *file, const char **fault)
{
    FILES_CLEANUP int there = -1, descriptor = -1;
    files_problem problem = open_folder_of(folder, name, false, &there);
    struct stat status;

    *file = (struct file){.bytes = NULL};
    *fault = NULL;
    if (problem || there < 0)
        return problem;
    descriptor = openat(there, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0 && (errno == ELOOP || errno == ENXIO))
        *fault = no_regular_file;
    if (descriptor < 0)
        return *fault || errno == ENOENT ? NULL : strerror(errno);
    *fault = find_fault(descriptor, S_IFREG, &status);
    if (!*fault && status.st_size > FILES_SIZE_MAX)
        *fault = "it is too long";
    if (*fault)
        return NULL;
    file->inode = status.st_ino;
    file->written = status.st_mtim;
    problem = read_whole(descriptor, file, (size_t)status.st_size);
    if (problem) {
        free(file->bytes);
        *file = (struct file){.bytes = NULL};
    }
    return problem;
}

static files_problem write_whole(int descriptor, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, bytes, size);

        if (written < 0 && errno != EINTR)
            return strerror(errno);
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return fchmod(descriptor, 0600) != 0 || fsync(descriptor) != 0 ? strerror(errno) : NULL;
}

/* A name that no other writer has. */
static files_problem choose_name(char name[NEW_NAME_SIZE])
{
    unsigned long long number;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        return strerror(errno);
    snprintf(name, NEW_NAME_SIZE, NEW_PREFIX "%016llx", number);
    return NULL;
}

/* Whether a file is still the one that was read. */
static bool is_unchanged(int folder, const char *name, const struct file *read)
{
    struct stat status;

    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_ino == read->inode && status.st_mtim.tv_sec == read->written.tv_sec &&
           status.st_mtim.tv_nsec == read->written.tv_nsec;
}

/* Gives the file new_name, which is written, its name. */
static files_problem put_in_place(int there, const char *new_name, const char *name,
        const struct file *read, bool *was_changed)
{
    const char *problem = NULL;

    *was_changed = read && !is_unchanged(there, name, read);
    if (!*was_changed && renameat(there, new_name, there, name) == 0)
        return fsync(there) != 0 ? strerror(errno) : NULL;
    if (!*was_changed)
        problem = strerror(errno);
    unlinkat(there, new_name, 0);
    return problem;
}

static files_problem write_file(int folder, const char *name, const struct file *read,
        const void *bytes, size_t size, bool *was_changed)
{
    FILES_CLEANUP int there = -1, descriptor = -1;
    char new_name[NEW_NAME_SIZE];
    files_problem problem = open_folder_of(folder, name, true, &there);

    if (!problem)
        problem = choose_name(new_name);
    if (problem)
        return problem;
    descriptor =
            openat(there, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return strerror(errno);
    problem = write_whole(descriptor, bytes, size);
    if (!problem)
        return put_in_place(there, new_name, name, read, was_changed);
    unlinkat(there, new_name, 0);
    return problem;
}

files_problem files_write(int folder, const char *name, const void *bytes, size_t size)
{
    bool was_changed;

    return write_file(folder, name, NULL, bytes, size, &was_changed);
}

files_problem files_replace(int folder, const char *name, const struct file *read,
        const void *bytes, size_t size, bool *was_changed)
{
    *was_changed = false;
    return write_file(folder, name, read, bytes, size, was_changed);
}

files_problem files_remove(int folder, const char *name)
{
    FILES_CLEANUP int there = -1;
    files_problem problem = open_folder_of(folder, name, false, &there);

    if (problem || there < 0)
        return problem;
    if (unlinkat(there, name, 0) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    return fsync(there) != 0 ? strerror(errno) : NULL;
}

files_problem files_set_aside(int folder, const char *name)
{
    FILES_CLEANUP int there = -1, aside = -1;
    files_problem problem = open_folder_of(folder, name, false, &there);

    if (!problem && there >= 0)
        problem = make_folder(folder, SET_ASIDE, &aside);
    if (problem || there < 0)
        return problem;
    return renameat(there, name, aside, name) != 0 && errno != ENOENT ? strerror(errno) : NULL;
}

/* Opens a folder to be listed. NULL with errno set. */
static DIR *list_folder(int folder, const char *name)
{
    int descriptor = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = descriptor >= 0 ? fdopendir(descriptor) : NULL;

    if (!entries)
        files_close(&descriptor);
    return entries;
}

size_t files_count_set_aside(int folder)
{
    CLEANUP(closedir) DIR *entries = list_folder(folder, SET_ASIDE);
    const struct dirent *entry;
    size_t count = 0;

    while (entries && (entry = readdir(entries)))
        count += is_entry(entry->d_name);
    return count;
}

static void remove_if_abandoned(int folder, const char *name)
{
    struct stat status;

    if (strncmp(name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0 &&
            fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime + ABANDONED_AFTER_S < time(NULL))
        unlinkat(folder, name, 0);
}

/* Returns false when visit did, or with errno set. */
static bool visit_folder(int folder, const char *prefix,
        bool (*visit)(void *context, const char *name), void *context)
{
    CLEANUP(closedir) DIR *entries = list_folder(folder, prefix);
    const struct dirent *entry;

    if (!entries)
        return false;
    errno = 0;
    while ((entry = readdir(entries))) {
        bool goes_on = true;

        if (!is_entry(entry->d_name))
            remove_if_abandoned(dirfd(entries), entry->d_name);
        else if (strncmp(entry->d_name, prefix, PREFIX_SIZE) == 0)
            goes_on = visit(context, entry->d_name);
        errno = 0;
        if (!goes_on)
            return false;
    }
    return errno == 0;
}

files_problem files_visit(int folder, bool (*visit)(void *context, const char *name), void *context)
{
    CLEANUP(closedir) DIR *prefixes = list_folder(folder, ".");
    const struct dirent *prefix;

    if (!prefixes)
        return strerror(errno);
    while ((prefix = readdir(prefixes))) {
        if (strlen(prefix->d_name) == PREFIX_SIZE &&
                strspn(prefix->d_name, "0123456789abcdef") == PREFIX_SIZE) {
            errno = 0;
            if (!visit_folder(folder, prefix->d_name, visit, context))
                return errno ? strerror(errno) : NULL;
        } else {
            remove_if_abandoned(folder, prefix->d_name);
        }
    }
    return NULL;
}

static files_problem lock(int descriptor, bool *is_taken)
{
    *is_taken = false;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    *is_taken = errno == EWOULDBLOCK;
    return *is_taken ? NULL : strerror(errno);
}

files_problem files_lock_for_agent(int folder, int *agent_lock, bool *is_taken)
{
    files_problem problem;

    *is_taken = false;
    *agent_lock = openat(folder, FILES_AGENT_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*agent_lock < 0)
        return strerror(errno);
    problem = lock(*agent_lock, is_taken);
    if (problem || *is_taken) {
        close(*agent_lock);
        *agent_lock = -1;
    }
    return problem;
}

files_problem files_lock_for_change(int folder, bool *is_taken)
{
    return lock(folder, is_taken);
}
