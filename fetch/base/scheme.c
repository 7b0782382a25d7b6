/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scheme.h"

#include <openssl/rsa.h>

#include "private/cleanup.h"

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free);

static const char *const digests[] = {
        [KEY_SCHEME_RSA_PKCS1_SHA256] = "SHA256",
        [KEY_SCHEME_RSA_PKCS1_SHA384] = "SHA384",
        [KEY_SCHEME_RSA_PKCS1_SHA512] = "SHA512",
        [KEY_SCHEME_RSA_PSS_SHA256] = "SHA256",
        [KEY_SCHEME_RSA_PSS_SHA384] = "SHA384",
        [KEY_SCHEME_RSA_PSS_SHA512] = "SHA512",
        [KEY_SCHEME_ECDSA_SHA256] = "SHA256",
        [KEY_SCHEME_ECDSA_SHA384] = "SHA384",
        [KEY_SCHEME_ECDSA_SHA512] = "SHA512",
        [KEY_SCHEME_ED25519] = NULL, /* the schemes have their own */
        [KEY_SCHEME_ED448] = NULL,
};

const char *scheme_digest(enum key_scheme scheme)
{
    return digests[scheme];
}

bool scheme_is_pss(enum key_scheme scheme)
{
    return scheme == KEY_SCHEME_RSA_PSS_SHA256 || scheme == KEY_SCHEME_RSA_PSS_SHA384 ||
           scheme == KEY_SCHEME_RSA_PSS_SHA512;
}

bool scheme_sign(EVP_PKEY *key, OSSL_LIB_CTX *context, enum key_scheme scheme, struct bytes message,
        unsigned char *signature, size_t *size)
{
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *operation = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters;

    if (!operation || EVP_DigestSignInit_ex(operation, &parameters, digests[scheme], context, NULL,
                              key, NULL) != 1)
        return false;
    if (scheme_is_pss(scheme) &&
            (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) != 1))
        return false;
    return EVP_DigestSign(operation, signature, size, message.at, message.left) == 1;
}
