/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the provider module calls of this library, which it must not link: it looks up the one
 * symbol aliyun_iot_functions. The functions are described in <aliyun-iot/identity.h> and
 * <aliyun-iot/error.h>.
 *
 * New ones are added at the end, so that a module fits every library whose table is as large as
 * its own, or larger.
 */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <aliyun-iot/identity.h>

#include "private/key_scheme.h"

/* For the provider module alone: one more reference to an identity. Returns it. */
struct aliyun_iot_identity *aliyun_iot_identity_reference(struct aliyun_iot_identity *identity);

/*
 * For the provider module alone: signs a message, which is not hashed yet, with a key that is not
 * data. signature has room for *size bytes, at least EVP_PKEY_get_size() of the leaf's key; *size
 * receives the bytes written. May block. Returns 1; or 0 with *error set.
 */
int aliyun_iot_identity_sign(const struct aliyun_iot_identity *identity, enum key_scheme scheme,
        const unsigned char *message, size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error);

#define FUNCTIONS(FUNCTION)                                                                        \
    FUNCTION(error_reason)                                                                         \
    FUNCTION(error_message)                                                                        \
    FUNCTION(error_trace)                                                                          \
    FUNCTION(error_free)                                                                           \
    FUNCTION(identity_resolve)                                                                     \
    FUNCTION(identity_free)                                                                        \
    FUNCTION(identity_certificate_count)                                                           \
    FUNCTION(identity_certificate)                                                                 \
    FUNCTION(identity_key_type)                                                                    \
    FUNCTION(identity_key)                                                                         \
    FUNCTION(identity_key_parameters)                                                              \
    FUNCTION(identity_reference)                                                                   \
    FUNCTION(identity_sign)

/* aliyun_iot_NAME() is called as functions->NAME(). */
struct functions {
    size_t size; /* of the table, in bytes */
#define FUNCTION(name) __typeof__(&aliyun_iot_##name) name;
    FUNCTIONS(FUNCTION)
#undef FUNCTION
};

extern const struct functions aliyun_iot_functions;

#endif
