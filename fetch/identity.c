/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#include "cryptography.h"
#include "export.h"

/* Bytes in DER. */
struct der {
    unsigned char *bytes;
    size_t size;
};

struct aliyun_iot_identity {
    atomic_int references;
    struct der *certificates; /* the leaf, then intermediates */
    size_t certificate_count;
    struct der key;             /* PKCS#8 PrivateKeyInfo */
    OSSL_PARAM *key_parameters; /* the same key, as OpenSSL's key management imports it */
    char *key_type;
    char *serial_number;
    char *request_id;
    int64_t not_after;
};

DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free);

static void der_free(struct der *der)
{
    OPENSSL_clear_free(der->bytes, der->size);
}

/* OSSL_PARAM_free() cleanses only what lay in the secure heap. */
static void key_parameters_free(OSSL_PARAM *parameters)
{
    if (!parameters)
        return;
    for (OSSL_PARAM *parameter = parameters; parameter->key; parameter++)
        OPENSSL_cleanse(parameter->data, parameter->data_size);
    OSSL_PARAM_free(parameters);
}

static void identity_destroy(struct aliyun_iot_identity *identity)
{
    for (size_t index = 0; index < identity->certificate_count; index++)
        der_free(&identity->certificates[index]);
    free(identity->certificates);
    der_free(&identity->key);
    key_parameters_free(identity->key_parameters);
    free(identity->key_type);
    free(identity->serial_number);
    free(identity->request_id);
    free(identity);
}

EXPORT void aliyun_iot_identity_free(struct aliyun_iot_identity *identity)
{
    if (identity && atomic_fetch_sub(&identity->references, 1) == 1)
        identity_destroy(identity);
}

struct aliyun_iot_identity *identity_reference(struct aliyun_iot_identity *identity)
{
    atomic_fetch_add(&identity->references, 1);
    return identity;
}

/* YYYY-MM-DD is what a person needs of a date here. */
static void format_date(const ASN1_TIME *date, char text[sizeof("0000-00-00")])
{
    struct tm broken;

    if (!ASN1_TIME_to_tm(date, &broken) ||
            strftime(text, sizeof("0000-00-00"), "%Y-%m-%d", &broken) == 0)
        memcpy(text, "?", sizeof("?"));
}

static int check_dates(const X509 *leaf, struct aliyun_iot_error **error)
{
    char from[sizeof("0000-00-00")], to[sizeof("0000-00-00")];
    int after_start = X509_cmp_current_time(X509_get0_notBefore(leaf));
    int after_end = X509_cmp_current_time(X509_get0_notAfter(leaf));

    if (after_start < 0 && after_end > 0)
        return 1;
    format_date(X509_get0_notBefore(leaf), from);
    format_date(X509_get0_notAfter(leaf), to);
    return error_set(error, ALIYUN_IOT_REASON_NOT_VALID,
            "the device's certificate is valid from %s to %s only; check this machine's clock, or "
            "have the platform issue a new certificate",
            from, to);
}

static int copy_certificates(struct aliyun_iot_identity *identity, STACK_OF(X509) *certificates,
        struct aliyun_iot_error **error)
{
    int count = sk_X509_num(certificates);

    identity->certificates = calloc((size_t)count, sizeof(*identity->certificates));
    if (!identity->certificates)
        return error_set_out_of_memory(error);
    for (int index = 0; index < count; index++) {
        struct der *der = &identity->certificates[index];
        int size = i2d_X509(sk_X509_value(certificates, index), &der->bytes);

        if (size < 0)
            return error_set_openssl(error, "the certificate cannot be encoded");
        der->size = (size_t)size;
        identity->certificate_count++;
    }
    return 1;
}

static int copy_key(
        struct aliyun_iot_identity *identity, EVP_PKEY *key, struct aliyun_iot_error **error)
{
    CLEANUP(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    const char *key_type = EVP_PKEY_get0_type_name(key);
    int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &identity->key.bytes) : -1;

    if (size < 0 || !key_type || !EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &identity->key_parameters))
        return error_set_openssl(error, "the private key cannot be encoded");
    identity->key.size = (size_t)size;
    identity->key_type = strdup(key_type);
    return identity->key_type ? 1 : error_set_out_of_memory(error);
}

static int copy_texts(struct aliyun_iot_identity *identity, const char *serial_number,
        const char *request_id, struct aliyun_iot_error **error)
{
    identity->serial_number = strdup(serial_number ? serial_number : "");
    identity->request_id = strdup(request_id ? request_id : "");
    if (!identity->serial_number || !identity->request_id)
        return error_set_out_of_memory(error);
    return 1;
}

static int64_t seconds_since_1970(const ASN1_TIME *date)
{
    struct tm broken;

    return ASN1_TIME_to_tm(date, &broken) ? (int64_t)timegm(&broken) : 0;
}

struct aliyun_iot_identity *identity_new(STACK_OF(X509) *certificates, EVP_PKEY *key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    X509 *leaf = sk_X509_value(certificates, 0);

    if (!X509_check_private_key(leaf, key)) {
        error_set(error, ALIYUN_IOT_REASON_KEY_MISMATCH,
                "the answer's PrivateKey does not belong to its Certificate; report this to the "
                "service with the RequestId");
        return NULL;
    }
    if (!check_dates(leaf, error))
        return NULL;
    identity = calloc(1, sizeof(*identity));
    if (!identity) {
        error_set_out_of_memory(error);
        return NULL;
    }
    identity->references = 1;
    identity->not_after = seconds_since_1970(X509_get0_notAfter(leaf));
    if (!copy_certificates(identity, certificates, error) || !copy_key(identity, key, error) ||
            !copy_texts(identity, serial_number, request_id, error))
        return NULL;
    return take(identity);
}

int64_t identity_not_after(const struct aliyun_iot_identity *identity)
{
    return identity->not_after;
}

EXPORT size_t aliyun_iot_identity_certificate_count(const struct aliyun_iot_identity *identity)
{
    return identity->certificate_count;
}

EXPORT const unsigned char *aliyun_iot_identity_certificate(
        const struct aliyun_iot_identity *identity, size_t index, size_t *size)
{
    *size = identity->certificates[index].size;
    return identity->certificates[index].bytes;
}

EXPORT const char *aliyun_iot_identity_key_type(const struct aliyun_iot_identity *identity)
{
    return identity->key_type;
}

EXPORT const unsigned char *aliyun_iot_identity_key(
        const struct aliyun_iot_identity *identity, size_t *size)
{
    *size = identity->key.size;
    return identity->key.bytes;
}

EXPORT const OSSL_PARAM *aliyun_iot_identity_key_parameters(
        const struct aliyun_iot_identity *identity)
{
    return identity->key_parameters;
}

EXPORT const char *aliyun_iot_identity_serial_number(const struct aliyun_iot_identity *identity)
{
    return identity->serial_number;
}

EXPORT const char *aliyun_iot_identity_request_id(const struct aliyun_iot_identity *identity)
{
    return identity->request_id;
}
