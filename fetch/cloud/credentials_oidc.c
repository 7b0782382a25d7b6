/* SPDX-License-Identifier: Apache-2.0 */
/* A role for a workload with an OIDC token, as in Kubernetes. */
#include "credentials_temporary.h"

struct credentials *credentials_from_oidc(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    const struct role_request role = {
            .role_arn = credentials_environment("ALIBABA_CLOUD_ROLE_ARN"),
            .session_name = credentials_environment("ALIBABA_CLOUD_ROLE_SESSION_NAME"),
    };
    const char *provider_arn = credentials_environment("ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
    const char *token_file = credentials_environment("ALIBABA_CLOUD_OIDC_TOKEN_FILE");

    if (!provider_arn && !token_file)
        return credentials_refuse(error, "OIDC", "ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set");
    return credentials_assume_role_with_oidc(
            search, &role, provider_arn, token_file, "OIDC", error);
}
