/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode CloudSSO of the CLI's profiles. Its access token cannot be refreshed: once it has expired,
 * only a login by the CLI gives another.
 */
#include "cloud/credentials/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "base/url.h"

/* The service is at the root of the sign-in URL's host. NULL: no memory. */
static char *service_url(const char *sign_in_url)
{
    int origin_size = url_origin_size(sign_in_url);
    char *url;

    return asprintf(&url, "%.*s/cloud-credentials", origin_size, sign_in_url) < 0 ? NULL : url;
}

/* NULL: no memory. */
static char *service_body(const cJSON *profile)
{
    CLEANUP(json_free) cJSON *body = cJSON_CreateObject();

    if (!cJSON_AddStringToObject(body, "AccountId", json_string(profile, "cloud_sso_account_id")) ||
            !cJSON_AddStringToObject(
                    body, "AccessConfigurationId", json_string(profile, "cloud_sso_access_config")))
        return NULL;
    return cJSON_PrintUnformatted(body);
}

/* Returns NULL when all is there; or what is wrong. */
static const char *check_profile(const cJSON *profile)
{
    static const char *const needed[] = {"cloud_sso_sign_in_url", "cloud_sso_account_id",
            "cloud_sso_access_config", "access_token"};
    struct url url;

    for (size_t index = 0; index < sizeof(needed) / sizeof(needed[0]); index++) {
        const char *text = json_string(profile, needed[index]);

        if (!text || !*text)
            return "the profile is incomplete";
    }
    if (!url_split(json_string(profile, "cloud_sso_sign_in_url"), &url) ||
            !url_has_scheme(&url, "https") || url.host_size == 0)
        return "cloud_sso_sign_in_url is no https:// URL";
    if (url.has_user)
        return "cloud_sso_sign_in_url must not hold a user name";
    if (login_integer(profile, "cloud_sso_access_token_expire") <= (int64_t)time(NULL))
        return "the access token has expired";
    return NULL;
}

static struct credentials *ask_service(const struct credentials_search *search,
        const struct login_profile *profile, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(free) char *url = service_url(json_string(profile->profile, "cloud_sso_sign_in_url"));
    CLEANUP(json_text_free) char *body = service_body(profile->profile);
    CLEANUP(json_free) cJSON *answer = NULL;
    char code[LOGIN_CODE_SIZE] = "";

    if (!url || !body) {
        error_set_out_of_memory(error);
        return NULL;
    }
    answer = login_ask(search->http,
            &(struct login_request){.url = url,
                    .content_type = "application/json",
                    .bearer = json_string(profile->profile, "access_token"),
                    .body = body,
                    .deadline = search->deadline},
            code, &problem);
    if (!answer && login_is_over(code))
        return login_required(profile, "CloudSSO", aliyun_iot_error_message(problem), error);
    if (!answer)
        return credentials_refuse(error, profile->place, "%s", aliyun_iot_error_message(problem));
    return credentials_from_answer(
            cJSON_GetObjectItemCaseSensitive(answer, "CloudCredential"), profile->place, error);
}

struct credentials *credentials_of_cloud_sso(const struct credentials_search *search,
        const struct login_profile *profile, struct aliyun_iot_error **error)
{
    const char *problem = check_profile(profile->profile);
    struct credentials *cached;

    if (problem)
        return login_required(profile, "CloudSSO", problem, error);
    /* The CLI keeps the last answer in the profile. */
    cached = login_cached(search, profile->profile, profile->place);
    return cached ? cached : ask_service(search, profile, error);
}
