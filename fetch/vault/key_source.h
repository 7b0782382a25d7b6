/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the sealing key comes from: what [vault] key says.
 *
 *     file:PATH      a file of 32 bytes, which root or the user owns and nobody else may read
 *     systemd:NAME   a credential of the systemd unit, of 32 bytes ($CREDENTIALS_DIRECTORY/NAME)
 */
#ifndef KEY_SOURCE_H
#define KEY_SOURCE_H

#include "base/error.h"
#include "vault/sealing.h"

#define KEY_SOURCE_FILE "file:"
#define KEY_SOURCE_SYSTEMD "systemd:"

/*
 * Reads the key. source: as above, with an absolute path. Returns 1, and the caller cleanses *key;
 * or 0 with *error set.
 */
int key_source_read(const char *source, struct sealing_key *key, struct aliyun_iot_error **error);

#endif
