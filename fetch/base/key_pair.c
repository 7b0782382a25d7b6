/* SPDX-License-Identifier: Apache-2.0 */
#include "base/key_pair.h"

#include <stdbool.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include "base/cryptography.h"

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free);
DEFINE_CLEANUP(BN_CTX *, BN_CTX_free);
DEFINE_CLEANUP(BIGNUM *, BN_clear_free);

static inline void signature_free(unsigned char *signature)
{
    OPENSSL_free(signature);
}
DEFINE_CLEANUP(unsigned char *, signature_free);

static const unsigned char message[] = "Does the private key belong to the certificate?";

/*
 * No digest is given: each type of key has its own default, and an RSA-PSS key may allow only one.
 * OpenSSL 3.5, out of memory, was seen to report a success of 4294967295 bytes.
 */
static bool sign(EVP_PKEY *key, OSSL_LIB_CTX *context, unsigned char **signature, size_t *size)
{
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *operation = EVP_MD_CTX_new();
    size_t size_max;

    if (!operation || !EVP_DigestSignInit_ex(operation, NULL, NULL, context, NULL, key, NULL) ||
            EVP_DigestSign(operation, NULL, &size_max, message, sizeof(message)) != 1)
        return false;
    *signature = OPENSSL_malloc(size_max);
    *size = size_max;
    return *signature &&
           EVP_DigestSign(operation, *signature, size, message, sizeof(message)) == 1 &&
           *size <= size_max;
}

/* digest: NULL for the default of the type of key. */
static bool verify(EVP_PKEY *public_key, const char *digest, OSSL_LIB_CTX *context,
        const unsigned char *signature, size_t size)
{
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *operation = EVP_MD_CTX_new();

    return operation &&
           EVP_DigestVerifyInit_ex(operation, NULL, digest, context, NULL, public_key, NULL) &&
           EVP_DigestVerify(operation, signature, size, message, sizeof(message)) == 1;
}

static bool signature_fits(EVP_PKEY *public_key, EVP_PKEY *key, OSSL_LIB_CTX *context)
{
    CLEANUP(signature_free) unsigned char *signature = NULL;
    size_t size;

    return sign(key, context, &signature, &size) &&
           verify(public_key, NULL, context, signature, size);
}

/* The parts of an RSA key, named as in RFC 8017, 3.2. */
struct rsa {
    BIGNUM *n, *e, *d, *p, *q, *dP, *dQ, *qInv;
};

static bool rsa_get(EVP_PKEY *key, struct rsa *rsa)
{
    return EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &rsa->n) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &rsa->e) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &rsa->d) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR1, &rsa->p) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR2, &rsa->q) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_EXPONENT1, &rsa->dP) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_EXPONENT2, &rsa->dQ) &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, &rsa->qInv);
}

static void rsa_clear(struct rsa *rsa)
{
    BIGNUM *parts[] = {rsa->n, rsa->e, rsa->d, rsa->p, rsa->q, rsa->dP, rsa->dQ, rsa->qInv};

    for (size_t index = 0; index < sizeof(parts) / sizeof(parts[0]); index++)
        BN_clear_free(parts[index]);
}

/* Whether a * b is 1, modulo m. */
static bool are_inverse(const BIGNUM *a, const BIGNUM *b, const BIGNUM *m, BN_CTX *numbers)
{
    CLEANUP(BN_clear_free) BIGNUM *product = BN_new();

    return product && BN_mod_mul(product, a, b, m, numbers) && BN_is_one(product);
}

/* Whether an exponent for one prime is d, modulo the prime - 1, and the inverse of e there. */
static bool exponent_fits(
        const struct rsa *rsa, const BIGNUM *exponent, const BIGNUM *prime, BN_CTX *numbers)
{
    CLEANUP(BN_clear_free) BIGNUM *order = BN_dup(prime);
    CLEANUP(BN_clear_free) BIGNUM *rest = BN_new();

    return order && rest && BN_sub_word(order, 1) && BN_mod(rest, rsa->d, order, numbers) &&
           BN_cmp(rest, exponent) == 0 && are_inverse(rsa->e, exponent, order, numbers);
}

static bool rsa_parts_fit(const struct rsa *rsa)
{
    CLEANUP(BN_CTX_free) BN_CTX *numbers = BN_CTX_new();
    CLEANUP(BN_clear_free) BIGNUM *product = BN_new();

    return numbers && product && BN_mul(product, rsa->p, rsa->q, numbers) &&
           BN_cmp(product, rsa->n) == 0 && exponent_fits(rsa, rsa->dP, rsa->p, numbers) &&
           exponent_fits(rsa, rsa->dQ, rsa->q, numbers) &&
           are_inverse(rsa->q, rsa->qInv, rsa->p, numbers);
}

/* True for all other types of keys: the secret that signs is their only one. */
static bool parts_fit(EVP_PKEY *key)
{
    struct rsa rsa = {0};
    bool fit;

    if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "RSA-PSS"))
        return true;
    fit = rsa_get(key, &rsa) && rsa_parts_fit(&rsa);
    rsa_clear(&rsa);
    return fit;
}

int key_pair_check(const X509 *certificate, EVP_PKEY *key, struct aliyun_iot_error **error)
{
    bool public_half_fits;
    OSSL_LIB_CTX *context = cryptography_context(error);

    if (!context)
        return 0;
    public_half_fits = X509_check_private_key(certificate, key);
    if (public_half_fits && !EVP_PKEY_can_sign(key))
        return error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER,
                "the answer's Certificate is for a key of type %s, which cannot sign and so cannot "
                "authenticate a device",
                EVP_PKEY_get0_type_name(key));
    if (public_half_fits && parts_fit(key) &&
            signature_fits(X509_get0_pubkey(certificate), key, context))
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_KEY_MISMATCH,
            "the answer's PrivateKey does not belong to its Certificate; report this to the "
            "service with the RequestId");
}

/* The scheme for each type of key that every signer has, and the digest to verify with. */
static const struct proof {
    const char *key_type;
    enum key_scheme scheme;
    const char *digest; /* NULL: none, the scheme has its own */
} proofs[] = {
        {"RSA", KEY_SCHEME_RSA_PKCS1_SHA256, "SHA256"},
        {"EC", KEY_SCHEME_ECDSA_SHA256, "SHA256"},
        {"ED25519", KEY_SCHEME_ED25519, NULL},
        {"ED448", KEY_SCHEME_ED448, NULL},
};

static const struct proof *find_proof(const EVP_PKEY *public_key)
{
    for (size_t index = 0; index < sizeof(proofs) / sizeof(proofs[0]); index++)
        if (EVP_PKEY_is_a(public_key, proofs[index].key_type))
            return &proofs[index];
    return NULL;
}

static int prove(const struct key_signer *signer, EVP_PKEY *public_key, const struct proof *proof,
        OSSL_LIB_CTX *context, struct aliyun_iot_error **error)
{
    size_t size_max = (size_t)EVP_PKEY_get_size(public_key), size = size_max;
    CLEANUP(signature_free) unsigned char *signature = OPENSSL_malloc(size_max);

    if (!signature)
        return error_set_out_of_memory(error);
    if (!signer->sign(
                signer->context, proof->scheme, message, sizeof(message), signature, &size, error))
        return 0;
    if (size <= size_max && verify(public_key, proof->digest, context, signature, size))
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_KEY_MISMATCH,
            "the certificate does not verify what the device's key signs: the key is another one, "
            "or the certificate was replaced; fetch both again");
}

int key_pair_check_signer(
        const X509 *certificate, const struct key_signer *signer, struct aliyun_iot_error **error)
{
    EVP_PKEY *public_key = X509_get0_pubkey(certificate);
    const struct proof *proof = public_key ? find_proof(public_key) : NULL;
    OSSL_LIB_CTX *context = cryptography_context(error);

    if (!context)
        return 0;
    if (!proof)
        return error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER,
                "the certificate is for a key of type %s, for which there is no scheme to sign "
                "with; it must be RSA, EC, ED25519 or ED448",
                public_key ? EVP_PKEY_get0_type_name(public_key) : "that OpenSSL does not know");
    return prove(signer, public_key, proof, context, error);
}
