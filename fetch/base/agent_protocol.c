/* SPDX-License-Identifier: Apache-2.0 */
#include "base/agent_protocol.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "base/text.h"
#include "private/reasons.h"

static const struct {
    const char *name, *key_type;
} schemes[] = {
        [KEY_SCHEME_RSA_PKCS1_SHA256] = {"rsa-pkcs1-sha256", "RSA"},
        [KEY_SCHEME_RSA_PKCS1_SHA384] = {"rsa-pkcs1-sha384", "RSA"},
        [KEY_SCHEME_RSA_PKCS1_SHA512] = {"rsa-pkcs1-sha512", "RSA"},
        [KEY_SCHEME_RSA_PSS_SHA256] = {"rsa-pss-sha256", "RSA"},
        [KEY_SCHEME_RSA_PSS_SHA384] = {"rsa-pss-sha384", "RSA"},
        [KEY_SCHEME_RSA_PSS_SHA512] = {"rsa-pss-sha512", "RSA"},
        [KEY_SCHEME_ECDSA_SHA256] = {"ecdsa-sha256", "EC"},
        [KEY_SCHEME_ECDSA_SHA384] = {"ecdsa-sha384", "EC"},
        [KEY_SCHEME_ECDSA_SHA512] = {"ecdsa-sha512", "EC"},
        [KEY_SCHEME_ED25519] = {"ed25519", "ED25519"},
        [KEY_SCHEME_ED448] = {"ed448", "ED448"},
};

enum { SCHEME_COUNT = sizeof(schemes) / sizeof(schemes[0]) };

const char *agent_scheme_name(enum key_scheme scheme)
{
    return (size_t)scheme < SCHEME_COUNT ? schemes[scheme].name : NULL;
}

bool agent_scheme_find(const char *name, enum key_scheme *scheme)
{
    for (size_t index = 0; index < SCHEME_COUNT; index++) {
        if (strcmp(schemes[index].name, name) == 0) {
            *scheme = (enum key_scheme)index;
            return true;
        }
    }
    return false;
}

const char *agent_scheme_key_type(enum key_scheme scheme)
{
    return schemes[scheme].key_type;
}

static const struct {
    int reason;
    const char *name;
} reasons[] = {
#define REASON(name, text) {ALIYUN_IOT_REASON_##name, #name},
        REASONS(REASON)
#undef REASON
};

enum { REASON_COUNT = sizeof(reasons) / sizeof(reasons[0]) };

const char *agent_reason_name(int reason)
{
    for (size_t index = 0; index < REASON_COUNT; index++)
        if (reasons[index].reason == reason)
            return reasons[index].name;
    return NULL;
}

int agent_reason_find(const char *name)
{
    for (size_t index = 0; index < REASON_COUNT; index++)
        if (strcmp(reasons[index].name, name) == 0)
            return reasons[index].reason;
    return 0;
}

/* Not i2d_PUBKEY(), which makes an encoder: a sixth of what a first identity costs a process. */
bool agent_key_hash(OSSL_LIB_CTX *context, const X509 *certificate, char hash[AGENT_KEY_HASH_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH], *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool done = size > 0 && EVP_Q_digest(context, "SHA256", NULL, der, (size_t)size, digest, NULL);

    OPENSSL_free(der);
    if (done)
        text_write_hexadecimal(hash, digest, sizeof(digest));
    return done;
}
