/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service's error codes mean. For each code, a table has the reason of the error, whether
 * to try again, and advice for the user.
 */
#ifndef OPENAPI_ERROR_H
#define OPENAPI_ERROR_H

#include "base/error.h"

enum openapi_retry {
    RETRY_NEVER,
    RETRY_LATER,       /* after a pause */
    RETRY_THROTTLED,   /* after a pause, and tell the quota */
    RETRY_CLOCK,       /* once, with the clock of the answer's Date */
    RETRY_CREDENTIALS, /* once, with refreshed credentials */
    RETRY_REREAD,      /* once, if the source has other credentials now */
};

struct openapi_code {
    const char *pattern; /* fnmatch(3), compared without case */
    enum aliyun_iot_reason reason;
    enum openapi_retry retry;
    const char *advice; /* what to do, or NULL */
};

/* The table's line for a code. An unknown code gets a line whose reason is SERVICE. */
const struct openapi_code *openapi_code_find(const char *code);

#endif
