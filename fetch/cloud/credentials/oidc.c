/* SPDX-License-Identifier: Apache-2.0 */
/* A role for a workload with an OIDC token, as in Kubernetes. */
#include "cloud/credentials/temporary.h"

struct credentials *credentials_from_oidc(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    if (!credentials_environment("ALIBABA_CLOUD_OIDC_PROVIDER_ARN") &&
            !credentials_environment("ALIBABA_CLOUD_OIDC_TOKEN_FILE"))
        return credentials_absent(error, "OIDC", "ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set");
    return credentials_assume_role_with_oidc(
            search, &(struct role_request){0}, NULL, NULL, "OIDC", error);
}
