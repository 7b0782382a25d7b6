/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/key_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/text.h"
#include "vault/files.h"

/*
 * What is wrong with an open key file; NULL: nothing. systemd shows a credential that it gave to a
 * unit's user by an access control list, and then the group's bits are those of the list.
 */
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
    if (status.st_size != SEALING_KEY_SIZE)
        return "it must have 32 bytes, as from: head -c 32 /dev/urandom";
    return NULL;
}

static const char *read_key(int descriptor, unsigned char bytes[SEALING_KEY_SIZE])
{
    ssize_t got = read(descriptor, bytes, SEALING_KEY_SIZE);

    if (got < 0)
        return strerror(errno);
    return got == SEALING_KEY_SIZE ? NULL : "it was changed while it was read";
}

static int read_key_file(
        const char *path, mode_t others, struct sealing_key *key, struct aliyun_iot_error **error)
{
    FILES_CLEANUP int descriptor =
            open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const char *problem;

    if (descriptor < 0)
        problem = errno == ELOOP ? "it is a symbolic link" : strerror(errno);
    else
        problem = find_fault(descriptor, others);
    if (!problem)
        problem = read_key(descriptor, key->bytes);
    if (!problem)
        return sealing_key_identify(key, error);
    OPENSSL_cleanse(key, sizeof(*key));
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "the vault's key file %.300s: %s", path,
            problem);
}

static int read_credential(
        const char *name, struct sealing_key *key, struct aliyun_iot_error **error)
{
    const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
    CLEANUP(free) char *path = NULL;

    if (!folder)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the vault's key is systemd:%.100s, but systemd gave this process no credentials: "
                "its unit needs LoadCredential= or LoadCredentialEncrypted=",
                name);
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        return error_set_out_of_memory(error);
    }
    return read_key_file(path, S_IWGRP | S_IRWXO, key, error);
}

int key_source_read(const char *source, struct sealing_key *key, struct aliyun_iot_error **error)
{
    if (strncmp(source, KEY_SOURCE_SYSTEMD, strlen(KEY_SOURCE_SYSTEMD)) == 0)
        return read_credential(source + strlen(KEY_SOURCE_SYSTEMD), key, error);
    return read_key_file(source + strlen(KEY_SOURCE_FILE), S_IRWXG | S_IRWXO, key, error);
}
