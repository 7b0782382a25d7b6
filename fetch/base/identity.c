/* SPDX-License-Identifier: Apache-2.0 */
#include "base/identity.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/params.h>

#include "base/cryptography.h"
#include "base/export.h"
#include "base/identity_parts.h"
#include "base/key_pair.h"
#include "base/pkcs8.h"

static void der_free(struct der *der)
{
    OPENSSL_clear_free(der->bytes, der->size);
}

/* OSSL_PARAM_free() cleanses only memory of the secure heap. */
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
    if (identity->signer.sign)
        identity->signer.free(identity->signer.context);
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

/* A message shows a date as YYYY-MM-DD. */
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

DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);

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
    int size = -1;

    if (EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &identity->key_parameters))
        size = pkcs8_encode(key, identity->key_parameters, &identity->key.bytes);
    if (size < 0)
        return error_set_openssl(error, "the private key cannot be encoded");
    identity->key.size = (size_t)size;
    return 1;
}

static int copy_texts(struct aliyun_iot_identity *identity, const char *key_type,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error)
{
    identity->key_type = strdup(key_type);
    identity->serial_number = strdup(serial_number ? serial_number : "");
    identity->request_id = strdup(request_id ? request_id : "");
    if (!identity->key_type || !identity->serial_number || !identity->request_id)
        return error_set_out_of_memory(error);
    return 1;
}

static int64_t seconds_since_1970(const ASN1_TIME *date)
{
    struct tm broken;

    return ASN1_TIME_to_tm(date, &broken) ? (int64_t)timegm(&broken) : 0;
}

/* All but the key, whose pair was checked. */
static struct aliyun_iot_identity *make_without_key(STACK_OF(X509) *certificates,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    const X509 *leaf = sk_X509_value(certificates, 0);

    if (!check_dates(leaf, error))
        return NULL;
    identity = calloc(1, sizeof(*identity));
    if (!identity) {
        error_set_out_of_memory(error);
        return NULL;
    }
    identity->references = 1;
    identity->not_before = seconds_since_1970(X509_get0_notBefore(leaf));
    identity->not_after = seconds_since_1970(X509_get0_notAfter(leaf));
    identity->fetched = (int64_t)time(NULL);
    if (!copy_certificates(identity, certificates, error) ||
            !copy_texts(identity, EVP_PKEY_get0_type_name(X509_get0_pubkey(leaf)), serial_number,
                    request_id, error))
        return NULL;
    return take(identity);
}

struct aliyun_iot_identity *identity_new(STACK_OF(X509) *certificates, EVP_PKEY *key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;

    if (!key_pair_check(sk_X509_value(certificates, 0), key, error))
        return NULL;
    identity = make_without_key(certificates, serial_number, request_id, error);
    return identity && copy_key(identity, key, error) ? take(identity) : NULL;
}

struct aliyun_iot_identity *identity_new_with_signer(STACK_OF(X509) *certificates,
        const struct key_signer *signer, const char *serial_number, const char *request_id,
        struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity = NULL;

    if (signer->is_proven || key_pair_check_signer(sk_X509_value(certificates, 0), signer, error))
        identity = make_without_key(certificates, serial_number, request_id, error);
    if (identity)
        identity->signer = *signer;
    else
        signer->free(signer->context);
    return identity;
}

const struct key_signer *identity_signer(const struct aliyun_iot_identity *identity)
{
    return identity->signer.sign ? &identity->signer : NULL;
}

X509 *identity_leaf(const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    const struct der *leaf = &identity->certificates[0];
    const unsigned char *bytes = leaf->bytes;
    OSSL_LIB_CTX *context = cryptography_context(error);
    CLEANUP(X509_free) X509 *certificate = context ? X509_new_ex(context, NULL) : NULL;

    if (!context)
        return NULL;
    if (certificate && d2i_X509(&certificate, &bytes, (long)leaf->size))
        return take(certificate);
    error_set_openssl(error, "the certificate cannot be read");
    return NULL;
}

EVP_PKEY *identity_public_key(
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    CLEANUP(X509_free) X509 *certificate = identity_leaf(identity, error);
    EVP_PKEY *public_key = certificate ? X509_get_pubkey(certificate) : NULL;

    if (certificate && !public_key)
        error_set_openssl(error, "the certificate's public key cannot be read");
    return public_key;
}

EVP_PKEY *identity_key_pair(
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);
    CLEANUP(EVP_PKEY_CTX_free)
    EVP_PKEY_CTX *maker =
            context ? EVP_PKEY_CTX_new_from_name(context, identity->key_type, NULL) : NULL;
    EVP_PKEY *key = NULL;

    if (!context)
        return NULL;
    if (!maker || EVP_PKEY_fromdata_init(maker) != 1 ||
            EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEYPAIR, identity->key_parameters) != 1)
        error_set_openssl(error, "the private key cannot be read");
    return key;
}

int64_t identity_not_before(const struct aliyun_iot_identity *identity)
{
    return identity->not_before;
}

int64_t identity_not_after(const struct aliyun_iot_identity *identity)
{
    return identity->not_after;
}

int64_t identity_fetched(const struct aliyun_iot_identity *identity)
{
    return identity->fetched;
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
