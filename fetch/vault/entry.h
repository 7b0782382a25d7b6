/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry of a vault: what it is bound to, and the name of its file. The account is the one that
 * the settings name, since AccessKeys change. The endpoint is not a part: a region has one.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <stdbool.h>

#include <openssl/sha.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/device.h"
#include "base/error.h"

enum { ENTRY_FILE_NAME_SIZE = 2 * SHA256_DIGEST_LENGTH + 1 }; /* with its NUL */

/* What an entry is bound to. The strings are those of whoever made this. */
struct entry_names {
    const char *account, *region, *instance_id, *product_key, *device_name;
};

/* The names of a device's entry. They live as long as account and device. */
struct entry_names entry_names_of(const char *account, const struct device *device);

/* Appends the names as strings that each end with NUL, for sealing.h. False: no memory. */
bool entry_names_write(const struct entry_names *names, BUF_MEM *bytes);

/* Finds the names in such bytes. False: there are not exactly five. */
bool entry_names_read(struct bytes bytes, struct entry_names *names);

/*
 * The name of the file: the SHA-256 digest of the names in hexadecimal digits, because names may
 * have characters that a file's name may not. Returns 1; or 0 with *error set.
 */
int entry_file_name(
        struct bytes names, char name[ENTRY_FILE_NAME_SIZE], struct aliyun_iot_error **error);

#endif
