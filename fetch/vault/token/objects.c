/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/objects.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <p11-kit/p11-kit.h>

#include "base/buffer.h"
#include "base/cryptography.h"
#include "base/identity.h"

enum { VALUE_SIZE_MAX = 64 * 1024 };

int objects_fail(struct aliyun_iot_error **error, const char *what, CK_RV result)
{
    return error_set(
            error, ALIYUN_IOT_REASON_TOKEN, "the token %s: %s", what, p11_kit_strerror(result));
}

CK_ATTRIBUTE objects_attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, size};
}

int objects_open(const struct token_slot *slot, bool may_write, struct objects *objects,
        struct aliyun_iot_error **error)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | (may_write ? CKF_RW_SESSION : 0);
    CK_RV result;

    *objects = (struct objects){.functions = slot->functions};
    result = slot->functions->C_OpenSession(slot->id, flags, NULL, NULL, &objects->session);
    objects->is_open = result == CKR_OK;
    return objects->is_open || objects_fail(error, "gives no session", result);
}

void objects_close(struct objects *objects)
{
    if (objects->is_open)
        objects->functions->C_CloseSession(objects->session);
    objects->is_open = false;
}

/* Finds objects. Returns how many, OBJECTS_FOUND_MAX at most; -1 with *error set. */
static int find(const struct objects *objects, CK_ATTRIBUTE *wanted, size_t count,
        CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX], struct aliyun_iot_error **error)
{
    CK_ULONG found_count = 0;
    CK_RV result = objects->functions->C_FindObjectsInit(objects->session, wanted, count);

    if (result == CKR_OK) {
        result = objects->functions->C_FindObjects(
                objects->session, found, OBJECTS_FOUND_MAX, &found_count);
        objects->functions->C_FindObjectsFinal(objects->session);
    }
    if (result == CKR_OK)
        return (int)found_count;
    objects_fail(error, "cannot look for objects", result);
    return -1;
}

int objects_find_of_class(const struct objects *objects, CK_OBJECT_CLASS class,
        const struct device_key *key, CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX],
        struct aliyun_iot_error **error)
{
    CK_ATTRIBUTE wanted[] = {objects_attribute(CKA_CLASS, &class, sizeof(class)),
            objects_attribute(CKA_ID, key->id, DEVICE_KEY_ID_SIZE)};

    return find(objects, wanted, 2, found, error);
}

/* Whether the object that was found before is still the device's. Handles may be used again. */
static bool has_id(
        const struct objects *objects, const struct device_key *key, CK_OBJECT_HANDLE object)
{
    unsigned char id[DEVICE_KEY_ID_SIZE];
    CK_ATTRIBUTE asked = objects_attribute(CKA_ID, id, sizeof(id));

    return object != CK_INVALID_HANDLE &&
           objects->functions->C_GetAttributeValue(objects->session, object, &asked, 1) == CKR_OK &&
           asked.ulValueLen == sizeof(id) && memcmp(id, key->id, sizeof(id)) == 0;
}

int objects_find_key(const struct objects *objects, struct device_key *key, CK_OBJECT_HANDLE *found,
        struct aliyun_iot_error **error)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    CK_OBJECT_HANDLE all[OBJECTS_FOUND_MAX];
    const struct bytes modulus = device_key_modulus(key);
    CK_ATTRIBUTE wanted[] = {objects_attribute(CKA_CLASS, &class, sizeof(class)),
            objects_attribute(CKA_KEY_TYPE, &type, sizeof(type)),
            objects_attribute(CKA_ID, key->id, DEVICE_KEY_ID_SIZE),
            objects_attribute(CKA_MODULUS, modulus.at, modulus.left)};
    int count;

    *found = key->handle;
    if (has_id(objects, key, *found))
        return 1;
    count = find(objects, wanted, 4, all, error);
    if (count == 0)
        error_set(error, ALIYUN_IOT_REASON_NOT_FOUND,
                "the token does not sign for %s: it does not show its key; insert the token, or "
                "restart the program if it was away meanwhile",
                key->label);
    if (count <= 0)
        return 0;
    /* If two programs with copies of the PIN have imported it at once, there are two of it. */
    key->handle = *found = all[0];
    return 1;
}

/* Reads an attribute into the buffer, in place of its content. */
CK_RV objects_read_attribute(const struct objects *objects, CK_OBJECT_HANDLE object,
        CK_ATTRIBUTE_TYPE type, BUF_MEM *value)
{
    CK_ATTRIBUTE wanted = objects_attribute(type, NULL, 0);
    CK_RV result = objects->functions->C_GetAttributeValue(objects->session, object, &wanted, 1);

    value->length = 0;
    if (result != CKR_OK)
        return result;
    if (wanted.ulValueLen > VALUE_SIZE_MAX)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    if (!BUF_MEM_grow(value, wanted.ulValueLen + 1))
        return CKR_HOST_MEMORY;
    wanted.pValue = value->data;
    result = objects->functions->C_GetAttributeValue(objects->session, object, &wanted, 1);
    value->length = result == CKR_OK ? wanted.ulValueLen : 0;
    value->data[value->length] = '\0';
    return result;
}

/* The label of a certificate: that of the leaf sorts first. */
void objects_write_label(const struct device_key *key, size_t place, char label[OBJECTS_LABEL_SIZE])
{
    snprintf(label, OBJECTS_LABEL_SIZE, place ? "%s %02zu" : "%s", key->label, place);
}

/* Whether a label is that of the device's key, or of one of its certificates. */
static bool is_label_of(const struct device_key *key, const BUF_MEM *label)
{
    size_t size = strlen(key->label);

    return label->length >= size && memcmp(label->data, key->label, size) == 0 &&
           (label->length == size || (label->length == size + 3 && label->data[size] == ' '));
}

/* Whether an object is the device's. A label that cannot be read is another's. */
bool objects_is_own(const struct objects *objects, const struct device_key *key,
        CK_OBJECT_HANDLE object, BUF_MEM *label)
{
    return objects_read_attribute(objects, object, CKA_LABEL, label) == CKR_OK &&
           is_label_of(key, label);
}

static X509 *read_certificate(const struct objects *objects, const struct device_key *key,
        CK_OBJECT_HANDLE object, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *value = BUF_MEM_new();
    OSSL_LIB_CTX *context = cryptography_context(error);
    CLEANUP(X509_free) X509 *certificate = context ? X509_new_ex(context, NULL) : NULL;
    const unsigned char *der;
    CK_RV result;

    if (!context)
        return NULL;
    if (!value || !certificate) {
        error_set_out_of_memory(error);
        return NULL;
    }
    result = objects_read_attribute(objects, object, CKA_VALUE, value);
    der = (const unsigned char *)value->data;
    if (result != CKR_OK && result != CKR_ATTRIBUTE_VALUE_INVALID)
        objects_fail(error, "does not give a certificate", result);
    else if (result != CKR_OK || !d2i_X509(&certificate, &der, (long)value->length))
        error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER,
                "a certificate of %s in the token is damaged", key->label);
    else
        return take(certificate);
    return NULL;
}

struct labelled {
    char label[OBJECTS_LABEL_SIZE];
    CK_OBJECT_HANDLE object;
};

static int compare_labels(const void *left, const void *right)
{
    return strcmp(((const struct labelled *)left)->label, ((const struct labelled *)right)->label);
}

/* Finds a device's certificates, in the order of their labels. Returns how many; -1 as find(). */
static int find_certificates(const struct objects *objects, const struct device_key *key,
        struct labelled certificates[OBJECTS_FOUND_MAX], struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *label = BUF_MEM_new();
    CK_OBJECT_HANDLE found[OBJECTS_FOUND_MAX];
    int count = objects_find_of_class(objects, CKO_CERTIFICATE, key, found, error), own = 0;

    if (!label) {
        error_set_out_of_memory(error);
        return -1;
    }
    for (int index = 0; index < count; index++)
        if (objects_is_own(objects, key, found[index], label)) {
            memcpy(certificates[own].label, label->data, label->length + 1);
            certificates[own++].object = found[index];
        }
    qsort(certificates, (size_t)own, sizeof(*certificates), compare_labels);
    return count < 0 ? -1 : own;
}

STACK_OF(X509) *objects_certificates(const struct objects *objects, const struct device_key *key,
        struct aliyun_iot_error **error)
{
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = sk_X509_new_null();
    struct labelled all[OBJECTS_FOUND_MAX];
    int count = find_certificates(objects, key, all, error);

    if (count < 0)
        return NULL;
    /* Without the leaf there are none: it is imported last. */
    if (count > 0 && strcmp(all[0].label, key->label) != 0)
        count = 0;
    for (int index = 0; index < count; index++) {
        CLEANUP(X509_free) X509 *certificate = NULL;

        if (index > 0 && strcmp(all[index].label, all[index - 1].label) == 0)
            continue;
        certificate = read_certificate(objects, key, all[index].object, error);
        if (!certificate)
            return NULL;
        if (!certificates || !sk_X509_push(certificates, certificate)) {
            error_set_out_of_memory(error);
            return NULL;
        }
        certificate = NULL;
    }
    return take(certificates);
}
