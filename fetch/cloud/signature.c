/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/signature.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/cryptography.h"
#include "base/text.h"

static int compare_pairs(const void *left, const void *right)
{
    return strcmp(((const struct signature_pair *)left)->name,
            ((const struct signature_pair *)right)->name);
}

static void sort_pairs(struct signature_pair *pairs, size_t count)
{
    if (count > 1)
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
}

/* At most EVP_MAX_MD_SIZE bytes. */
static bool append_hexadecimal(BUF_MEM *text, const unsigned char *bytes, size_t size)
{
    char digits[2 * EVP_MAX_MD_SIZE + 1];

    text_write_hexadecimal(digits, bytes, size);
    return buffer_append_text(text, digits);
}

int signature_canonical_query(struct signature_pair *parameters, size_t count, BUF_MEM *query,
        struct aliyun_iot_error **error)
{
    const char *separator = "";

    sort_pairs(parameters, count);
    for (size_t index = 0; index < count; index++) {
        if (!parameters[index].value)
            continue;
        if (!buffer_append_text(query, separator) ||
                !buffer_append_percent_encoded(query, parameters[index].name) ||
                !buffer_append_text(query, "=") ||
                !buffer_append_percent_encoded(query, parameters[index].value))
            return error_set_out_of_memory(error);
        separator = "&";
    }
    return 1;
}

static int append_digest(
        BUF_MEM *text, const char *data, size_t size, struct aliyun_iot_error **error)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    OSSL_LIB_CTX *context = cryptography_context(error);

    if (!context)
        return 0;
    if (!EVP_Q_digest(context, "SHA256", NULL, size ? data : "", size, digest, NULL))
        return error_set_openssl(error, "SHA-256 failed");
    return append_hexadecimal(text, digest, sizeof(digest)) ? 1 : error_set_out_of_memory(error);
}

int signature_acs3_body_digest(
        const char *body, size_t size, BUF_MEM *digest, struct aliyun_iot_error **error)
{
    return append_digest(digest, body, size, error);
}

/* hmac must hold EVP_MAX_MD_SIZE bytes. */
static int compute_hmac(const char *digest, const char *key, const BUF_MEM *message,
        unsigned char *hmac, size_t *hmac_size, struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);

    if (!context)
        return 0;
    if (!EVP_Q_mac(context, "HMAC", NULL, digest, NULL, key, strlen(key),
                (const unsigned char *)message->data, message->length, hmac, EVP_MAX_MD_SIZE,
                hmac_size))
        return error_set_openssl(error, "HMAC failed");
    return 1;
}

/* Appends "name;name": the names of the headers that are signed. */
static bool append_signed_names(
        BUF_MEM *text, const struct signature_pair *headers, size_t header_count)
{
    const char *separator = "";

    for (size_t index = 0; index < header_count; index++) {
        if (!headers[index].value)
            continue;
        if (!buffer_append_format(text, "%s%s", separator, headers[index].name))
            return false;
        separator = ";";
    }
    return true;
}

static bool append_header_lines(
        BUF_MEM *text, const struct signature_pair *headers, size_t header_count)
{
    for (size_t index = 0; index < header_count; index++)
        if (headers[index].value &&
                !buffer_append_format(text, "%s:%s\n", headers[index].name, headers[index].value))
            return false;
    return true;
}

static const char *find_header(
        const struct signature_pair *headers, size_t header_count, const char *name)
{
    for (size_t index = 0; index < header_count; index++)
        if (headers[index].value && strcmp(headers[index].name, name) == 0)
            return headers[index].value;
    return "";
}

int signature_acs3(const char *method, const char *path, struct signature_pair *parameters,
        size_t parameter_count, struct signature_pair *headers, size_t header_count,
        const char *access_key_id, const char *access_key_secret, BUF_MEM *query,
        BUF_MEM *authorization, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *request = BUF_MEM_new();
    CLEANUP(BUF_MEM_free) BUF_MEM *to_sign = BUF_MEM_new();
    unsigned char hmac[EVP_MAX_MD_SIZE];
    size_t hmac_size = 0;

    if (!request || !to_sign)
        return error_set_out_of_memory(error);
    if (!signature_canonical_query(parameters, parameter_count, query, error))
        return 0;
    sort_pairs(headers, header_count);
    if (!buffer_append_format(request, "%s\n%s\n", method, path) ||
            !buffer_append(request, query->data, query->length) ||
            !buffer_append_text(request, "\n") ||
            !append_header_lines(request, headers, header_count) ||
            !buffer_append_text(request, "\n") ||
            !append_signed_names(request, headers, header_count) ||
            !buffer_append_format(
                    request, "\n%s", find_header(headers, header_count, "x-acs-content-sha256")) ||
            !buffer_append_text(to_sign, "ACS3-HMAC-SHA256\n"))
        return error_set_out_of_memory(error);
    if (!append_digest(to_sign, request->data, request->length, error) ||
            !compute_hmac("SHA256", access_key_secret, to_sign, hmac, &hmac_size, error))
        return 0;
    if (!buffer_append_format(
                authorization, "ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=", access_key_id) ||
            !append_signed_names(authorization, headers, header_count) ||
            !buffer_append_text(authorization, ",Signature=") ||
            !append_hexadecimal(authorization, hmac, hmac_size))
        return error_set_out_of_memory(error);
    return 1;
}

int signature_rpc(const char *method, struct signature_pair *parameters, size_t parameter_count,
        const char *access_key_secret, BUF_MEM *query, BUF_MEM *signature,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *key = BUF_MEM_new();
    CLEANUP(BUF_MEM_free) BUF_MEM *to_sign = BUF_MEM_new();
    unsigned char hmac[EVP_MAX_MD_SIZE];
    char encoded[(EVP_MAX_MD_SIZE + 2) / 3 * 4 + 1];
    size_t hmac_size = 0;

    if (!key || !to_sign)
        return error_set_out_of_memory(error);
    if (!signature_canonical_query(parameters, parameter_count, query, error))
        return 0;
    if (!buffer_text(query) || !buffer_append_format(to_sign, "%s&%%2F&", method) ||
            !buffer_append_percent_encoded(to_sign, query->data) ||
            !buffer_append_text(key, access_key_secret) || !buffer_append_text(key, "&") ||
            !buffer_text(key))
        return error_set_out_of_memory(error);
    if (!compute_hmac("SHA1", key->data, to_sign, hmac, &hmac_size, error))
        return 0;
    EVP_EncodeBlock((unsigned char *)encoded, hmac, (int)hmac_size);
    return buffer_append_text(signature, encoded) ? 1 : error_set_out_of_memory(error);
}
