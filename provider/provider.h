/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instance of the provider. A process has as many as it has library contexts that load the
 * module; nothing here is shared between them.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

#include <aliyun-iot/error.h>

struct provider {
    const OSSL_CORE_HANDLE *core;
    char *settings_file; /* "config" of the provider's section in openssl.cnf; NULL: not there */
    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
    OSSL_FUNC_core_vset_error_fn *vset_error;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
    OSSL_FUNC_BIO_ctrl_fn *bio_ctrl;
};

/* Puts one error on OpenSSL's queue: the reason, and a text for a person. */
#define provider_raise(provider, reason, ...)                                                      \
    provider_raise_at(provider, __FILE__, __LINE__, __func__, reason, __VA_ARGS__)
void provider_raise_at(const struct provider *provider, const char *file, int line,
        const char *function, enum aliyun_iot_reason reason, const char *format, ...)
        __attribute__((format(printf, 6, 7)));

/* The algorithms, each in the file of its name. */
extern const OSSL_DISPATCH store_functions[];
extern const OSSL_DISPATCH decoder_functions[];

#endif
