/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/token_source.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "base/identity.h"
#include "base/trace.h"
#include "vault/files.h"
#include "vault/token/device_key.h"
#include "vault/token/import.h"
#include "vault/token/objects.h"
#include "vault/token/open_token.h"
#include "vault/token/signature.h"

DEFINE_CLEANUP(BIGNUM *, BN_free);

static inline void openssl_free(char *text)
{
    OPENSSL_free(text);
}
DEFINE_CLEANUP(char *, openssl_free);

struct token_source {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const struct settings *settings;
    struct source *upstream;
};

static int sign(void *context, enum key_scheme scheme, const unsigned char *message,
        size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    struct device_key *key = context;
    const struct token_place place = device_key_place(key);
    OBJECTS_CLEANUP struct objects objects = {.is_open = false};
    struct token_slot slot;

    return open_token_log_in(&place, &slot, error) && objects_open(&slot, false, &objects, error) &&
           signature_make(&objects, key, scheme, (struct bytes){message, message_size}, signature,
                   size, error);
}

static void free_key(void *context)
{
    device_key_free(context);
}

/* What the platform calls CertSN is the certificate's serial number. */
static char *serial_number_of(const X509 *leaf)
{
    CLEANUP(BN_free) BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);

    return number ? BN_bn2dec(number) : NULL;
}

/* The key is found by the modulus of the certificate's. */
static int find_modulus(struct device_key *key, const X509 *leaf, struct aliyun_iot_error **error)
{
    EVP_PKEY *public_key = X509_get0_pubkey(leaf);
    CLEANUP(BN_free) BIGNUM *modulus = NULL;

    if (!public_key || !EVP_PKEY_get_bn_param(public_key, OSSL_PKEY_PARAM_RSA_N, &modulus))
        return error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER,
                "the certificate of %s in the token is not for an RSA key", key->label);
    if (!BUF_MEM_grow(key->modulus, (size_t)BN_num_bytes(modulus)))
        return error_set_out_of_memory(error);
    BN_bn2bin(modulus, (unsigned char *)key->modulus->data);
    key->handle = 0;
    return 1;
}

/* The certificates in the token, with key->modulus set. NULL with *error set. */
static STACK_OF(X509) *read_token(
        const struct objects *objects, struct device_key *key, struct aliyun_iot_error **error)
{
    CLEANUP(certificates_free)
    STACK_OF(X509) *certificates = objects_certificates(objects, key, error);
    CK_OBJECT_HANDLE handle;

    if (certificates && sk_X509_num(certificates) == 0)
        error_set(error, ALIYUN_IOT_REASON_NOT_FOUND, "%s is not in the token", key->label);
    else if (certificates && find_modulus(key, sk_X509_value(certificates, 0), error) &&
             objects_find_key(objects, key, &handle, error))
        return take(certificates);
    return NULL;
}

/* The identity in the token; *key becomes its. NULL with *error set. */
static struct aliyun_iot_identity *from_token(
        const struct token_slot *slot, struct device_key **key, struct aliyun_iot_error **error)
{
    OBJECTS_CLEANUP struct objects objects = {.is_open = false};
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = NULL;
    CLEANUP(openssl_free) char *serial_number = NULL;
    struct key_signer signer = {.sign = sign, .free = free_key};

    if (objects_open(slot, false, &objects, error))
        certificates = read_token(&objects, *key, error);
    if (!certificates)
        return NULL;
    serial_number = serial_number_of(sk_X509_value(certificates, 0));
    signer.context = take(*key);
    return identity_new_with_signer(certificates, &signer, serial_number, NULL, error);
}

/* Whether the token has what can be used, which another process may have imported meanwhile. */
static bool is_good(const struct objects *objects, struct device_key *key)
{
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = read_token(objects, key, NULL);

    return certificates &&
           X509_cmp_current_time(X509_get0_notAfter(sk_X509_value(certificates, 0))) > 0;
}

static int import(const struct token_slot *slot, struct device_key *key,
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    const struct token_place place = device_key_place(key);
    FILES_CLEANUP int turn = open_token_take_turn(&place, error);
    OBJECTS_CLEANUP struct objects objects = {.is_open = false};
    CLEANUP(X509_free) X509 *leaf = NULL;

    if (turn < 0 || !objects_open(slot, true, &objects, error))
        return 0;
    if (is_good(&objects, key))
        return 1;
    leaf = identity_leaf(identity, error);
    return leaf && find_modulus(key, leaf, error) &&
           import_identity(&objects, key, identity, error);
}

static int fetch_and_import(struct token_source *token, const struct token_slot *slot,
        struct device_key *key, const struct device *device, bool background, int64_t deadline,
        struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity =
            token->upstream->fetch(token->upstream, device, background, deadline, error);

    if (!identity)
        return 0;
    if (strcmp(aliyun_iot_identity_key_type(identity), "RSA") != 0)
        return error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "%s has a key of type %s, and only RSA keys are imported into a token; leave it "
                "out of devices in section [token]",
                key->label, aliyun_iot_identity_key_type(identity));
    if (!import(slot, key, identity, error))
        return 0;
    trace(token->settings, TRACE_INFO, "token product=%s device=%s result=imported",
            device->product_key, device->device_name);
    return 1;
}

/* Whether an import mends it. */
static bool is_about_content(enum aliyun_iot_reason reason)
{
    return reason == ALIYUN_IOT_REASON_NOT_FOUND || reason == ALIYUN_IOT_REASON_NOT_VALID ||
           reason == ALIYUN_IOT_REASON_KEY_MISMATCH || reason == ALIYUN_IOT_REASON_BAD_ANSWER;
}

static struct aliyun_iot_identity *token_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct token_source *token = (struct token_source *)source;
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(device_key_free)
    struct device_key *key = device_key_new(token->settings, device, error);
    struct token_place place = token_place_of_devices(token->settings);
    struct aliyun_iot_identity *identity;
    struct token_slot slot;

    if (!key || !open_token_log_in(&place, &slot, error))
        return NULL;
    identity = from_token(&slot, &key, &problem);
    if (identity)
        return identity;
    if (!is_about_content(aliyun_iot_error_reason(problem))) {
        if (error)
            *error = take(problem);
        return NULL;
    }
    if (!key)
        key = device_key_new(token->settings, device, error);
    return key && fetch_and_import(token, &slot, key, device, background, deadline, error)
                   ? from_token(&slot, &key, error)
                   : NULL;
}

static void token_free(struct source *source)
{
    free(source);
}

struct source *token_source_new(
        const struct settings *settings, struct source *upstream, struct aliyun_iot_error **error)
{
    struct token_source *token = calloc(1, sizeof(*token));

    if (!token) {
        error_set_out_of_memory(error);
        return NULL;
    }
    *token = (struct token_source){{token_fetch, token_free}, settings, upstream};
    return &token->source;
}
