/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a URI to a device's identity.
 *
 *     aliyun-iot:[//]PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID][&object=cert|key]
 *
 * An identity is a device's certificate chain and private key, both of one answer of the cloud,
 * checked to belong together. It is immutable and reference counted: what a pointer shows stays
 * the same until the reference is given back.
 *
 * All functions may be called from any thread, and in a child after fork().
 */
#ifndef ALIYUN_IOT_IDENTITY_H
#define ALIYUN_IOT_IDENTITY_H

#include <stddef.h>
#include <time.h>

#include <openssl/core.h>

#include <aliyun-iot/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aliyun_iot_identity;

/* What the URI's attribute "object" limits the answer to. */
enum aliyun_iot_object {
    ALIYUN_IOT_OBJECT_ALL,
    ALIYUN_IOT_OBJECT_CERTIFICATE,
    ALIYUN_IOT_OBJECT_KEY
};

/*
 * Resolves a URI, from the process's memory or by asking the cloud (QueryDeviceCert, version
 * 2018-01-20). Blocks for at most the settings' timeout.
 *
 * settings_file: path of aliyun-iot.conf, or NULL to search for it as aliyun-iot.conf(5) says.
 * identity: receives a reference, to be given back with aliyun_iot_identity_free().
 * object: receives what the URI asks for; may be NULL.
 * error: receives the error, to be freed with aliyun_iot_error_free(); may be NULL.
 * Returns 1, or 0 with *error set and *identity NULL.
 */
int aliyun_iot_identity_resolve(const char *settings_file, const char *uri,
        struct aliyun_iot_identity **identity, enum aliyun_iot_object *object,
        struct aliyun_iot_error **error);

/* Gives back a reference; NULL is ignored. The last one cleanses a key that is data. */
void aliyun_iot_identity_free(struct aliyun_iot_identity *identity);

/* How many certificates the chain has: the leaf, then intermediates. At least 1. */
size_t aliyun_iot_identity_certificate_count(const struct aliyun_iot_identity *identity);

/* The certificate at index, in DER, of *size bytes; 0 is the leaf. Owned by the identity. */
const unsigned char *aliyun_iot_identity_certificate(
        const struct aliyun_iot_identity *identity, size_t index, size_t *size);

/* OpenSSL's name of the key's type: "RSA", "EC", "ED25519" or "ED448". */
const char *aliyun_iot_identity_key_type(const struct aliyun_iot_identity *identity);

/*
 * The private key as PKCS#8 PrivateKeyInfo, in DER, of *size bytes. Owned by the identity. NULL,
 * and *size 0, if the key is not data, because it stays where it is and signs there.
 */
const unsigned char *aliyun_iot_identity_key(
        const struct aliyun_iot_identity *identity, size_t *size);

/*
 * The whole key pair as the parameters that OpenSSL's own key management imports. Owned by the
 * identity. NULL if the key is not data.
 */
const OSSL_PARAM *aliyun_iot_identity_key_parameters(const struct aliyun_iot_identity *identity);

/* CertSN as the service gave it, or "". Opaque: it need not equal the certificate's serial. */
const char *aliyun_iot_identity_serial_number(const struct aliyun_iot_identity *identity);

/* RequestId of the answer that brought the identity, or "". */
const char *aliyun_iot_identity_request_id(const struct aliyun_iot_identity *identity);

#ifdef __cplusplus
}
#endif

#endif
