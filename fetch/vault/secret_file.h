/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small secrets that the settings name: file:PATH, a file that root or the user owns and nobody
 * else may read; or systemd:NAME, a credential of the systemd unit ($CREDENTIALS_DIRECTORY/NAME).
 */
#ifndef SECRET_FILE_H
#define SECRET_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#define SECRET_FILE "file:"
#define SECRET_SYSTEMD "systemd:"

/*
 * Opens the file of a secret for reading, and checks it. Returns a descriptor, or -1 with *error
 * set (BAD_SETTINGS).
 */
int secret_file_open(const char *source, const char *what, struct aliyun_iot_error **error);

/*
 * Reads a secret. source: as above, with an absolute path. what: "the vault's key", for messages.
 * The secret replaces the content of *secret, which ends with a NUL that its length does not count.
 * Returns 1; or 0 with *error set (BAD_SETTINGS), also if it has more than size_max bytes.
 */
int secret_file_read(const char *source, const char *what, size_t size_max, BUF_MEM *secret,
        struct aliyun_iot_error **error);

#endif
