/* SPDX-License-Identifier: Apache-2.0 */
#include <aliyun-iot/ssl.h>

#include <limits.h>
#include <pthread.h>

#include <openssl/err.h>

#include "error.h"
#include "export.h"
#include "identity.h"
#include "reasons.h"

DEFINE_CLEANUP(SSL *, SSL_free);
DEFINE_CLEANUP(X509 *, X509_free);

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
 * The chain, made by and for the library context of workshop, in the order of the identity. The
 * leaf is made last, and so is the certificate that workshop is left with.
 */
static STACK_OF(X509) *make_chain(SSL *workshop, const struct aliyun_iot_identity *identity)
{
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();

    if (!chain)
        return NULL;
    for (size_t index = aliyun_iot_identity_certificate_count(identity); index-- > 0;) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);
        X509 *certificate;

        if (size > INT_MAX || SSL_use_certificate_ASN1(workshop, der, (int)size) != 1)
            return NULL;
        certificate = SSL_get_certificate(workshop);
        if (!sk_X509_unshift(chain, certificate))
            return NULL;
        X509_up_ref(certificate);
    }
    return take(chain);
}

/* Makes the key of the certificate that workshop has. */
static int make_key(SSL *workshop, const struct aliyun_iot_identity *identity)
{
    size_t size;
    const unsigned char *der = aliyun_iot_identity_key(identity, &size);
    int type = EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get_certificate(workshop)));

    return size <= LONG_MAX && SSL_use_PrivateKey_ASN1(type, workshop, der, (long)size) == 1;
}

/*
 * Only libssl knows the library context of an SSL_CTX, and tells nobody. So an SSL of it serves as
 * workshop, where the certificates and the key are made; all are then set in one step.
 */
static int use(SSL_CTX *ssl_ctx, const struct aliyun_iot_identity *identity)
{
    CLEANUP(SSL_free) SSL *workshop = SSL_new(ssl_ctx);
    CLEANUP(certificates_free) STACK_OF(X509) *chain = NULL;
    CLEANUP(X509_free) X509 *leaf = NULL;

    if (!workshop)
        return 0;
    SSL_certs_clear(workshop);
    chain = make_chain(workshop, identity);
    if (!chain || !make_key(workshop, identity))
        return 0;
    leaf = sk_X509_shift(chain);
    return SSL_CTX_use_cert_and_key(ssl_ctx, leaf, SSL_get_privatekey(workshop),
            /* No chain leaves it to libssl to find one, as for a file with the leaf alone. */
            sk_X509_num(chain) > 0 ? chain : NULL, 1);
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
    if (!use(ssl_ctx, identity)) {
        error_set_openssl(error, "the SSL_CTX does not take the certificate or key");
        return error_prefix(error, "%s: ", uri);
    }
    return 1;
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
