/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a token, by PKCS#11 itself: libp11 cannot say whether an imported key may leave the
 * token, nor look at what the token made of it, and opens a session for writing only by closing all
 * sessions of the process.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <stdbool.h>

#include <openssl/core.h>
#include <openssl/x509.h>

#include <p11-kit/pkcs11.h>

#include "base/bytes.h"
#include "base/error.h"

/* A session with a token in which the process is logged in. */
struct objects {
    CK_FUNCTION_LIST *functions;
    CK_SESSION_HANDLE session;
    bool is_open;
};

/*
 * Opens a session of its own. may_write: it may make and remove objects. Returns 1; or 0 with
 * *error set (TOKEN). To be closed with objects_close() in both cases.
 */
int objects_open(const char *module_path, unsigned long slot_id, bool may_write,
        struct objects *objects, struct aliyun_iot_error **error);
void objects_close(struct objects *objects);

/*
 * Reads the certificates of an id, in the order of their labels, which begin with the leaf's:
 * to be freed with certificates_free(). An empty stack: there are none. NULL with *error set.
 */
STACK_OF(X509) *objects_certificates(
        const struct objects *objects, struct bytes id, struct aliyun_iot_error **error);

/*
 * Imports a certificate, or the private key of an RSA pair, whose parameters are those that
 * EVP_PKEY_todata() gives. Returns 1; or 0 with *error set (TOKEN).
 */
int objects_import_certificate(const struct objects *objects, struct bytes id, const char *label,
        X509 *certificate, struct aliyun_iot_error **error);
int objects_import_key(const struct objects *objects, struct bytes id, const char *label,
        const OSSL_PARAM *parameters, struct aliyun_iot_error **error);

/* Whether the token keeps the private keys of an id to itself. Returns 1; or 0 with *error set. */
int objects_check_key(
        const struct objects *objects, struct bytes id, struct aliyun_iot_error **error);

/* Whether there is a private key of an id, and a certificate. */
bool objects_are_whole(const struct objects *objects, struct bytes id);

/* Removes all objects of an id, as far as that is possible. */
void objects_remove(const struct objects *objects, struct bytes id);

#endif
