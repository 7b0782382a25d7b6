/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instance of the provider: what every operation needs. A process has an instance for each
 * library context that loads the module, and instances share nothing.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

#include <stdbool.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

#include <aliyun-iot/error.h>

struct provider {
    const OSSL_CORE_HANDLE *core;
    char *settings_file; /* "config" of the provider's section in openssl.cnf, or NULL */
    char *wrong_setting; /* what to say of a value in that section that is no boolean, or NULL */
    bool identity_files; /* "identity-files" of that section: whether there is a PEM decoder */
    OSSL_LIB_CTX *library_context; /* the program's; NULL: the default one */
    /*
     * Whether the program uses the libcrypto that this module is linked with: else not that
     * context.
     */
    bool shares_libcrypto;
    /*
     * "opaque-keys" of that section, or ALIYUN_IOT_AGENT is set: whether PEM identity files may
     * stand for opaque keys. Whoever reads one has libcrypto choose the decoders before we see the
     * file.
     */
    bool expects_opaque_keys;
    bool claims_fips; /* "fips" of that section: whether opaque keys are in FIPS's hands */
    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
    OSSL_FUNC_core_vset_error_fn *vset_error;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
    OSSL_FUNC_BIO_ctrl_fn *bio_ctrl;
};

/*
 * Copies the settings of the provider's section in openssl.cnf, because the core may free its
 * strings before the provider ends. A wrong value makes each URI an error. It does not keep the
 * provider from starting, because nobody would notice that. Returns false when out of memory.
 */
bool provider_read_section(struct provider *provider, OSSL_FUNC_core_get_params_fn *get_params);
void provider_free_section(struct provider *provider);

/* Puts one error on OpenSSL's queue: the reason, and a text for people. */
#define provider_raise(provider, reason, ...)                                                      \
    provider_raise_at(provider, __FILE__, __LINE__, __func__, reason, __VA_ARGS__)
void provider_raise_at(const struct provider *provider, const char *file, int line,
        const char *function, enum aliyun_iot_reason reason, const char *format, ...)
        __attribute__((format(printf, 6, 7)));

#endif
