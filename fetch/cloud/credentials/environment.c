/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/search.h"

#include <stddef.h>

struct credentials *credentials_from_environment(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    const char *id = credentials_environment("ALIBABA_CLOUD_ACCESS_KEY_ID");
    const char *secret = credentials_environment("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    const char *token = credentials_environment("ALIBABA_CLOUD_SECURITY_TOKEN");

    (void)search;
    if (!id && !secret)
        return credentials_absent(error, "environment", "ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
    if (!id || !secret)
        return credentials_refuse(error, "environment", "ALIBABA_CLOUD_ACCESS_KEY_%s is not set",
                id ? "SECRET" : "ID");
    return credentials_new(id, secret, token, 0, "environment", error);
}
