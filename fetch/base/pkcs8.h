/* SPDX-License-Identifier: Apache-2.0 */
/* A private key as PKCS#8 PrivateKeyInfo (RFC 5208) in DER. */
#ifndef PKCS8_H
#define PKCS8_H

#include <openssl/evp.h>

/*
 * Encodes a key. parameters are those of EVP_PKEY_todata(): an RSA key of two primes is encoded
 * from them, because EVP_PKEY2PKCS8() sets up all encoders of OpenSSL the first time, which takes a
 * tenth of a process's first fetch. Returns the size in bytes, and *der to be freed with
 * OPENSSL_clear_free(); or -1 with OpenSSL's errors raised.
 */
int pkcs8_encode(EVP_PKEY *key, const OSSL_PARAM *parameters, unsigned char **der);

#endif
