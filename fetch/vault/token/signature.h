/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures by an RSA key in a token. The digest is made here, so that any token can sign it. */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include "base/bytes.h"
#include "base/error.h"
#include "private/key_scheme.h"
#include "vault/token/device_key.h"
#include "vault/token/objects.h"

/*
 * Signs a message, which is not hashed yet, under a scheme of RSA. signature has room for *size
 * bytes, and *size is how many it got. Returns 1; or 0 with *error set.
 */
int signature_make(const struct objects *objects, struct device_key *key, enum key_scheme scheme,
        struct bytes message, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error);

#endif
