/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures under the schemes of key_scheme.h. */
#ifndef SCHEME_H
#define SCHEME_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

#include "base/bytes.h"
#include "private/key_scheme.h"

/* The digest of a scheme, by OpenSSL's name. NULL: the scheme has its own. */
const char *scheme_digest(enum key_scheme scheme);

/* Whether it is RSA-PSS. */
bool scheme_is_pss(enum key_scheme scheme);

/*
 * Signs a message, which is not hashed yet. context: where the digest comes from. signature has
 * room for *size bytes, at least EVP_PKEY_get_size(key); *size receives the bytes written. Returns
 * whether it was signed; if not, OpenSSL's errors are raised.
 */
bool scheme_sign(EVP_PKEY *key, OSSL_LIB_CTX *context, enum key_scheme scheme, struct bytes message,
        unsigned char *signature, size_t *size);

#endif
