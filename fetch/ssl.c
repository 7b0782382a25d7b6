/* SPDX-License-Identifier: Apache-2.0 */
#include <aliyun-iot/ssl.h>

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#include "base/cryptography.h"
#include "base/error.h"
#include "base/export.h"
#include "base/identity.h"
#include "private/reasons.h"

DEFINE_CLEANUP(SSL *, SSL_free);
DEFINE_CLEANUP(OSSL_STORE_CTX *, OSSL_STORE_close);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int error_library;

static void load_error_strings(void)
{
    static ERR_STRING_DATA reasons[] = {
#define REASON(name, text) {ERR_PACK(0, 0, ALIYUN_IOT_REASON_##name), text},
            REASONS(REASON)
#undef REASON
                    {0, NULL},
    };
    static ERR_STRING_DATA name[] = {{0, "aliyun-iot"}, {0, NULL}};

    error_library = ERR_get_next_error_library();
    name[0].error = ERR_PACK(error_library, 0, 0);
    ERR_load_strings(error_library, name);
    ERR_load_strings(error_library, reasons);
}

/*
 * The identity's chain as certificates of scratch's library context, in the same order. The leaf is
 * made last, so that it is the certificate that scratch has afterwards.
 */
static STACK_OF(X509) *make_chain(SSL *scratch, const struct aliyun_iot_identity *identity)
{
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();

    if (!chain)
        return NULL;
    for (size_t index = aliyun_iot_identity_certificate_count(identity); index-- > 0;) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);
        X509 *certificate;

        if (size > INT_MAX || SSL_use_certificate_ASN1(scratch, der, (int)size) != 1)
            return NULL;
        certificate = SSL_get_certificate(scratch);
        if (!sk_X509_unshift(chain, certificate))
            return NULL;
        X509_up_ref(certificate);
    }
    return take(chain);
}

/*
 * Loads the provider into the library's own context. It is there until the process ends, as that
 * context is.
 */
static int load_provider(OSSL_LIB_CTX *context, struct aliyun_iot_error **error)
{
    static atomic_bool loaded;
    OSSL_PROVIDER *provider;

    if (atomic_load(&loaded))
        return 1;
    provider = OSSL_PROVIDER_try_load(context, "aliyun-iot", 1);
    if (!provider)
        return error_set(error, ALIYUN_IOT_REASON_LIBRARY,
                "the private key stays where it is and signs there, which needs the provider "
                "module: install aliyun-iot.so in OpenSSL's folder of modules (openssl version "
                "-m)");
    if (atomic_exchange(&loaded, true))
        OSSL_PROVIDER_unload(provider); /* another thread was first */
    return 1;
}

/* A key that is not data is an object of the provider's. */
static EVP_PKEY *load_opaque_key(const char *uri, struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);
    CLEANUP(OSSL_STORE_close) OSSL_STORE_CTX *store = NULL;
    EVP_PKEY *key = NULL;

    if (!context || !load_provider(context, error))
        return NULL;
    store = OSSL_STORE_open_ex(uri, context, NULL, NULL, NULL, NULL, NULL, NULL);
    if (store && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        key = info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        OSSL_STORE_INFO_free(info);
    }
    if (!key)
        error_set_openssl(error, "the provider gives no key");
    return key;
}

/*
 * The certificates must belong to the library context of ssl_ctx, but libssl has no function that
 * returns it. So they are made in an SSL of ssl_ctx, scratch, and then given to ssl_ctx with the
 * key in one step. The key is made in the library's own context, which needs no decoders; libssl
 * exports it to its own context when it signs.
 */
static int use(SSL_CTX *ssl_ctx, const struct aliyun_iot_identity *identity, const char *uri,
        struct aliyun_iot_error **error)
{
    CLEANUP(EVP_PKEY_free)
    EVP_PKEY *key = identity_signer(identity) ? load_opaque_key(uri, error)
                                              : identity_key_pair(identity, error);
    CLEANUP(SSL_free) SSL *scratch = key ? SSL_new(ssl_ctx) : NULL;
    CLEANUP(certificates_free) STACK_OF(X509) *chain = NULL;
    CLEANUP(X509_free) X509 *leaf = NULL;

    if (!key)
        return 0;
    if (scratch) {
        SSL_certs_clear(scratch);
        chain = make_chain(scratch, identity);
    }
    if (chain) {
        leaf = sk_X509_shift(chain);
        /* Without a chain, libssl looks for one, as it does for a file with a leaf alone. */
        if (SSL_CTX_use_cert_and_key(
                    ssl_ctx, leaf, key, sk_X509_num(chain) > 0 ? chain : NULL, 1) == 1)
            return 1;
    }
    return error_set_openssl(error, "the SSL_CTX does not take the certificate or key");
}

static int resolve_and_use(SSL_CTX *ssl_ctx, const char *uri, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    enum aliyun_iot_object object;

    if (!aliyun_iot_identity_resolve(NULL, uri, &identity, &object, error))
        return 0;
    if (object != ALIYUN_IOT_OBJECT_ALL)
        return error_set(error, ALIYUN_IOT_REASON_BAD_URI,
                "%s: a TLS connection needs certificate and key; leave out object=", uri);
    return use(ssl_ctx, identity, uri, error) || error_prefix(error, "%s: ", uri);
}

EXPORT int aliyun_iot_use_identity(SSL_CTX *ssl_ctx, const char *uri)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    int done;

    pthread_once(&once, load_error_strings);
    ERR_set_mark();
    done = resolve_and_use(ssl_ctx, uri, &error);
    ERR_pop_to_mark();
    if (!done)
        ERR_raise_data(error_library, (int)aliyun_iot_error_reason(error), "%s",
                aliyun_iot_error_message(error));
    return done;
}
