/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/import.h"

#include <endian.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "base/buffer.h"

enum { ATTRIBUTES_MAX = 20, MADE_MAX = 32 };

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

/* What an import made, to be removed if it fails. */
struct import {
    const struct objects *objects;
    struct device_key *key;
    CK_OBJECT_HANDLE made[MADE_MAX];
    size_t count;
};

static CK_RV make(struct import *import, CK_ATTRIBUTE *attributes, size_t count)
{
    const struct objects *objects = import->objects;
    CK_RV result = CKR_HOST_MEMORY;

    if (import->count < MADE_MAX)
        result = objects->functions->C_CreateObject(
                objects->session, attributes, count, &import->made[import->count]);
    import->count += result == CKR_OK;
    return result;
}

static void undo(struct import *import)
{
    while (import->count > 0)
        import->objects->functions->C_DestroyObject(
                import->objects->session, import->made[--import->count]);
}

/* The parts of an RSA key, by OpenSSL and by PKCS#11. */
static const struct {
    const char *name;
    CK_ATTRIBUTE_TYPE type;
} parts[] = {
        {OSSL_PKEY_PARAM_RSA_N, CKA_MODULUS},
        {OSSL_PKEY_PARAM_RSA_E, CKA_PUBLIC_EXPONENT},
        {OSSL_PKEY_PARAM_RSA_D, CKA_PRIVATE_EXPONENT},
        {OSSL_PKEY_PARAM_RSA_FACTOR1, CKA_PRIME_1},
        {OSSL_PKEY_PARAM_RSA_FACTOR2, CKA_PRIME_2},
        {OSSL_PKEY_PARAM_RSA_EXPONENT1, CKA_EXPONENT_1},
        {OSSL_PKEY_PARAM_RSA_EXPONENT2, CKA_EXPONENT_2},
        {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, CKA_COEFFICIENT},
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* PKCS#11 has numbers with the most significant byte first, OpenSSL in the machine's order. */
static bool copy_part(const OSSL_PARAM *parameters, size_t number, CK_ATTRIBUTE *part)
{
    const OSSL_PARAM *parameter = OSSL_PARAM_locate_const(parameters, parts[number].name);
    const unsigned char *from = parameter ? parameter->data : NULL;
    size_t size = parameter ? parameter->data_size : 0;
    unsigned char *copy = size > 0 ? OPENSSL_malloc(size) : NULL;

    if (!copy)
        return false;
    for (size_t index = 0; index < size; index++)
        copy[index] = htobe16(1) == 1 ? from[index] : from[size - 1 - index];
    *part = objects_attribute(parts[number].type, copy, size);
    return true;
}

static int make_key(
        struct import *import, const OSSL_PARAM *parameters, struct aliyun_iot_error **error)
{
    const struct device_key *key = import->key;
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    CK_ATTRIBUTE attributes[PARTS + ATTRIBUTES_MAX];
    const CK_ATTRIBUTE common[] = {objects_attribute(CKA_CLASS, &class, sizeof(class)),
            objects_attribute(CKA_KEY_TYPE, &type, sizeof(type)),
            objects_attribute(CKA_TOKEN, &yes, sizeof(yes)),
            objects_attribute(CKA_PRIVATE, &yes, sizeof(yes)),
            objects_attribute(CKA_SENSITIVE, &yes, sizeof(yes)),
            objects_attribute(CKA_EXTRACTABLE, &no, sizeof(no)),
            objects_attribute(CKA_SIGN, &yes, sizeof(yes)),
            objects_attribute(CKA_ID, key->id, DEVICE_KEY_ID_SIZE),
            objects_attribute(CKA_LABEL, key->label, strlen(key->label))};
    size_t count = 0;
    CK_RV result = CKR_HOST_MEMORY;

    while (count < PARTS && copy_part(parameters, count, &attributes[count]))
        count++;
    if (count == PARTS) {
        memcpy(attributes + PARTS, common, sizeof(common));
        result = make(import, attributes, PARTS + sizeof(common) / sizeof(common[0]));
    }
    for (size_t index = 0; index < count; index++)
        OPENSSL_clear_free(attributes[index].pValue, attributes[index].ulValueLen);
    return result == CKR_OK || objects_fail(error, "does not take the device's key", result);
}

/* Whether the token keeps the key to itself. */
static int check_attribute(const struct objects *objects, CK_OBJECT_HANDLE key,
        CK_ATTRIBUTE_TYPE type, CK_BBOOL wanted, const char *name, struct aliyun_iot_error **error)
{
    CK_BBOOL value = !wanted;
    CK_ATTRIBUTE asked = objects_attribute(type, &value, sizeof(value));
    CK_RV result = objects->functions->C_GetAttributeValue(objects->session, key, &asked, 1);

    if (result != CKR_OK)
        return objects_fail(error, "does not say whether the key may leave it", result);
    return value == wanted ||
           error_set(error, ALIYUN_IOT_REASON_TOKEN,
                   "the token did not keep the device's key to itself: it made %s %s, and the key "
                   "was removed from it again; use another token",
                   name, wanted ? "false" : "true");
}

static int check_key(
        const struct objects *objects, CK_OBJECT_HANDLE key, struct aliyun_iot_error **error)
{
    if (check_attribute(objects, key, CKA_SENSITIVE, CK_TRUE, "CKA_SENSITIVE", error) &&
            check_attribute(objects, key, CKA_EXTRACTABLE, CK_FALSE, "CKA_EXTRACTABLE", error))
        return 1;
    objects->functions->C_DestroyObject(objects->session, key);
    return 0;
}

/* Removes the device's keys but one. */
static void remove_other_keys(
        const struct objects *objects, const struct device_key *key, CK_OBJECT_HANDLE kept)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *value = BUF_MEM_new();
    const struct bytes modulus = device_key_modulus(key);
    CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX];
    int count = objects_find_of_class(objects, CKO_PRIVATE_KEY, key, found, NULL);

    for (int index = 0; value && index < count; index++)
        /* Another process may have imported the same key just now. */
        if (found[index] != kept && objects_is_own(objects, key, found[index], value) &&
                (objects_read_attribute(objects, found[index], CKA_MODULUS, value) != CKR_OK ||
                        value->length != modulus.left ||
                        memcmp(value->data, modulus.at, modulus.left) != 0))
            objects->functions->C_DestroyObject(objects->session, found[index]);
}

static int import_key(
        struct import *import, const OSSL_PARAM *parameters, struct aliyun_iot_error **error)
{
    CK_OBJECT_HANDLE found;

    if (!objects_find_key(import->objects, import->key, &found, NULL)) {
        if (!make_key(import, parameters, error))
            return 0;
        found = import->made[import->count - 1];
    }
    if (!check_key(import->objects, found, error))
        return 0;
    remove_other_keys(import->objects, import->key, found);
    return 1;
}

static int make_certificate(
        struct import *import, size_t place, X509 *certificate, struct aliyun_iot_error **error)
{
    const struct device_key *key = import->key;
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_CERTIFICATE_TYPE type = CKC_X_509;
    unsigned char *der = NULL, *subject = NULL, *issuer = NULL, *serial = NULL;
    int size = i2d_X509(certificate, &der);
    int subject_size = i2d_X509_NAME(X509_get_subject_name(certificate), &subject);
    int issuer_size = i2d_X509_NAME(X509_get_issuer_name(certificate), &issuer);
    int serial_size = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &serial);
    char label[OBJECTS_LABEL_SIZE];
    CK_RV result = CKR_HOST_MEMORY;

    objects_write_label(key, place, label);
    if (size > 0 && subject_size > 0 && issuer_size > 0 && serial_size > 0) {
        CK_ATTRIBUTE attributes[] = {objects_attribute(CKA_CLASS, &class, sizeof(class)),
                objects_attribute(CKA_CERTIFICATE_TYPE, &type, sizeof(type)),
                objects_attribute(CKA_TOKEN, &yes, sizeof(yes)),
                objects_attribute(CKA_PRIVATE, &no, sizeof(no)),
                objects_attribute(CKA_ID, key->id, DEVICE_KEY_ID_SIZE),
                objects_attribute(CKA_LABEL, label, strlen(label)),
                objects_attribute(CKA_SUBJECT, subject, (size_t)subject_size),
                objects_attribute(CKA_ISSUER, issuer, (size_t)issuer_size),
                objects_attribute(CKA_SERIAL_NUMBER, serial, (size_t)serial_size),
                objects_attribute(CKA_VALUE, der, (size_t)size)};

        result = make(import, attributes, sizeof(attributes) / sizeof(attributes[0]));
    }
    OPENSSL_free(der);
    OPENSSL_free(subject);
    OPENSSL_free(issuer);
    OPENSSL_free(serial);
    return result == CKR_OK ||
           objects_fail(error, "does not take the device's certificate", result);
}

static bool is_certificate(
        const struct objects *objects, CK_OBJECT_HANDLE object, struct bytes der, BUF_MEM *value)
{
    return objects_read_attribute(objects, object, CKA_VALUE, value) == CKR_OK &&
           value->length == der.left && memcmp(value->data, der.at, der.left) == 0;
}

/*
 * Looks for a certificate under its label, and removes others that have it. *is_there: it was
 * found.
 */
static void look_for_certificate(
        const struct import *import, size_t place, struct bytes der, BUF_MEM *value, bool *is_there)
{
    const struct objects *objects = import->objects;
    CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX];
    int count = objects_find_of_class(objects, CKO_CERTIFICATE, import->key, found, NULL);
    char label[OBJECTS_LABEL_SIZE];

    *is_there = false;
    objects_write_label(import->key, place, label);
    for (int index = 0; index < count; index++) {
        if (objects_read_attribute(objects, found[index], CKA_LABEL, value) != CKR_OK ||
                strcmp(value->data, label) != 0)
            continue;
        if (is_certificate(objects, found[index], der, value))
            *is_there = true;
        else
            objects->functions->C_DestroyObject(objects->session, found[index]);
    }
}

/* Removes certificates of an older chain, which was longer. */
static void remove_certificates_behind(const struct import *import, size_t last, BUF_MEM *value)
{
    const struct objects *objects = import->objects;
    CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX];
    int count = objects_find_of_class(objects, CKO_CERTIFICATE, import->key, found, NULL);
    char label[OBJECTS_LABEL_SIZE];

    objects_write_label(import->key, last, label);
    for (int index = 0; index < count; index++)
        if (objects_is_own(objects, import->key, found[index], value) &&
                strcmp(value->data, label) > 0)
            objects->functions->C_DestroyObject(objects->session, found[index]);
}

/* The leaf last: what has no leaf is no chain. */
static int import_certificates(struct import *import, const struct aliyun_iot_identity *identity,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *value = BUF_MEM_new();
    size_t count = aliyun_iot_identity_certificate_count(identity);

    if (!value)
        return error_set_out_of_memory(error);
    remove_certificates_behind(import, count - 1, value);
    for (size_t place = count; place-- > 0;) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, place, &size);
        const struct bytes bytes = {der, size};
        CLEANUP(X509_free) X509 *certificate = d2i_X509(NULL, &der, (long)size);
        bool is_there;

        if (!certificate)
            return error_set_openssl(error, "a certificate cannot be read");
        look_for_certificate(import, place, bytes, value, &is_there);
        if (!is_there && !make_certificate(import, place, certificate, error))
            return 0;
    }
    return 1;
}

int import_identity(const struct objects *objects, struct device_key *key,
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    struct import import = {.objects = objects, .key = key};

    if (import_key(&import, aliyun_iot_identity_key_parameters(identity), error) &&
            import_certificates(&import, identity, error))
        return 1;
    undo(&import);
    return 0;
}
