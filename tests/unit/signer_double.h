/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a signer inside the process. */
#ifndef SIGNER_DOUBLE_H
#define SIGNER_DOUBLE_H

#include "unit.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/key_signer.h"

struct signer_double {
    EVP_PKEY *key;
    enum aliyun_iot_reason failure; /* 0: it signs */
    bool lies;                      /* it says that it wrote more than there was room for */
    int freed;                      /* how often */
};

/* NULL: the scheme has its own. */
static inline const EVP_MD *signer_double_digest(enum key_scheme scheme)
{
    switch (scheme) {
    case KEY_SCHEME_RSA_PKCS1_SHA256:
    case KEY_SCHEME_RSA_PSS_SHA256:
    case KEY_SCHEME_ECDSA_SHA256:
        return EVP_sha256();
    case KEY_SCHEME_RSA_PKCS1_SHA384:
    case KEY_SCHEME_RSA_PSS_SHA384:
    case KEY_SCHEME_ECDSA_SHA384:
        return EVP_sha384();
    case KEY_SCHEME_RSA_PKCS1_SHA512:
    case KEY_SCHEME_RSA_PSS_SHA512:
    case KEY_SCHEME_ECDSA_SHA512:
        return EVP_sha512();
    default:
        return NULL;
    }
}

static inline bool signer_double_is_pss(enum key_scheme scheme)
{
    return scheme == KEY_SCHEME_RSA_PSS_SHA256 || scheme == KEY_SCHEME_RSA_PSS_SHA384 ||
           scheme == KEY_SCHEME_RSA_PSS_SHA512;
}

static inline int signer_double_sign(void *context, enum key_scheme scheme,
        const unsigned char *message, size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    struct signer_double *signer = context;
    EVP_MD_CTX *operation = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;

    if (signer->failure) {
        EVP_MD_CTX_free(operation);
        return error_set(error, signer->failure, "the signer does not sign");
    }
    assert_int_equal(1, EVP_DigestSignInit(operation, &padding, signer_double_digest(scheme), NULL,
                                signer->key));
    if (signer_double_is_pss(scheme)) {
        assert_int_equal(1, EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING));
        assert_int_equal(1, EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST));
    }
    assert_int_equal(1, EVP_DigestSign(operation, signature, size, message, message_size));
    EVP_MD_CTX_free(operation);
    if (signer->lies)
        *size += 1000;
    return 1;
}

static inline void signer_double_free(void *context)
{
    struct signer_double *signer = context;

    signer->freed++;
}

static inline struct key_signer signer_double(struct signer_double *signer)
{
    return (struct key_signer){
            .sign = signer_double_sign, .free = signer_double_free, .context = signer};
}

#endif
