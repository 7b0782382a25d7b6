/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of an Alibaba Cloud RPC-style OpenAPI: signs, sends, reads both error envelopes, and
 * retries what is worth retrying inside the deadline. Used for QueryDeviceCert and for STS.
 */
#ifndef OPENAPI_H
#define OPENAPI_H

#include "credentials.h"
#include "http.h"
#include "json.h"

struct openapi_parameter {
    const char *name;
    const char *value; /* UTF-8, not encoded; NULL: leave this parameter out */
};

/*
 * What a caller may want to say on the way. Any function may be NULL; context is theirs. They are
 * called on the calling thread.
 */
struct openapi_hooks {
    void *context;
    /* Gives the credentials for a try; NULL function: the call is not signed. */
    struct credentials *(*credentials)(
            void *context, int64_t deadline, struct aliyun_iot_error **error);
    /* The service rejected these credentials as expired. */
    void (*rejected)(void *context, const struct credentials *credentials);
    /* Waits until the account's quota has room for one call with these credentials. */
    int (*admit)(void *context, const struct credentials *credentials, int64_t deadline,
            struct aliyun_iot_error **error);
    /* The service throttled a call all the same. */
    void (*throttled)(void *context, const struct credentials *credentials);
};

struct openapi_call {
    const char *endpoint; /* "https://host[:port]" */
    const char *action;   /* "QueryDeviceCert" */
    const char *version;  /* "2018-01-20" */
    const struct openapi_parameter *parameters;
    size_t parameter_count;
    enum signature_kind signature;
    const struct openapi_hooks *hooks; /* NULL: none, so the call is not signed */
    int64_t deadline;                  /* see deadline.h: for all tries together */
};

/*
 * Makes the call. Returns the answer's JSON object, to be freed by json_free(); or NULL with
 * *error set: the message holds action, Code, the service's message and RequestId.
 */
cJSON *openapi_call(struct http_client *http, const struct settings *settings,
        const struct openapi_call *call, struct aliyun_iot_error **error);

#endif
