/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/openapi_request.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "base/url.h"
#include "cloud/signature.h"

enum {
    DATE_SIZE = sizeof("0000-00-00T00:00:00Z"),
    NONCE_SIZE = 33,          /* 16 random bytes in hexadecimal, and NUL */
    COMMON_PARAMETERS_MAX = 9 /* of the RPC style: Action to SecurityToken */
};

/* What differs in each try, so that no two signatures are the same. */
struct stamp {
    char date[DATE_SIZE];
    char nonce[NONCE_SIZE];
};

static int make_stamp(struct stamp *stamp, int64_t now, struct aliyun_iot_error **error)
{
    unsigned char random[(NONCE_SIZE - 1) / 2];
    time_t seconds = (time_t)now;
    struct tm broken;

    /* The kernel's generator: it takes OpenSSL longer to set up its own than to do all the rest. */
    if (getentropy(random, sizeof(random)) != 0)
        return error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                "the kernel gave no random number for the nonce");
    text_write_hexadecimal(stamp->nonce, random, sizeof(random));
    if (!gmtime_r(&seconds, &broken) ||
            strftime(stamp->date, DATE_SIZE, "%Y-%m-%dT%H:%M:%SZ", &broken) == 0)
        return error_set(error, ALIYUN_IOT_REASON_CLOCK, "this machine's clock is far off");
    return 1;
}

static int append_header_line(struct openapi_request *request, const char *name, const char *value,
        struct aliyun_iot_error **error)
{
    BUF_MEM *line = BUF_MEM_new();

    if (!line)
        return error_set_out_of_memory(error);
    request->header_lines[request->header_count++] = line;
    if (!buffer_append_text(line, name) || !buffer_append_text(line, ": ") ||
            !buffer_append_text(line, value) || !buffer_text(line))
        return error_set_out_of_memory(error);
    return 1;
}

/* The call's own parameters, with room for common_count more at the end. */
static struct signature_pair *copy_parameters(const struct openapi_call *call, size_t common_count)
{
    struct signature_pair *pairs = calloc(call->parameter_count + common_count, sizeof(*pairs));

    for (size_t index = 0; pairs && index < call->parameter_count; index++)
        pairs[index] = (struct signature_pair){
                call->parameters[index].name, call->parameters[index].value};
    return pairs;
}

static inline void free_pairs(struct signature_pair *pairs)
{
    free(pairs);
}
DEFINE_CLEANUP(struct signature_pair *, free_pairs);

/*
 * https://host:port to host:port. It is sent as the Host header too, because libcurl's own may
 * differ from what was signed: it writes the address 127.1 as 127.0.0.1.
 */
static const char *host_of(const char *endpoint)
{
    struct url url;

    return url_split(endpoint, &url) ? url.host : endpoint;
}

static int make_acs3(struct openapi_request *request, const struct openapi_call *call,
        const struct credentials *credentials, const struct stamp *stamp,
        struct aliyun_iot_error **error)
{
    CLEANUP(free_pairs) struct signature_pair *parameters = copy_parameters(call, 1);
    CLEANUP(BUF_MEM_free) BUF_MEM *authorization = BUF_MEM_new();
    CLEANUP(BUF_MEM_free) BUF_MEM *query = BUF_MEM_new();
    CLEANUP(BUF_MEM_free) BUF_MEM *digest = BUF_MEM_new();

    if (!parameters || !authorization || !query || !digest)
        return error_set_out_of_memory(error);
    if (!signature_acs3_body_digest("", 0, digest, error))
        return 0;
    if (!buffer_text(digest))
        return error_set_out_of_memory(error);

    struct signature_pair headers[] = {
            {"host", host_of(call->endpoint)},
            {"x-acs-action", call->action},
            {"x-acs-version", call->version},
            {"x-acs-date", stamp->date},
            {"x-acs-signature-nonce", stamp->nonce},
            {"x-acs-content-sha256", digest->data},
            /* The id and token of a temporary AccessKey are headers too, and are signed. */
            {"x-acs-accesskey-id", credentials->security_token ? credentials->access_key_id : NULL},
            {"x-acs-security-token", credentials->security_token},
    };
    size_t header_count = sizeof(headers) / sizeof(headers[0]);

    if (!signature_acs3("POST", "/", parameters, call->parameter_count, headers, header_count,
                credentials->access_key_id, credentials->access_key_secret, query, authorization,
                error))
        return 0;
    if (!buffer_text(authorization) || !buffer_text(query) ||
            !buffer_append_format(request->url, "/?%s", query->data))
        return error_set_out_of_memory(error);
    for (size_t index = 0; index < header_count; index++)
        if (headers[index].value &&
                !append_header_line(request, headers[index].name, headers[index].value, error))
            return 0;
    return append_header_line(request, "Authorization", authorization->data, error);
}

/* Without credentials, the request is not signed, as for AssumeRoleWithOIDC. */
static int make_rpc(struct openapi_request *request, const struct openapi_call *call,
        const struct credentials *credentials, const struct stamp *stamp,
        struct aliyun_iot_error **error)
{
    CLEANUP(free_pairs)
    struct signature_pair *parameters = copy_parameters(call, COMMON_PARAMETERS_MAX);
    CLEANUP(BUF_MEM_free) BUF_MEM *signature = BUF_MEM_new();
    size_t count = call->parameter_count;

    request->body = BUF_MEM_new();
    if (!parameters || !signature || !request->body || !buffer_append_text(request->url, "/"))
        return error_set_out_of_memory(error);
    parameters[count++] = (struct signature_pair){"Action", call->action};
    parameters[count++] = (struct signature_pair){"Version", call->version};
    parameters[count++] = (struct signature_pair){"Format", "JSON"};
    parameters[count++] = (struct signature_pair){"SignatureNonce", stamp->nonce};
    parameters[count++] = (struct signature_pair){"Timestamp", stamp->date};
    if (!credentials)
        return signature_canonical_query(parameters, count, request->body, error);

    parameters[count++] = (struct signature_pair){"AccessKeyId", credentials->access_key_id};
    parameters[count++] = (struct signature_pair){"SignatureMethod", "HMAC-SHA1"};
    parameters[count++] = (struct signature_pair){"SignatureVersion", "1.0"};
    parameters[count++] = (struct signature_pair){"SecurityToken", credentials->security_token};
    if (!signature_rpc("POST", parameters, count, credentials->access_key_secret, request->body,
                signature, error))
        return 0;
    if (!buffer_text(signature) || !buffer_append_text(request->body, "&Signature=") ||
            !buffer_append_percent_encoded(request->body, signature->data))
        return error_set_out_of_memory(error);
    return 1;
}

int openapi_request_make(struct openapi_request *request, const struct openapi_call *call,
        const struct credentials *credentials, int64_t now, struct aliyun_iot_error **error)
{
    struct stamp stamp;
    int made;

    *request = (struct openapi_request){.url = BUF_MEM_new()};
    if (!request->url || !buffer_append_text(request->url, call->endpoint))
        return error_set_out_of_memory(error);
    if (!make_stamp(&stamp, now, error) ||
            !append_header_line(request, "Accept", "application/json", error))
        return 0;
    if (credentials && call->signature == SIGNATURE_ACS3)
        made = make_acs3(request, call, credentials, &stamp, error);
    else
        made = make_rpc(request, call, credentials, &stamp, error);
    if (!made)
        return 0;
    return buffer_text(request->url) ? 1 : error_set_out_of_memory(error);
}

void openapi_request_release(struct openapi_request *request)
{
    BUF_MEM_free(request->url);
    BUF_MEM_free(request->body);
    for (size_t index = 0; index < request->header_count; index++)
        BUF_MEM_free(request->header_lines[index]);
    *request = (struct openapi_request){0};
}
