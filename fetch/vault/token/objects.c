/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/objects.h"

#include <dlfcn.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <p11-kit/p11-kit.h>

#include "base/buffer.h"
#include "base/cryptography.h"
#include "base/identity.h"

enum { OBJECTS_MAX = 32 /* of one id */, LABEL_SIZE_MAX = 128, ATTRIBUTES_MAX = 20 };

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static int fail(struct aliyun_iot_error **error, const char *what, CK_RV result)
{
    return error_set(
            error, ALIYUN_IOT_REASON_TOKEN, "the token %s: %s", what, p11_kit_strerror(result));
}

static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, size};
}

int objects_open(const char *module_path, unsigned long slot_id, bool may_write,
        struct objects *objects, struct aliyun_iot_error **error)
{
    CK_RV (*get_functions)(CK_FUNCTION_LIST * *functions) = NULL;
    /* libp11 has loaded it before. */
    void *module = dlopen(module_path, RTLD_LAZY | RTLD_LOCAL);
    CK_RV result = CKR_FUNCTION_NOT_SUPPORTED;

    *objects = (struct objects){.is_open = false};
    if (module)
        *(void **)&get_functions = dlsym(module, "C_GetFunctionList");
    if (get_functions)
        result = get_functions(&objects->functions);
    if (result == CKR_OK)
        result = objects->functions->C_OpenSession(slot_id,
                CKF_SERIAL_SESSION | (may_write ? CKF_RW_SESSION : 0), NULL, NULL,
                &objects->session);
    objects->is_open = result == CKR_OK;
    return objects->is_open || fail(error, "gives no session", result);
}

void objects_close(struct objects *objects)
{
    if (objects->is_open)
        objects->functions->C_CloseSession(objects->session);
    objects->is_open = false;
}

/* Finds the objects of a class and id. Returns how many; -1 with *error set. */
static int find(const struct objects *objects, CK_OBJECT_CLASS class, struct bytes id,
        CK_OBJECT_HANDLE found[OBJECTS_MAX], struct aliyun_iot_error **error)
{
    CK_ATTRIBUTE wanted[] = {
            attribute(CKA_CLASS, &class, sizeof(class)), attribute(CKA_ID, id.at, id.left)};
    CK_ULONG count = 0;
    CK_RV result = objects->functions->C_FindObjectsInit(objects->session, wanted, 2);

    if (result == CKR_OK) {
        result = objects->functions->C_FindObjects(objects->session, found, OBJECTS_MAX, &count);
        objects->functions->C_FindObjectsFinal(objects->session);
    }
    if (result == CKR_OK)
        return (int)count;
    fail(error, "cannot look for objects", result);
    return -1;
}

/* Reads an attribute into the buffer, in place of its content. */
static CK_RV read_attribute(const struct objects *objects, CK_OBJECT_HANDLE object,
        CK_ATTRIBUTE_TYPE type, BUF_MEM *value)
{
    CK_ATTRIBUTE wanted = attribute(type, NULL, 0);
    CK_RV result = objects->functions->C_GetAttributeValue(objects->session, object, &wanted, 1);

    value->length = 0;
    if (result != CKR_OK)
        return result;
    if (wanted.ulValueLen > 65536 || !BUF_MEM_grow(value, wanted.ulValueLen + 1))
        return CKR_HOST_MEMORY;
    wanted.pValue = value->data;
    result = objects->functions->C_GetAttributeValue(objects->session, object, &wanted, 1);
    value->length = result == CKR_OK ? wanted.ulValueLen : 0;
    value->data[value->length] = '\0';
    return result;
}

struct labelled {
    char label[LABEL_SIZE_MAX];
    X509 *certificate;
};

static int compare_labels(const void *left, const void *right)
{
    return strcmp(((const struct labelled *)left)->label, ((const struct labelled *)right)->label);
}

static int read_certificate(const struct objects *objects, CK_OBJECT_HANDLE object,
        struct labelled *labelled, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *value = BUF_MEM_new();
    OSSL_LIB_CTX *context = cryptography_context(error);
    const unsigned char *der;
    CK_RV result;

    if (!context)
        return 0;
    if (!value)
        return error_set_out_of_memory(error);
    result = read_attribute(objects, object, CKA_LABEL, value);
    if (result == CKR_OK)
        strncpy(labelled->label, value->data, LABEL_SIZE_MAX - 1);
    if (result == CKR_OK)
        result = read_attribute(objects, object, CKA_VALUE, value);
    if (result != CKR_OK)
        return fail(error, "does not give a certificate", result);
    labelled->certificate = X509_new_ex(context, NULL);
    if (!labelled->certificate)
        return error_set_out_of_memory(error);
    der = (const unsigned char *)value->data;
    return d2i_X509(&labelled->certificate, &der, (long)value->length) != NULL ||
           error_set_openssl(error, "a certificate in the token cannot be read");
}

STACK_OF(X509) *objects_certificates(
        const struct objects *objects, struct bytes id, struct aliyun_iot_error **error)
{
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = sk_X509_new_null();
    struct labelled all[OBJECTS_MAX] = {{.certificate = NULL}};
    CK_OBJECT_HANDLE found[OBJECTS_MAX];
    int count = find(objects, CKO_CERTIFICATE, id, found, error);
    bool done = count >= 0 && certificates;

    for (int index = 0; done && index < count; index++)
        done = read_certificate(objects, found[index], &all[index], error);
    if (done && count > 0)
        qsort(all, (size_t)count, sizeof(all[0]), compare_labels);
    for (int index = 0; index < count; index++)
        if (!done || !sk_X509_push(certificates, all[index].certificate)) {
            X509_free(all[index].certificate);
            done = false;
        }
    return done ? take(certificates) : NULL;
}

int objects_import_certificate(const struct objects *objects, struct bytes id, const char *label,
        X509 *certificate, struct aliyun_iot_error **error)
{
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_CERTIFICATE_TYPE type = CKC_X_509;
    unsigned char *der = NULL, *subject = NULL, *issuer = NULL, *serial = NULL;
    int size = i2d_X509(certificate, &der);
    int subject_size = i2d_X509_NAME(X509_get_subject_name(certificate), &subject);
    int issuer_size = i2d_X509_NAME(X509_get_issuer_name(certificate), &issuer);
    int serial_size = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &serial);
    CK_OBJECT_HANDLE made;
    CK_RV result = CKR_HOST_MEMORY;

    if (size > 0 && subject_size > 0 && issuer_size > 0 && serial_size > 0) {
        CK_ATTRIBUTE attributes[] = {attribute(CKA_CLASS, &class, sizeof(class)),
                attribute(CKA_CERTIFICATE_TYPE, &type, sizeof(type)),
                attribute(CKA_TOKEN, &yes, sizeof(yes)), attribute(CKA_PRIVATE, &no, sizeof(no)),
                attribute(CKA_ID, id.at, id.left), attribute(CKA_LABEL, label, strlen(label)),
                attribute(CKA_SUBJECT, subject, (size_t)subject_size),
                attribute(CKA_ISSUER, issuer, (size_t)issuer_size),
                attribute(CKA_SERIAL_NUMBER, serial, (size_t)serial_size),
                attribute(CKA_VALUE, der, (size_t)size)};

        result = objects->functions->C_CreateObject(
                objects->session, attributes, sizeof(attributes) / sizeof(attributes[0]), &made);
    }
    OPENSSL_free(der);
    OPENSSL_free(subject);
    OPENSSL_free(issuer);
    OPENSSL_free(serial);
    return result == CKR_OK || fail(error, "does not take the device's certificate", result);
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
    *part = attribute(parts[number].type, copy, size);
    return true;
}

int objects_import_key(const struct objects *objects, struct bytes id, const char *label,
        const OSSL_PARAM *parameters, struct aliyun_iot_error **error)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    CK_ATTRIBUTE attributes[PARTS + ATTRIBUTES_MAX];
    const CK_ATTRIBUTE common[] = {attribute(CKA_CLASS, &class, sizeof(class)),
            attribute(CKA_KEY_TYPE, &type, sizeof(type)), attribute(CKA_TOKEN, &yes, sizeof(yes)),
            attribute(CKA_PRIVATE, &yes, sizeof(yes)), attribute(CKA_SENSITIVE, &yes, sizeof(yes)),
            attribute(CKA_EXTRACTABLE, &no, sizeof(no)), attribute(CKA_SIGN, &yes, sizeof(yes)),
            attribute(CKA_ID, id.at, id.left), attribute(CKA_LABEL, label, strlen(label))};
    size_t count = 0;
    CK_OBJECT_HANDLE made;
    CK_RV result = CKR_HOST_MEMORY;

    while (count < PARTS && copy_part(parameters, count, &attributes[count]))
        count++;
    if (count == PARTS) {
        memcpy(attributes + PARTS, common, sizeof(common));
        result = objects->functions->C_CreateObject(
                objects->session, attributes, PARTS + sizeof(common) / sizeof(common[0]), &made);
    }
    for (size_t index = 0; index < count; index++)
        OPENSSL_clear_free(attributes[index].pValue, attributes[index].ulValueLen);
    return result == CKR_OK || fail(error, "does not take the device's key", result);
}

static int check_attribute(const struct objects *objects, CK_OBJECT_HANDLE key,
        CK_ATTRIBUTE_TYPE type, CK_BBOOL wanted, const char *name, struct aliyun_iot_error **error)
{
    CK_BBOOL value = !wanted;
    CK_ATTRIBUTE asked = attribute(type, &value, sizeof(value));
    CK_RV result = objects->functions->C_GetAttributeValue(objects->session, key, &asked, 1);

    if (result != CKR_OK)
        return fail(error, "does not say whether the key may leave it", result);
    return value == wanted ||
           error_set(error, ALIYUN_IOT_REASON_TOKEN,
                   "the token did not keep the device's key to itself: it made %s %s, and the key "
                   "was removed from it again; use another token",
                   name, wanted ? "false" : "true");
}

int objects_check_key(
        const struct objects *objects, struct bytes id, struct aliyun_iot_error **error)
{
    CK_OBJECT_HANDLE found[OBJECTS_MAX];
    int count = find(objects, CKO_PRIVATE_KEY, id, found, error);

    if (count == 0)
        error_set(error, ALIYUN_IOT_REASON_TOKEN, "the token did not keep the device's key");
    for (int index = 0; index < count; index++)
        if (!check_attribute(
                    objects, found[index], CKA_SENSITIVE, CK_TRUE, "CKA_SENSITIVE", error) ||
                !check_attribute(
                        objects, found[index], CKA_EXTRACTABLE, CK_FALSE, "CKA_EXTRACTABLE", error))
            return 0;
    return count > 0;
}

bool objects_are_whole(const struct objects *objects, struct bytes id)
{
    CK_OBJECT_HANDLE found[OBJECTS_MAX];

    /* The certificates are imported last, and the leaf is the first of them. */
    return find(objects, CKO_PRIVATE_KEY, id, found, NULL) > 0 &&
           find(objects, CKO_CERTIFICATE, id, found, NULL) > 0;
}

void objects_remove(const struct objects *objects, struct bytes id)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_CERTIFICATE};

    for (size_t class = 0; class < sizeof(classes) / sizeof(classes[0]); class ++) {
        CK_OBJECT_HANDLE found[OBJECTS_MAX];
        int count = find(objects, classes[class], id, found, NULL);

        for (int index = 0; index < count; index++)
            objects->functions->C_DestroyObject(objects->session, found[index]);
    }
}
