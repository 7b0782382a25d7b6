/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the library makes and shares the identities of <aliyun-iot/identity.h>: immutable, reference
 * counted, cleansed with the last reference.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <aliyun-iot/identity.h>

#include "error.h"

DEFINE_CLEANUP(struct aliyun_iot_identity *, aliyun_iot_identity_free);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);

static inline void certificates_free(STACK_OF(X509) *certificates)
{
    sk_X509_pop_free(certificates, X509_free);
}
DEFINE_CLEANUP(STACK_OF(X509) *, certificates_free);

/*
 * Makes an identity of a chain (leaf first, at least one) and its key; all are copied. It checks
 * that the key belongs to the leaf (KEY_MISMATCH) and that the leaf is valid now (NOT_VALID).
 * serial_number and request_id may be NULL.
 * Returns the first reference; or NULL with *error set.
 */
struct aliyun_iot_identity *identity_new(STACK_OF(X509) *certificates, EVP_PKEY *key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error);

/* One more reference. Returns identity. */
struct aliyun_iot_identity *identity_reference(struct aliyun_iot_identity *identity);

/* The end of the leaf's validity, in seconds since 1970. */
int64_t identity_not_after(const struct aliyun_iot_identity *identity);

#endif
