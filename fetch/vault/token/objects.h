/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a token that belong to a device, by PKCS#11 itself. libp11 cannot say whether an
 * imported key may leave the token, nor look at what the token made of it; it opens a session for
 * writing only by closing all sessions of the process, and lists all keys to find one.
 *
 * An object is the device's by its id and its label; whatever else has the same id is passed over.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <stdbool.h>

#include <openssl/core.h>
#include <openssl/x509.h>

#include <p11-kit/pkcs11.h>

#include "base/error.h"
#include "vault/token/device_key.h"
#include "vault/token/open_token.h"

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
int objects_open(const struct token_slot *slot, bool may_write, struct objects *objects,
        struct aliyun_iot_error **error);
void objects_close(struct objects *objects);
#define OBJECTS_CLEANUP __attribute__((cleanup(objects_close)))

/*
 * Reads a device's certificates, the leaf first: to be freed with certificates_free(). An empty
 * stack: there are none. NULL with *error set: TOKEN, or BAD_ANSWER if one of them is unreadable.
 */
STACK_OF(X509) *objects_certificates(const struct objects *objects, const struct device_key *key,
        struct aliyun_iot_error **error);

/* Finds the private key with the id and modulus. Returns 1; or 0 with *error set (NOT_FOUND). */
int objects_find_key(const struct objects *objects, struct device_key *key, CK_OBJECT_HANDLE *found,
        struct aliyun_iot_error **error);

/* For import.h. */

/* Sets *error: what the token does, and why. Returns 0. */
int objects_fail(struct aliyun_iot_error **error, const char *what, CK_RV result);

CK_ATTRIBUTE objects_attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t size);

/* Reads an attribute into the buffer, with a NUL behind it, in place of its content. */
CK_RV objects_read_attribute(const struct objects *objects, CK_OBJECT_HANDLE object,
        CK_ATTRIBUTE_TYPE type, BUF_MEM *value);

enum {
    OBJECTS_FOUND_MAX = 32,                         /* of one id, that are looked at at once */
    OBJECTS_LABEL_SIZE = DEVICE_KEY_LABEL_SIZE + 16 /* with the place in the chain */
};

/* Finds objects of the device's id. Returns how many; -1 with *error set. */
int objects_find_of_class(const struct objects *objects, CK_OBJECT_CLASS class,
        const struct device_key *key, CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX],
        struct aliyun_iot_error **error);

/* Whether an object is the device's. A label that cannot be read is another's; it is in *label. */
bool objects_is_own(const struct objects *objects, const struct device_key *key,
        CK_OBJECT_HANDLE object, BUF_MEM *label);

/* The label of a certificate by its place in the chain: that of the leaf sorts first. */
void objects_write_label(
        const struct device_key *key, size_t place, char label[OBJECTS_LABEL_SIZE]);

#endif
