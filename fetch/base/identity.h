/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the library makes and shares the identities of <aliyun-iot/identity.h>: immutable, reference
 * counted, cleansed with the last reference. The key is either data or a signer.
 *
 * A key that is data is kept twice: as PKCS#8 for programs that read PEM, and as parameters, which
 * OpenSSL's key management imports. With OpenSSL 3.0, decoding the PKCS#8 of an RSA key takes 60
 * times as long as importing the parameters (about 0.4 ms), and making it from the parameters takes
 * 13 times as long. Each form takes 1.2 to 1.5 KB, of the 3.8 KB that an identity takes in all.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <aliyun-iot/identity.h>

#include "base/error.h"
#include "base/key_signer.h"

DEFINE_CLEANUP(struct aliyun_iot_identity *, aliyun_iot_identity_free);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(X509 *, X509_free);

static inline void certificates_free(STACK_OF(X509) *certificates)
{
    sk_X509_pop_free(certificates, X509_free);
}
DEFINE_CLEANUP(STACK_OF(X509) *, certificates_free);

/*
 * Makes an identity of a chain (leaf first, at least one) and its key; all are copied. It checks
 * that the key belongs to the leaf (see base/key_pair.h) and that the leaf is valid now
 * (NOT_VALID). serial_number and request_id may be NULL. Returns the first reference; or NULL with
 * *error set.
 */
struct aliyun_iot_identity *identity_new(STACK_OF(X509) *certificates, EVP_PKEY *key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error);

/*
 * Makes an identity whose key is a signer. The chain is copied; the signer becomes the identity's,
 * or is freed if there is none. Unless the pair is known to fit, a signature is made and verified
 * with the leaf. Otherwise as identity_new().
 */
struct aliyun_iot_identity *identity_new_with_signer(STACK_OF(X509) *certificates,
        const struct key_signer *signer, const char *serial_number, const char *request_id,
        struct aliyun_iot_error **error);

/* The signer, which lives as long as the identity; NULL: the key is data. */
const struct key_signer *identity_signer(const struct aliyun_iot_identity *identity);

/*
 * The leaf, in the library's own OpenSSL context, to be freed with X509_free(). NULL with *error
 * set.
 */
X509 *identity_leaf(const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error);

/*
 * The public half of the key, in the library's own OpenSSL context, to be freed with
 * EVP_PKEY_free(). NULL with *error set.
 */
EVP_PKEY *identity_public_key(
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error);

/*
 * The key pair, of a key that is data, in the library's own OpenSSL context, to be freed with
 * EVP_PKEY_free(). NULL with *error set.
 */
EVP_PKEY *identity_key_pair(
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error);

/* One more reference. Returns identity. */
struct aliyun_iot_identity *identity_reference(struct aliyun_iot_identity *identity);

/* Beginning and end of the leaf's validity, in seconds since 1970. */
int64_t identity_not_before(const struct aliyun_iot_identity *identity);
int64_t identity_not_after(const struct aliyun_iot_identity *identity);

/*
 * When the cloud answered with it, in seconds since 1970: before it was made, if it comes from a
 * vault.
 */
int64_t identity_fetched(const struct aliyun_iot_identity *identity);

#endif
