/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Codes of the service mean: one table from a Code to a class of error, whether to try
 * again, and what a person can do.
 */
#ifndef OPENAPI_ERROR_H
#define OPENAPI_ERROR_H

#include "../error.h"

enum openapi_retry {
    RETRY_NEVER,
    RETRY_LATER,       /* after a pause */
    RETRY_THROTTLED,   /* after a pause, and tell the quota */
    RETRY_CLOCK,       /* once, with the offset that the answer's Date shows */
    RETRY_CREDENTIALS, /* once, with refreshed credentials */
};

struct openapi_code {
    const char *pattern; /* fnmatch(3), compared without case */
    enum aliyun_iot_reason reason;
    enum openapi_retry retry;
    const char *advice; /* what to do, or NULL */
};

/* The table's line for a Code; for one that it does not know, a line of class SERVICE. */
const struct openapi_code *openapi_code_find(const char *code);

#endif
