/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of the module cloud.so, for tests of opaque keys: what the cloud gives, but with a key
 * that only signs, as if it were somewhere else. In the provider's process, it is this module's.
 * With SIGNER_GONE set, it signs no more than what proves that the pair fits.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/cryptography.h"
#include "base/export.h"
#include "base/identity.h"
#include "base/module.h"
#include "cloud/source.h"

struct signer_source {
    struct source source; /* first: it is cast */
    struct source *cloud;
};

static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};

/* Returns the digest's name; NULL: the scheme has its own. */
static const char *digest_of(enum key_scheme scheme)
{
    return scheme >= KEY_SCHEME_ED25519 ? NULL : digests[scheme % 3];
}

static int sign(void *context, enum key_scheme scheme, const unsigned char *message,
        size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    static atomic_int signatures;
    EVP_MD_CTX *operation;
    EVP_PKEY_CTX *parameters;
    int done;

    if (atomic_fetch_add(&signatures, 1) > 0 && getenv("SIGNER_GONE"))
        return error_set(error, ALIYUN_IOT_REASON_UNREACHABLE, "the signer of the test is gone");
    operation = EVP_MD_CTX_new();
    done = EVP_DigestSignInit_ex(operation, &parameters, digest_of(scheme),
                   cryptography_context(NULL), NULL, context, NULL) == 1;

    if (done && scheme >= KEY_SCHEME_RSA_PSS_SHA256 && scheme <= KEY_SCHEME_RSA_PSS_SHA512)
        done = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    done = done && EVP_DigestSign(operation, signature, size, message, message_size) == 1;
    EVP_MD_CTX_free(operation);
    return done || error_set_openssl(error, "the signer of the test cannot sign");
}

static void free_key(void *key)
{
    EVP_PKEY_free(key);
}

static STACK_OF(X509) *chain_of(const struct aliyun_iot_identity *identity)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    for (size_t index = 0; index < aliyun_iot_identity_certificate_count(identity); index++) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);
        X509 *certificate = X509_new_ex(cryptography_context(NULL), NULL);

        if (!d2i_X509(&certificate, &der, (long)size) || !sk_X509_push(chain, certificate))
            abort();
    }
    return chain;
}

static struct aliyun_iot_identity *fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct source *cloud = ((struct signer_source *)source)->cloud;
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity = cloud->fetch(cloud, device, background, deadline, error);
    CLEANUP(certificates_free) STACK_OF(X509) *chain = identity ? chain_of(identity) : NULL;
    struct key_signer signer = {.sign = sign, .free = free_key};

    if (!identity)
        return NULL;
    signer.context = identity_key_pair(identity, error);
    return signer.context ? identity_new_with_signer(chain, &signer,
                                    aliyun_iot_identity_serial_number(identity),
                                    aliyun_iot_identity_request_id(identity), error)
                          : NULL;
}

static void free_source(struct source *source)
{
    source_free(((struct signer_source *)source)->cloud);
    free(source);
}

static struct source *source_new(
        const struct settings *settings, struct source *upstream, struct aliyun_iot_error **error)
{
    struct signer_source *made = calloc(1, sizeof(*made));

    (void)upstream;
    if (!made)
        abort();
    made->source = (struct source){.fetch = fetch, .free = free_source};
    made->cloud = cloud_source_new(settings, error);
    return &made->source;
}

EXPORT const struct module aliyun_iot_module = {VERSION, module_use_core, source_new, NULL};
