/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of the cloud, from its body to an identity or an error. */
#include "fuzz.h"

#include "base/deadline.h"
#include "cloud/query_device_cert.h"

static const uint8_t *body;
static size_t body_size;

void http_answer_release(struct http_answer *answer)
{
    BUF_MEM_free(answer->body);
}

/* The first byte is the HTTP status, the rest is the body. */
int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    (void)client;
    (void)request;
    (void)error;
    *answer = (struct http_answer){
            .status = body_size ? 200 + body[0] : 200, .body = BUF_MEM_new(), .date_s = -1};
    answer->retry_after_ms = -1;
    if (body_size > 1 && BUF_MEM_grow(answer->body, body_size - 1))
        memcpy(answer->body->data, body + 1, body_size - 1);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct settings settings = {.signature = SIGNATURE_RPC};
    const struct device device = {"cn-shanghai", "https://cloud", "product", "device", NULL};
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity;

    body = data;
    body_size = size;
    identity = query_device_cert(NULL, &settings, NULL, &device, monotonic_milliseconds(), &error);
    check_outcome(identity != NULL, error);
    aliyun_iot_identity_free(identity);
    return 0;
}
