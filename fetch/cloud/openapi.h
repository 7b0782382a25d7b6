/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of an Alibaba Cloud RPC-style OpenAPI: signs, sends, reads both error envelopes, and
 * retries what is worth retrying inside the deadline. Used for QueryDeviceCert and for STS.
 */
#ifndef OPENAPI_H
#define OPENAPI_H

#include "base/json.h"
#include "cloud/credentials/credentials.h"
#include "cloud/http.h"

struct openapi_parameter {
    const char *name;
    const char *value; /* UTF-8, not encoded; NULL: leave this parameter out */
};

/*
 * Functions of the caller that a call uses. Any of them may be NULL. They are called on the calling
 * thread with context.
 */
struct openapi_hooks {
    void *context;
    /* Returns the credentials for a try. If this function is NULL, the call is not signed. */
    struct credentials *(*credentials)(
            void *context, int64_t deadline, struct aliyun_iot_error **error);
    /* The service rejected these credentials as expired. */
    void (*rejected)(void *context, const struct credentials *credentials);
    /* Waits until the account's quota has room for one call. */
    int (*admit)(void *context, int64_t deadline, struct aliyun_iot_error **error);
    /* The service throttled a call although admit() had let it through. */
    void (*throttled)(void *context);
    /* The service does not know this AccessKey. Returns whether there are other credentials now. */
    bool (*reread)(void *context, const struct credentials *credentials, int64_t deadline);
};

struct openapi_call {
    const char *endpoint; /* "https://host[:port]" */
    const char *action;   /* "QueryDeviceCert" */
    const char *version;  /* "2018-01-20" */
    const struct openapi_parameter *parameters;
    size_t parameter_count;
    enum signature_kind signature;
    const char *secret;                /* a parameter's value that no message may show; or NULL */
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
