/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/signature.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <p11-kit/p11-kit.h>

#include "base/cryptography.h"
#include "base/scheme.h"

DEFINE_CLEANUP(X509_SIG *, X509_SIG_free);

static inline void openssl_free(unsigned char *bytes)
{
    OPENSSL_free(bytes);
}
DEFINE_CLEANUP(unsigned char *, openssl_free);

struct digest {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    size_t size;
};

/* PKCS#11's numbers for the digests, for PSS (PKCS#11 2.40, 2.1.10). */
static CK_RSA_PKCS_PSS_PARAMS pss_of(const struct digest *digest)
{
    const CK_ULONG salt_size = digest->size;

    return digest->size == 32   ? (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, salt_size}
           : digest->size == 48 ? (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA384, CKG_MGF1_SHA384, salt_size}
                                : (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA512, CKG_MGF1_SHA512, salt_size};
}

static CK_RV sign(const struct objects *objects, CK_OBJECT_HANDLE key, CK_MECHANISM *mechanism,
        const unsigned char *data, size_t data_size, unsigned char *signature, size_t *size)
{
    CK_ULONG room = *size;
    CK_RV result = objects->functions->C_SignInit(objects->session, mechanism, key);

    if (result == CKR_OK)
        result = objects->functions->C_Sign(
                objects->session, (CK_BYTE *)(uintptr_t)data, data_size, signature, &room);
    *size = room;
    return result;
}

/* The token pads what it gets (RFC 8017, 8.2.1), and does not say which digest it is. */
static CK_RV sign_pkcs1(const struct objects *objects, CK_OBJECT_HANDLE key, const char *name,
        const struct digest *digest, unsigned char *signature, size_t *size)
{
    CLEANUP(X509_SIG_free) X509_SIG *information = X509_SIG_new();
    CLEANUP(openssl_free) unsigned char *der = NULL;
    CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
    ASN1_OCTET_STRING *octets;
    X509_ALGOR *algorithm;
    int der_size = -1;

    if (information) {
        X509_SIG_getm(information, &algorithm, &octets);
        if (X509_ALGOR_set0(algorithm, OBJ_txt2obj(name, 0), V_ASN1_NULL, NULL) &&
                ASN1_OCTET_STRING_set(octets, digest->bytes, (int)digest->size))
            der_size = i2d_X509_SIG(information, &der);
    }
    return der_size < 0 ? CKR_HOST_MEMORY
                        : sign(objects, key, &mechanism, der, (size_t)der_size, signature, size);
}

static CK_RV sign_pss(const struct objects *objects, CK_OBJECT_HANDLE key,
        const struct digest *digest, unsigned char *signature, size_t *size)
{
    CK_RSA_PKCS_PSS_PARAMS parameters = pss_of(digest);
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_PSS, &parameters, sizeof(parameters)};

    return sign(objects, key, &mechanism, digest->bytes, digest->size, signature, size);
}

int signature_make(const struct objects *objects, struct device_key *key, enum key_scheme scheme,
        struct bytes message, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);
    const char *name = scheme_digest(scheme);
    CK_OBJECT_HANDLE handle;
    struct digest digest;
    CK_RV result;

    if (!context || !objects_find_key(objects, key, &handle, error))
        return 0;
    if (!name || !EVP_Q_digest(
                         context, name, NULL, message.at, message.left, digest.bytes, &digest.size))
        return error_set_openssl(error, "the message cannot be hashed");
    result = scheme_is_pss(scheme) ? sign_pss(objects, handle, &digest, signature, size)
                                   : sign_pkcs1(objects, handle, name, &digest, signature, size);
    return result == CKR_OK ||
           error_set(error, ALIYUN_IOT_REASON_TOKEN,
                   "the token does not sign for %s: %s; insert it, or restart the program if it "
                   "was away meanwhile",
                   key->label, p11_kit_strerror(result));
}
