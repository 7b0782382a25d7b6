/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "vault/files.h"

/* What is wrong with an open file; NULL: nothing. others: the mode's bits that it must not have. */
static const char *find_fault(int descriptor, mode_t others)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "it is no regular file";
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return "it belongs to another user";
    if (status.st_mode & others)
        return "others may read or change it; chmod it to 0600";
    return NULL;
}

static const char *read_all(int descriptor, size_t size_max, BUF_MEM *secret)
{
    ssize_t got;

    /* One more byte, to see whether it grew, and one for the NUL. */
    secret->length = 0;
    if (!BUF_MEM_grow_clean(secret, size_max + 2))
        return strerror(ENOMEM);
    got = read(descriptor, secret->data, size_max + 1);
    if (got < 0)
        return strerror(errno);
    secret->length = (size_t)got;
    secret->data[got] = '\0';
    return (size_t)got > size_max ? "it is too long" : NULL;
}

/* An open file that is as it should be; -1 with *error set. others: bits that it must not have. */
static int open_path(
        const char *path, const char *what, mode_t others, struct aliyun_iot_error **error)
{
    int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const char *problem;

    if (descriptor < 0)
        problem = errno == ELOOP ? "it is a symbolic link" : strerror(errno);
    else
        problem = find_fault(descriptor, others);
    if (!problem)
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%s, %.300s: %s", what, path, problem);
    return -1;
}

/*
 * systemd shows a credential that it gave to a unit's user by an access control list, and then the
 * group's bits are those of the list.
 */
static int open_credential(const char *name, const char *what, struct aliyun_iot_error **error)
{
    const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
    CLEANUP(free) char *path = NULL;

    if (!folder) {
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "%s is systemd:%.100s, but systemd gave this process no credentials: its unit "
                "needs LoadCredential= or LoadCredentialEncrypted=",
                what, name);
        return -1;
    }
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        error_set_out_of_memory(error);
        return -1;
    }
    return open_path(path, what, S_IWGRP | S_IRWXO, error);
}

int secret_file_open(const char *source, const char *what, struct aliyun_iot_error **error)
{
    if (strncmp(source, SECRET_SYSTEMD, strlen(SECRET_SYSTEMD)) == 0)
        return open_credential(source + strlen(SECRET_SYSTEMD), what, error);
    return open_path(source + strlen(SECRET_FILE), what, S_IRWXG | S_IRWXO, error);
}

int secret_file_read(const char *source, const char *what, size_t size_max, BUF_MEM *secret,
        struct aliyun_iot_error **error)
{
    FILES_CLEANUP int descriptor = secret_file_open(source, what, error);
    const char *problem = descriptor < 0 ? NULL : read_all(descriptor, size_max, secret);

    if (problem)
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%s, %.300s: %s", what, source, problem);
    return descriptor >= 0 && !problem;
}
