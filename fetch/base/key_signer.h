/* SPDX-License-Identifier: Apache-2.0 */
/* A private key that stays where it is and signs there, such as in a token or another process. */
#ifndef KEY_SIGNER_H
#define KEY_SIGNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "private/key_scheme.h"

struct key_signer {
    /*
     * Signs message, which is not hashed yet. signature has room for *size bytes, at least
     * EVP_PKEY_get_size() of the public key; *size receives the bytes written. Called on any
     * thread, by several at once. Returns 1; or 0 with *error set.
     */
    int (*sign)(void *context, enum key_scheme scheme, const unsigned char *message,
            size_t message_size, unsigned char *signature, size_t *size,
            struct aliyun_iot_error **error);
    void (*free)(void *context);
    void *context;
    bool is_proven; /* the pair is known to fit, so that no signature is made to prove it */
};

#endif
