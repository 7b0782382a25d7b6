/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/policy_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/policy/policy.h"
#include "base/text.h"

enum { FILE_MAX_BYTES = 16 * 1024 * 1024, CHUNK_BYTES = 64 * 1024 };

static const char drop_ins[] = "policy.d";
static const char suffix[] = ".conf";

void policy_files_release(struct policy_files *files)
{
    for (size_t index = 0; index < files->count; index++) {
        free(files->list[index].path);
        BUF_MEM_free(files->list[index].text);
    }
    free(files->list);
}

/* NULL; or why what was opened is no good. */
static const char *check_status(int descriptor, mode_t type, int64_t owner_uid)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return strerror(errno);
    if ((status.st_mode & S_IFMT) != type)
        return type == S_IFREG ? "it is no regular file" : "it is no folder";
    if (owner_uid == POLICY_ANY_OWNER)
        return NULL;
    if (status.st_uid != 0 && status.st_uid != (uid_t)owner_uid)
        return "its owner is neither root nor the user of the agent";
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return "others than its owner may write to it; chmod go-w";
    return NULL;
}

static const char *read_descriptor(int descriptor, BUF_MEM *text)
{
    char chunk[CHUNK_BYTES];
    ssize_t size;

    while ((size = read(descriptor, chunk, sizeof(chunk))) > 0) {
        if (text->length + (size_t)size > FILE_MAX_BYTES)
            return "it has more than 16 MiB";
        if (!buffer_append(text, chunk, (size_t)size))
            return "out of memory";
    }
    if (size < 0)
        return strerror(errno);
    return buffer_text(text) ? NULL : "out of memory";
}

static void add_file(struct policy_files *files, int folder, const char *name, const char *path,
        int64_t owner_uid, struct problems *problems)
{
    /* O_NONBLOCK: a FIFO would make us wait. */
    int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const char *problem = descriptor >= 0  ? check_status(descriptor, S_IFREG, owner_uid)
                          : errno == ELOOP ? "it is a symbolic link"
                                           : strerror(errno);
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    struct policy_file *list = reallocarray(files->list, files->count + 1, sizeof(*files->list));
    CLEANUP(free) char *copy = strdup(path);

    if (list)
        files->list = list;
    if (!problem)
        problem = list && text && copy ? read_descriptor(descriptor, text) : "out of memory";
    if (descriptor >= 0)
        close(descriptor);
    if (problem)
        problems_add(problems, path, 0, "%s", problem);
    else
        files->list[files->count++] = (struct policy_file){take(copy), take(text)};
}

static int is_drop_in(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name), suffix_size = strlen(suffix);

    return *entry->d_name != '.' && size > suffix_size &&
           strcmp(entry->d_name + size - suffix_size, suffix) == 0;
}

static int compare_names(const struct dirent **one, const struct dirent **other)
{
    return strcmp((*one)->d_name, (*other)->d_name);
}

static void add_drop_ins(struct policy_files *files, int folder, const char *path,
        int64_t owner_uid, struct problems *problems)
{
    struct dirent **entries = NULL;
    int count = scandirat(folder, ".", &entries, is_drop_in, compare_names);

    if (count < 0)
        problems_add(problems, path, 0, "%s", strerror(errno));
    for (int index = 0; index < count; index++) {
        CLEANUP(free) char *full = NULL;

        if (asprintf(&full, "%s/%s", path, entries[index]->d_name) < 0)
            full = NULL;
        add_file(files, folder, entries[index]->d_name, full ? full : path, owner_uid, problems);
        free(entries[index]);
    }
    free(entries);
}

void policy_files_read(
        const char *file, int64_t owner_uid, struct policy_files *files, struct problems *problems)
{
    const char *name = strrchr(file, '/');
    CLEANUP(free) char *path = NULL;
    const char *problem;
    int folder;

    *files = (struct policy_files){.count = 0};
    if (asprintf(&path, "%.*s%s", name ? (int)(name + 1 - file) : 0, file, drop_ins) < 0) {
        path = NULL;
        problems_add(problems, file, 0, "out of memory");
        return;
    }
    add_file(files, AT_FDCWD, file, file, owner_uid, problems);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT)
        return;
    problem = folder >= 0                          ? check_status(folder, S_IFDIR, owner_uid)
              : errno == ELOOP || errno == ENOTDIR ? "it is no folder, or a symbolic link"
                                                   : strerror(errno);
    if (problem)
        problems_add(problems, path, 0, "%s", problem);
    else
        add_drop_ins(files, folder, path, owner_uid, problems);
    if (folder >= 0)
        close(folder);
}
