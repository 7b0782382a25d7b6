/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pkcs8.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include "base/buffer.h"

DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free);

static inline void secret_integer_free(ASN1_INTEGER *integer)
{
    ASN1_STRING_clear_free(integer);
}
DEFINE_CLEANUP(ASN1_INTEGER *, secret_integer_free);
DEFINE_CLEANUP(BIGNUM *, BN_clear_free);

/* The members of RSAPrivateKey (RFC 8017, A.1.2) after its version. */
static const char *const rsa_members[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
        OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
        OSSL_PKEY_PARAM_RSA_COEFFICIENT1};

enum { RSA_MEMBER_COUNT = sizeof(rsa_members) / sizeof(rsa_members[0]) };

static bool append_integer(BUF_MEM *buffer, const ASN1_INTEGER *integer)
{
    int size = i2d_ASN1_INTEGER(integer, NULL);
    size_t used = buffer->length;
    unsigned char *place;

    if (size < 0 || !BUF_MEM_grow_clean(buffer, used + (size_t)size))
        return false;
    place = (unsigned char *)buffer->data + used;
    return i2d_ASN1_INTEGER(integer, &place) == size;
}

static bool append_member(BUF_MEM *buffer, const OSSL_PARAM *parameter)
{
    CLEANUP(BN_clear_free) BIGNUM *number = NULL;
    CLEANUP(secret_integer_free) ASN1_INTEGER *integer = NULL;

    if (OSSL_PARAM_get_BN(parameter, &number))
        integer = BN_to_ASN1_INTEGER(number, NULL);
    return integer && append_integer(buffer, integer);
}

/* The integers of an RSAPrivateKey; NULL if the key is none, has more primes, or on failure. */
static BUF_MEM *rsa_integers(EVP_PKEY *key, const OSSL_PARAM *parameters)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *integers = BUF_MEM_new();
    CLEANUP(secret_integer_free) ASN1_INTEGER *version = ASN1_INTEGER_new();

    if (!EVP_PKEY_is_a(key, "RSA") ||
            OSSL_PARAM_locate_const(parameters, OSSL_PKEY_PARAM_RSA_FACTOR3) || !integers ||
            !version || !ASN1_INTEGER_set(version, 0) || !append_integer(integers, version))
        return NULL;
    for (size_t index = 0; index < RSA_MEMBER_COUNT; index++) {
        const OSSL_PARAM *parameter = OSSL_PARAM_locate_const(parameters, rsa_members[index]);

        if (!parameter || !append_member(integers, parameter))
            return NULL;
    }
    return take(integers);
}

static PKCS8_PRIV_KEY_INFO *encode_rsa(const BUF_MEM *integers)
{
    CLEANUP(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = PKCS8_PRIV_KEY_INFO_new();
    int content = (int)integers->length, size = ASN1_object_size(1, content, V_ASN1_SEQUENCE);
    unsigned char *sequence = size > 0 ? OPENSSL_malloc((size_t)size) : NULL, *place = sequence;

    if (!info || !sequence) {
        OPENSSL_free(sequence);
        return NULL;
    }
    ASN1_put_object(&place, 1, content, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memcpy(place, integers->data, integers->length);
    if (!PKCS8_pkey_set0(
                info, OBJ_nid2obj(NID_rsaEncryption), 0, V_ASN1_NULL, NULL, sequence, size)) {
        OPENSSL_clear_free(sequence, (size_t)size);
        return NULL;
    }
    return take(info);
}

int pkcs8_encode(EVP_PKEY *key, const OSSL_PARAM *parameters, unsigned char **der)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *integers = rsa_integers(key, parameters);
    CLEANUP(PKCS8_PRIV_KEY_INFO_free)
    PKCS8_PRIV_KEY_INFO *info = integers ? encode_rsa(integers) : EVP_PKEY2PKCS8(key);

    return info ? i2d_PKCS8_PRIV_KEY_INFO(info, der) : -1;
}
