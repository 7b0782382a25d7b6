/* SPDX-License-Identifier: Apache-2.0 */
/* The request of one try of an OpenAPI call, signed, for http_exchange(). */
#ifndef OPENAPI_REQUEST_H
#define OPENAPI_REQUEST_H

#include "base/buffer.h"
#include "cloud/openapi.h"

enum { REQUEST_HEADERS_MAX = 16 };

struct openapi_request {
    BUF_MEM *url;
    BUF_MEM *body;                              /* NULL: none */
    BUF_MEM *header_lines[REQUEST_HEADERS_MAX]; /* the first header_count */
    size_t header_count;
};

/*
 * Makes a request with the date now and a new nonce.
 * credentials: NULL for an unsigned call. now: seconds since 1970 by the service's clock.
 * Returns 1, or 0 with *error set; request is to be released by openapi_request_release() either
 * way.
 */
int openapi_request_make(struct openapi_request *request, const struct openapi_call *call,
        const struct credentials *credentials, int64_t now, struct aliyun_iot_error **error);

void openapi_request_release(struct openapi_request *request);

#endif
