/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the sealing key comes from: what [vault] key says.
 *
 *     file:PATH, systemd:NAME    32 bytes, see secret_file.h
 * pkcs11:...                 the RFC 7512 URI of an RSA key in a token, which the sealing key is
 *                                wrapped with. The wrapped key stands in the vault's file of keys.
 */
#ifndef KEY_SOURCE_H
#define KEY_SOURCE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/key_wrapper.h"
#include "vault/sealing.h"

struct key_source {
    const char *text; /* what the settings say, with an absolute path */
    const struct settings *settings;
    const struct key_wrapper *wrapper; /* for pkcs11: */
};

/* Whether the key has to be unwrapped by a token. */
bool key_source_is_wrapped(const struct key_source *source);

/*
 * Reads a key that is not wrapped. Returns 1, and the caller cleanses *key; or 0 with *error set.
 */
int key_source_read(
        const struct key_source *source, struct sealing_key *key, struct aliyun_iot_error **error);

/* Unwraps a key. Returns 1, and the caller cleanses *key; or 0 with *error set. */
int key_source_unwrap(const struct key_source *source, struct bytes wrapped,
        struct sealing_key *key, struct aliyun_iot_error **error);

/*
 * Makes a key of random bytes, and wraps it. Returns 1, and the caller cleanses *key; or 0 with
 * *error set.
 */
int key_source_make(const struct key_source *source, struct sealing_key *key, BUF_MEM *wrapped,
        struct aliyun_iot_error **error);

#endif
