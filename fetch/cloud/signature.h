/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two signatures of Alibaba Cloud's RPC-style OpenAPI. Both are pure functions of their input:
 * time, nonce and credentials come from the caller. The formats are documented by Alibaba Cloud as
 * "V3 request structure and signature" and "RPC request mechanism"; tests/signature-vectors.json
 * holds results of the official SDKs.
 */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

/* A query or form parameter, or a header: neither side encoded; NULL value: not sent. */
struct signature_pair {
    const char *name;
    const char *value;
};

/*
 * ACS3-HMAC-SHA256. Sorts both lists in place by name, in byte order.
 * headers: those to sign, names in lower case; x-acs-content-sha256 is among them.
 * query: receives the canonical, encoded query string.
 * authorization: receives the value of the Authorization header.
 * Returns 1, or 0 with *error set.
 */
int signature_acs3(const char *method, const char *path, struct signature_pair *parameters,
        size_t parameter_count, struct signature_pair *headers, size_t header_count,
        const char *access_key_id, const char *access_key_secret, BUF_MEM *query,
        BUF_MEM *authorization, struct aliyun_iot_error **error);

/* Appends the hexadecimal SHA-256 of a body to digest, for the header x-acs-content-sha256. */
int signature_acs3_body_digest(
        const char *body, size_t size, BUF_MEM *digest, struct aliyun_iot_error **error);

/*
 * RPC HMAC-SHA1 over the parameters, which are sorted in place by name, in byte order.
 * query: receives the canonical, encoded query string, without the signature.
 * signature: receives the signature in base64.
 * Returns 1, or 0 with *error set.
 */
int signature_rpc(const char *method, struct signature_pair *parameters, size_t parameter_count,
        const char *access_key_secret, BUF_MEM *query, BUF_MEM *signature,
        struct aliyun_iot_error **error);

/* Sorts the parameters by name, encodes and joins them. Both signatures are made from this. */
int signature_canonical_query(struct signature_pair *parameters, size_t count, BUF_MEM *query,
        struct aliyun_iot_error **error);

#endif
