/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a private key belongs to a certificate, proven by its use. */
#ifndef KEY_PAIR_H
#define KEY_PAIR_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/error.h"
#include "base/key_signer.h"

/*
 * Makes a signature with the private key and verifies it with the certificate's public key. It is
 * not enough to compare public keys: a private key's data includes a public key, which may not
 * belong to it. The parts of an RSA key must also fit each other: OpenSSL signs with some of them
 * and does not notice if another one is wrong, but other software may use that one. Returns 1; or 0
 * with *error set (KEY_MISMATCH; BAD_ANSWER for a key that cannot sign).
 */
int key_pair_check(const X509 *certificate, EVP_PKEY *key, struct aliyun_iot_error **error);

/*
 * The same for a key that signs elsewhere: it makes a signature, which the certificate's public key
 * verifies. Returns 1; or 0 with *error set (KEY_MISMATCH; BAD_ANSWER for a type of key that has no
 * scheme; or the signer's own error).
 */
int key_pair_check_signer(
        const X509 *certificate, const struct key_signer *signer, struct aliyun_iot_error **error);

#endif
