/* SPDX-License-Identifier: Apache-2.0 */
/* STS, version 2015-04-01: temporary credentials of a role. */
#include "cloud/credentials/temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/read_file.h"
#include "base/text.h"
#include "base/url.h"
#include "cloud/openapi.h"

enum { TOKEN_FILE_MAX_BYTES = 64 * 1024 };

/* A caller's value, unless it is missing or empty. */
static const char *or_default(const char *value, const char *standard)
{
    return value && *value ? value : standard;
}

/*
 * A profile's host, which may be written as a URL; it is always asked by https. Anything else than
 * a host would send the call, and the OIDC token in it, to where nobody meant it to go.
 */
static char *endpoint_of_host(const char *host, const char *place, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *endpoint = NULL;
    struct url url;
    size_t size;

    host += strspn(host, " \t");
    if (strncmp(host, "https://", 8) == 0 || strncmp(host, "http://", 7) == 0)
        host = strstr(host, "://") + 3;
    size = strcspn(host, "/ \t");
    if (asprintf(&endpoint, "https://%.*s", (int)size, host) < 0) {
        endpoint = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!url_split(endpoint, &url) || url.has_user || !url_has_valid_host(&url) || *url.rest ||
            host[size + strspn(host + size, "/ \t")]) {
        credentials_refuse(error, place, "sts_endpoint is no host name");
        return NULL;
    }
    return take(endpoint);
}

/* As in the SDKs, the endpoint inside the VPC is used only if there is a region. */
static char *endpoint_of_region(
        const struct role_request *role, const char *place, struct aliyun_iot_error **error)
{
    const char *region = credentials_or_environment(role->region, "ALIBABA_CLOUD_STS_REGION");
    bool vpc = role->vpc || credentials_environment_is_true("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED");
    char *endpoint;
    int size;

    if (region && region[strspn(region, LOWER_CASE DIGITS "-")]) {
        credentials_refuse(error, place, "%.40s is no region of STS", region);
        return NULL;
    }
    size = region ? asprintf(&endpoint, "https://%s.%s.aliyuncs.com", vpc ? "sts-vpc" : "sts",
                            region)
                  : asprintf(&endpoint, "https://sts.aliyuncs.com");
    if (size < 0) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return endpoint;
}

static char *choose_endpoint(const struct settings *settings, const struct role_request *role,
        const char *place, struct aliyun_iot_error **error)
{
    char *endpoint;

    if (!settings->sts_endpoint)
        return role->endpoint && *role->endpoint ? endpoint_of_host(role->endpoint, place, error)
                                                 : endpoint_of_region(role, place, error);
    endpoint = strdup(settings->sts_endpoint);
    if (!endpoint)
        error_set_out_of_memory(error);
    return endpoint;
}

static struct credentials *give_base(
        void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    struct credentials *base = context;

    (void)deadline;
    (void)error;
    return credentials_reference(base);
}

/* base: signs the call; NULL: it is not signed. secret: one of the parameters' values, or NULL. */
static struct credentials *call_sts(const struct credentials_search *search,
        struct credentials *base, const char *action, const struct openapi_parameter *parameters,
        size_t count, const char *secret, const struct role_request *role, const char *place,
        struct aliyun_iot_error **error)
{
    CLEANUP(free) char *endpoint = choose_endpoint(search->settings, role, place, error);
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(json_free) cJSON *answer = NULL;
    const struct openapi_hooks hooks = {.context = base, .credentials = give_base};
    const struct openapi_call call = {
            .endpoint = endpoint,
            .action = action,
            .version = "2015-04-01",
            .parameters = parameters,
            .parameter_count = count,
            .signature = SIGNATURE_RPC,
            .secret = secret,
            .hooks = base ? &hooks : NULL,
            .deadline = search->deadline,
    };

    if (!endpoint)
        return NULL;
    answer = openapi_call(search->http, search->settings, &call, &problem);
    if (!answer)
        return credentials_refuse(error, place, "%s", aliyun_iot_error_message(problem));
    return credentials_from_answer(
            cJSON_GetObjectItemCaseSensitive(answer, "Credentials"), place, error);
}

static const char *session_name(const struct role_request *role)
{
    return or_default(
            credentials_or_environment(role->session_name, "ALIBABA_CLOUD_ROLE_SESSION_NAME"),
            "aliyun-iot");
}

struct credentials *credentials_assume_role(const struct credentials_search *search,
        struct credentials *base, const struct role_request *role, const char *place,
        struct aliyun_iot_error **error)
{
    const char *role_arn = credentials_or_environment(role->role_arn, "ALIBABA_CLOUD_ROLE_ARN");
    const struct openapi_parameter parameters[] = {
            {"RoleArn", role_arn},
            {"RoleSessionName", session_name(role)},
            {"DurationSeconds", or_default(role->duration, "3600")},
            {"Policy", or_default(role->policy, NULL)},
            {"ExternalId", or_default(role->external_id, NULL)},
    };

    if (!role_arn)
        return credentials_refuse(error, place, "the role's ARN is missing");
    return call_sts(search, base, "AssumeRole", parameters,
            sizeof(parameters) / sizeof(parameters[0]), NULL, role, place, error);
}

struct credentials *credentials_assume_role_with_oidc(const struct credentials_search *search,
        const struct role_request *role, const char *provider_arn, const char *token_file,
        const char *place, struct aliyun_iot_error **error)
{
    const char *role_arn = credentials_or_environment(role->role_arn, "ALIBABA_CLOUD_ROLE_ARN");
    CLEANUP(BUF_MEM_free) BUF_MEM *token = NULL;

    provider_arn = credentials_or_environment(provider_arn, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
    token_file = credentials_or_environment(token_file, "ALIBABA_CLOUD_OIDC_TOKEN_FILE");
    if (!role_arn || !provider_arn || !token_file)
        return credentials_refuse(
                error, place, "role ARN, OIDC provider ARN and OIDC token file must all be set");
    token = read_file(token_file, TOKEN_FILE_MAX_BYTES, ALIYUN_IOT_REASON_NO_CREDENTIALS, error);
    if (!token)
        return NULL;
    token->data[strcspn(token->data, "\r\n")] = '\0';

    const struct openapi_parameter parameters[] = {
            {"RoleArn", role_arn},
            {"OIDCProviderArn", provider_arn},
            {"OIDCToken", token->data},
            {"RoleSessionName", session_name(role)},
            {"DurationSeconds", or_default(role->duration, "3600")},
            {"Policy", or_default(role->policy, NULL)},
    };

    return call_sts(search, NULL, "AssumeRoleWithOIDC", parameters,
            sizeof(parameters) / sizeof(parameters[0]), token->data, role, place, error);
}
