/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/token_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "base/cryptography.h"
#include "base/identity.h"
#include "base/scheme.h"
#include "base/text.h"
#include "base/trace.h"
#include "vault/entry.h"
#include "vault/token/objects.h"
#include "vault/token/open_token.h"

enum { ID_SIZE = 20 /* bytes of CKA_ID, as a key identifier usually has */, LABEL_SIZE = 128 };

DEFINE_CLEANUP(BIGNUM *, BN_free);

static inline void openssl_free(char *text)
{
    OPENSSL_free(text);
}
DEFINE_CLEANUP(char *, openssl_free);

#define OBJECTS_CLEANUP __attribute__((cleanup(objects_close)))

struct token_source {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const struct settings *settings;
    struct source *upstream;
};

/* A device in its token. */
struct device_key {
    struct token_place place;
    unsigned char id[ID_SIZE];
    char label[LABEL_SIZE]; /* PRODUCT_KEY/DEVICE_NAME */
};

static struct bytes id_of(const struct device_key *key)
{
    return (struct bytes){key->id, ID_SIZE};
}

/* The id is the beginning of a digest of all that names the device, as in a vault. */
static int find_place(const struct settings *settings, const struct device *device,
        struct device_key *key, struct aliyun_iot_error **error)
{
    const struct entry_names names = entry_names_of(settings->quota_account, device);
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new();
    OSSL_LIB_CTX *context = cryptography_context(error);
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (!context)
        return 0;
    if (!bytes || !entry_names_write(&names, bytes))
        return error_set_out_of_memory(error);
    if (!EVP_Q_digest(context, "SHA256", NULL, bytes->data, bytes->length, digest, NULL))
        return error_set_openssl(error, "SHA-256 failed");
    key->place = token_place_of_devices(settings);
    memcpy(key->id, digest, ID_SIZE);
    snprintf(key->label, LABEL_SIZE, "%s/%s", device->product_key, device->device_name);
    return 1;
}

static int sign(void *context, enum key_scheme scheme, const unsigned char *message,
        size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    const struct device_key *device = context;
    CLEANUP(EVP_PKEY_free)
    EVP_PKEY *key = open_token_key(&device->place, id_of(device), error);
    const char *reason;
    int done;

    if (!key)
        return 0;
    ERR_set_mark();
    done = scheme_sign(key, NULL, scheme, (struct bytes){message, message_size}, signature, size);
    reason = done ? NULL : ERR_reason_error_string(ERR_peek_last_error());
    if (!done)
        error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "the token does not sign for %s: %s; insert it, or restart the program if it was "
                "away meanwhile",
                device->label, reason ? reason : "no reason given");
    ERR_pop_to_mark();
    return done;
}

/* What the platform calls CertSN is the certificate's serial number. */
static char *serial_number_of(const X509 *leaf)
{
    CLEANUP(BN_free) BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);

    return number ? BN_bn2dec(number) : NULL;
}

/* What a visit to the token is for. */
struct visit {
    const struct device_key *device;
    const struct aliyun_iot_identity *imported;
    bool is_expired; /* what is in the token */
    STACK_OF(X509) *certificates;
};

static int read_certificates(void *context, const char *module_path, unsigned long slot_id,
        struct aliyun_iot_error **error)
{
    struct visit *visit = context;
    OBJECTS_CLEANUP struct objects objects;

    if (!objects_open(module_path, slot_id, false, &objects, error))
        return 0;
    visit->certificates = objects_certificates(&objects, id_of(visit->device), error);
    return visit->certificates != NULL;
}

/* The identity in the token. NULL with *error set: NOT_FOUND, if there is none. */
static struct aliyun_iot_identity *from_token(
        const struct device_key *device, struct aliyun_iot_error **error)
{
    struct visit visit = {.device = device};
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = NULL;
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
    CLEANUP(openssl_free) char *serial_number = NULL;
    struct key_signer signer = {.sign = sign, .free = free};

    if (!open_token_use(&device->place, id_of(device), read_certificates, &visit, error))
        return NULL;
    certificates = visit.certificates;
    if (sk_X509_num(certificates) == 0) {
        error_set(error, ALIYUN_IOT_REASON_NOT_FOUND, "%s is not in the token", device->label);
        return NULL;
    }
    key = open_token_key(&device->place, id_of(device), error);
    if (!key)
        return NULL;
    serial_number = serial_number_of(sk_X509_value(certificates, 0));
    signer.context = malloc(sizeof(*device));
    if (!signer.context) {
        error_set_out_of_memory(error);
        return NULL;
    }
    memcpy(signer.context, device, sizeof(*device));
    return identity_new_with_signer(certificates, &signer, serial_number, NULL, error);
}

static int import_certificates(const struct objects *objects, const struct device_key *device,
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    size_t count = aliyun_iot_identity_certificate_count(identity);

    for (size_t index = 0; index < count; index++) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);
        CLEANUP(X509_free) X509 *certificate = d2i_X509(NULL, &der, (long)size);
        char label[LABEL_SIZE + 16];

        /* In the order of their labels. */
        snprintf(label, sizeof(label), index ? "%s %02zu" : "%s", device->label, index);
        if (!certificate)
            return error_set_openssl(error, "a certificate cannot be read");
        if (!objects_import_certificate(objects, id_of(device), label, certificate, error))
            return 0;
    }
    return 1;
}

static int import(void *context, const char *module_path, unsigned long slot_id,
        struct aliyun_iot_error **error)
{
    const struct visit *visit = context;
    const struct device_key *device = visit->device;
    OBJECTS_CLEANUP struct objects objects;

    if (!objects_open(module_path, slot_id, true, &objects, error))
        return 0;
    /* Another process may have been faster. */
    if (!visit->is_expired && objects_are_whole(&objects, id_of(device)))
        return 1;
    /* Of an earlier import that was interrupted, or whose certificate has expired. */
    objects_remove(&objects, id_of(device));
    if (objects_import_key(&objects, id_of(device), device->label,
                aliyun_iot_identity_key_parameters(visit->imported), error) &&
            objects_check_key(&objects, id_of(device), error) &&
            import_certificates(&objects, device, visit->imported, error))
        return 1;
    objects_remove(&objects, id_of(device));
    return 0;
}

static struct aliyun_iot_identity *fetch_and_import(struct token_source *token,
        const struct device_key *key, bool is_expired, const struct device *device, bool background,
        int64_t deadline, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity =
            token->upstream->fetch(token->upstream, device, background, deadline, error);
    struct visit visit = {.device = key, .imported = identity, .is_expired = is_expired};

    if (!identity)
        return NULL;
    if (strcmp(aliyun_iot_identity_key_type(identity), "RSA") != 0) {
        error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "%s has a key of type %s, and only RSA keys are imported into a token; leave it "
                "out of devices in section [token]",
                key->label, aliyun_iot_identity_key_type(identity));
        return NULL;
    }
    if (!open_token_use(&key->place, id_of(key), import, &visit, error))
        return NULL;
    open_token_forget(&key->place, id_of(key));
    trace(token->settings, TRACE_INFO, "token product=%s device=%s result=imported",
            device->product_key, device->device_name);
    return from_token(key, error);
}

static struct aliyun_iot_identity *token_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct token_source *token = (struct token_source *)source;
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    struct aliyun_iot_identity *identity;
    enum aliyun_iot_reason reason;
    struct device_key key;

    if (!find_place(token->settings, device, &key, error))
        return NULL;
    identity = from_token(&key, &problem);
    if (identity)
        return identity;
    reason = aliyun_iot_error_reason(problem);
    if (reason == ALIYUN_IOT_REASON_NOT_FOUND || reason == ALIYUN_IOT_REASON_NOT_VALID)
        return fetch_and_import(token, &key, reason == ALIYUN_IOT_REASON_NOT_VALID, device,
                background, deadline, error);
    if (error)
        *error = take(problem);
    return NULL;
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
