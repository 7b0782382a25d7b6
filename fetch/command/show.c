/* SPDX-License-Identifier: Apache-2.0 */
#include "command/command.h"

#include <stdio.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

static inline void openssl_free(char *text)
{
    OPENSSL_free(text);
}
DEFINE_CLEANUP(char *, openssl_free);
DEFINE_CLEANUP(BIGNUM *, BN_free);
DEFINE_CLEANUP(BIO *, BIO_free_all);

static X509 *leaf_of(const struct aliyun_iot_identity *identity)
{
    size_t size;
    const unsigned char *der = aliyun_iot_identity_certificate(identity, 0, &size);

    return d2i_X509(NULL, &der, (long)size);
}

static void print_names_and_dates(BIO *out, const X509 *leaf)
{
    CLEANUP(BN_free) BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    CLEANUP(openssl_free) char *serial = number ? BN_bn2hex(number) : NULL;

    BIO_puts(out, "subject:      ");
    X509_NAME_print_ex(out, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253);
    BIO_puts(out, "\nissuer:       ");
    X509_NAME_print_ex(out, X509_get_issuer_name(leaf), 0, XN_FLAG_RFC2253);
    BIO_printf(out, "\nserial:       %s\nnot before:   ", serial ? serial : "?");
    ASN1_TIME_print(out, X509_get0_notBefore(leaf));
    BIO_puts(out, "\nnot after:    ");
    ASN1_TIME_print(out, X509_get0_notAfter(leaf));
    BIO_puts(out, "\n");
}

static void print_key(BIO *out, const X509 *leaf, const char *key_type)
{
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    char group[64] = "";

    if (key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
        BIO_printf(out, "key:          %s %s\n", key_type, group);
    else
        BIO_printf(out, "key:          %s %d bits\n", key_type, key ? EVP_PKEY_get_bits(key) : 0);
}

static void print_fingerprint(BIO *out, const X509 *leaf)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[3 * EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (X509_digest(leaf, EVP_sha256(), digest, &size) &&
            OPENSSL_buf2hexstr_ex(text, sizeof(text), NULL, digest, size, ':'))
        BIO_printf(out, "fingerprint:  SHA256 %s\n", text);
}

int command_show(int argc, char **argv)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    CLEANUP(BIO_free_all) BIO *out = BIO_new_fp(stdout, BIO_NOCLOSE);
    CLEANUP(X509_free) X509 *leaf = NULL;

    if (argc != 2)
        return fail_usage("show takes one URI; see aliyun-iot help show");
    identity = resolve_or_explain(argv[1], NULL);
    if (!identity)
        return EXIT_FAILED;
    leaf = leaf_of(identity);
    if (!leaf || !out)
        return fail("out of memory");
    print_names_and_dates(out, leaf);
    print_key(out, leaf, aliyun_iot_identity_key_type(identity));
    print_fingerprint(out, leaf);
    BIO_printf(out, "certificates: %zu\n", aliyun_iot_identity_certificate_count(identity));
    BIO_printf(out, "CertSN:       %s\n", aliyun_iot_identity_serial_number(identity));
    BIO_printf(out, "RequestId:    %s\n", aliyun_iot_identity_request_id(identity));
    return EXIT_DONE;
}
