/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and certificates that a test makes for itself, and their PEM text. What cannot be made ends
 * the program.
 */
#ifndef PAIR_H
#define PAIR_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* type: "RSA" (2048 bits), "EC" (P-256) or "ED25519". */
static inline EVP_PKEY *pair_key(const char *type)
{
    EVP_PKEY *key = strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)2048)
                                             : EVP_PKEY_Q_keygen(NULL, NULL, type, "P-256");

    if (!key)
        abort();
    return key;
}

/* Signs a certificate with a key of any type. */
static inline void pair_sign(X509 *certificate, EVP_PKEY *key)
{
    bool has_digest = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");

    if (X509_sign(certificate, key, has_digest ? NULL : EVP_sha256()) <= 0)
        abort();
}

/* A certificate of the key, signed by the issuer's; from and to are in seconds from now. */
static inline X509 *pair_certificate_by(EVP_PKEY *key, EVP_PKEY *issuer, long from, long to)
{
    X509 *certificate = X509_new();

    if (!certificate || !X509_set_version(certificate, X509_VERSION_3) ||
            !ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711) ||
            !X509_gmtime_adj(X509_getm_notBefore(certificate), from) ||
            !X509_gmtime_adj(X509_getm_notAfter(certificate), to) ||
            !X509_set_pubkey(certificate, key))
        abort();
    pair_sign(certificate, issuer);
    return certificate;
}

/* A certificate of the key, signed by itself. */
static inline X509 *pair_certificate(EVP_PKEY *key, long from, long to)
{
    return pair_certificate_by(key, key, from, to);
}

/* Frees a memory BIO and returns its text, to be freed by free(). */
static inline char *pair_text_of_bio(BIO *bio)
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)size);

    BIO_free(bio);
    return text;
}

/* To be freed by free(). */
static inline char *pair_certificate_pem(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (!bio || !PEM_write_bio_X509(bio, certificate))
        abort();
    return pair_text_of_bio(bio);
}

/* structure: "PrivateKeyInfo" (PKCS#8) or "type-specific" (PKCS#1, SEC1). To be freed by free(). */
static inline char *pair_key_pem(EVP_PKEY *key, const char *structure)
{
    OSSL_ENCODER_CTX *encoder =
            OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, "PEM", structure, NULL);
    BIO *bio = BIO_new(BIO_s_mem());

    if (!encoder || !bio || !OSSL_ENCODER_to_bio(encoder, bio))
        abort();
    OSSL_ENCODER_CTX_free(encoder);
    return pair_text_of_bio(bio);
}

#endif
