/* SPDX-License-Identifier: Apache-2.0 */
/* STS, version 2015-04-01: temporary credentials of a role. */
#include "credentials_temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../read_file.h"
#include "openapi.h"

enum { TOKEN_FILE_MAX = 64 * 1024 };

DEFINE_CLEANUP(char *, free);

/* A caller's value, unless it is missing or empty. */
static const char *or_default(const char *value, const char *standard)
{
    return value && *value ? value : standard;
}

static char *choose_endpoint(const struct settings *settings, const char *region)
{
    char *endpoint;
    int size;

    if (settings->sts_endpoint)
        return strdup(settings->sts_endpoint);
    region = or_default(region, credentials_environment("ALIBABA_CLOUD_STS_REGION"));
    if (region && region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        region = NULL;
    size = region ? asprintf(&endpoint, "https://sts.%s.aliyuncs.com", region)
                  : asprintf(&endpoint, "https://sts.aliyuncs.com");
    return size < 0 ? NULL : endpoint;
}

static struct credentials *give_base(
        void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    struct credentials *base = context;

    (void)deadline;
    (void)error;
    return credentials_reference(base);
}

/* base: signs the call; NULL: it is not signed. */
static struct credentials *call_sts(const struct credentials_search *search,
        struct credentials *base, const char *action, const struct openapi_parameter *parameters,
        size_t count, const char *region, const char *place, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *endpoint = choose_endpoint(search->settings, region);
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
            .hooks = base ? &hooks : NULL,
            .deadline = search->deadline,
    };

    if (!endpoint) {
        error_set_out_of_memory(error);
        return NULL;
    }
    answer = openapi_call(search->http, search->settings, &call, &problem);
    if (!answer)
        return credentials_refuse(error, place, "%s", aliyun_iot_error_message(problem));
    return credentials_from_answer(
            cJSON_GetObjectItemCaseSensitive(answer, "Credentials"), place, error);
}

struct credentials *credentials_assume_role(const struct credentials_search *search,
        struct credentials *base, const struct role_request *role, const char *place,
        struct aliyun_iot_error **error)
{
    const struct openapi_parameter parameters[] = {
            {"RoleArn", role->role_arn},
            {"RoleSessionName", or_default(role->session_name, "aliyun-iot")},
            {"DurationSeconds", or_default(role->duration, "3600")},
            {"Policy", or_default(role->policy, NULL)},
            {"ExternalId", or_default(role->external_id, NULL)},
    };

    if (!role->role_arn || !*role->role_arn)
        return credentials_refuse(error, place, "the role's ARN is missing");
    return call_sts(search, base, "AssumeRole", parameters,
            sizeof(parameters) / sizeof(parameters[0]), role->region, place, error);
}

struct credentials *credentials_assume_role_with_oidc(const struct credentials_search *search,
        const struct role_request *role, const char *provider_arn, const char *token_file,
        const char *place, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *token = NULL;

    if (!role->role_arn || !*role->role_arn || !provider_arn || !*provider_arn || !token_file ||
            !*token_file)
        return credentials_refuse(
                error, place, "role ARN, OIDC provider ARN and OIDC token file must all be set");
    token = read_file(token_file, TOKEN_FILE_MAX, ALIYUN_IOT_REASON_NO_CREDENTIALS, error);
    if (!token)
        return NULL;
    token->data[strcspn(token->data, "\r\n")] = '\0';

    const struct openapi_parameter parameters[] = {
            {"RoleArn", role->role_arn},
            {"OIDCProviderArn", provider_arn},
            {"OIDCToken", token->data},
            {"RoleSessionName", or_default(role->session_name, "aliyun-iot")},
            {"DurationSeconds", or_default(role->duration, "3600")},
            {"Policy", or_default(role->policy, NULL)},
    };

    return call_sts(search, NULL, "AssumeRoleWithOIDC", parameters,
            sizeof(parameters) / sizeof(parameters[0]), role->region, place, error);
}
