/* SPDX-License-Identifier: Apache-2.0 */
/* What an exchange that failed says: class of error, cause, and what a person can do. */
#ifndef HTTP_FAILURE_H
#define HTTP_FAILURE_H

#include <stdbool.h>

#include <curl/curl.h>

#include "base/error.h"

struct http_failure {
    CURLcode code;
    const char *detail; /* libcurl's words, or ours; "": none */
    bool unusable;      /* the answer; detail says why */
    bool out_of_memory;
    bool unresolved; /* no address was found for the host, or the proxy, before the failure */
};

/* Sets *error, which names the origin of url. Returns 0. */
int http_failure_explain(
        const struct http_failure *failure, const char *url, struct aliyun_iot_error **error);

#endif
