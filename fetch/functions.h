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
    FUNCTION(identity_key_parameters)

/* aliyun_iot_NAME() is called as functions->NAME(). */
struct functions {
    size_t size; /* of the table, in bytes */
#define FUNCTION(name) __typeof__(&aliyun_iot_##name) name;
    FUNCTIONS(FUNCTION)
#undef FUNCTION
};

extern const struct functions aliyun_iot_functions;

#endif
