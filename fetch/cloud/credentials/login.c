/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/text.h"
#include "cloud/http.h"
#include "cloud/server_text.h"

enum {
    CACHE_MARGIN_S = 300, /* as chain.c, which asks for new credentials that long before */
    DESCRIPTION_MAX = 160 /* bytes of the service's own words in a message */
};

/* RFC 6749, or CloudSSO's own names. */
static const char *either(const cJSON *answer, const char *name, const char *other_name)
{
    const char *text = json_string(answer, name);

    return text ? text : json_string(answer, other_name);
}

static cJSON *explain_refusal(const struct login_request *request, const struct http_answer *answer,
        char code[LOGIN_CODE_SIZE], struct aliyun_iot_error **error)
{
    const char *problem = NULL;
    CLEANUP(json_free)
    cJSON *object = json_parse(answer->body->data, answer->body->length, JSON_DEPTH_MAX, &problem);
    const char *code_text = either(object, "error", "ErrorCode");
    const char *description = either(object, "error_description", "ErrorMessage");
    const char *const secrets[] = {
            request->bearer ? request->bearer : "", request->secret ? request->secret : "", NULL};
    CLEANUP(BUF_MEM_free) BUF_MEM *shown = BUF_MEM_new();

    if (code_text)
        snprintf(code, LOGIN_CODE_SIZE, "%s", code_text);
    /* RFC 6750, section 3.1 */
    if (request->bearer && answer->status == 401)
        snprintf(code, LOGIN_CODE_SIZE, "invalid_token");
    if (!shown || !server_text_append(shown, code_text, DESCRIPTION_MAX, secrets) ||
            !buffer_append_text(shown, shown->length && description ? ": " : "") ||
            !server_text_append(shown, description, DESCRIPTION_MAX, secrets) ||
            !buffer_text(shown)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    text_cut(shown->data, DESCRIPTION_MAX);
    error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "HTTP status %ld%s%s", answer->status,
            *shown->data ? ", " : "", shown->data);
    return NULL;
}

static cJSON *read_login_answer(const struct login_request *request,
        const struct http_answer *answer, char code[LOGIN_CODE_SIZE],
        struct aliyun_iot_error **error)
{
    const char *problem = NULL;
    cJSON *object;

    if (answer->status != 200)
        return explain_refusal(request, answer, code, error);
    object = json_parse(answer->body->data, answer->body->length, JSON_DEPTH_MAX, &problem);
    if (!object)
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "the answer is unusable: %s", problem);
    else if (json_string(object, "error"))
        explain_refusal(request, answer, code, error);
    else
        return object;
    json_free(object);
    return NULL;
}

cJSON *login_ask(struct http_client *http, const struct login_request *request,
        char code[LOGIN_CODE_SIZE], struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *type = BUF_MEM_new();
    CLEANUP(BUF_MEM_free) BUF_MEM *authorization = BUF_MEM_new();
    struct http_answer answer;
    cJSON *object;

    code[0] = '\0';
    if (request->bearer && !text_is_visible(request->bearer)) {
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
                "the access token holds a blank or another odd character");
        return NULL;
    }
    if (!type || !authorization ||
            !buffer_append_format(type, "Content-Type: %s", request->content_type) ||
            !buffer_text(type) || !buffer_append_text(authorization, "Authorization: Bearer ") ||
            !buffer_append_text(authorization, request->bearer ? request->bearer : "") ||
            !buffer_text(authorization)) {
        error_set_out_of_memory(error);
        return NULL;
    }

    const char *headers[] = {"Accept: application/json", type->data,
            request->bearer ? authorization->data : NULL, NULL};
    const struct http_request post = {
            .method = "POST",
            .url = request->url,
            .headers = headers,
            .body = request->body,
            .body_size = strlen(request->body),
            .deadline = request->deadline,
            .connect_timeout_ms = request->connect_timeout_ms,
            .new_connection = request->once,
    };

    if (!http_exchange(http, &post, &answer, error))
        return NULL;
    object = read_login_answer(request, &answer, code, error);
    http_answer_release(&answer);
    return object;
}

bool login_is_over(const char *code)
{
    return strcmp(code, "invalid_grant") == 0 || strcmp(code, "invalid_token") == 0 ||
           strcmp(code, "expired_token") == 0;
}

struct credentials *login_required(const struct login_profile *profile, const char *mode,
        const char *problem, struct aliyun_iot_error **error)
{
    const char *name = json_string(profile->profile, "name");

    return credentials_refuse(error, profile->place,
            "log in again by \"aliyun configure --mode %s --profile %.64s\": %s", mode, name,
            problem);
}

struct credentials *login_cached(
        const struct credentials_search *search, const cJSON *profile, const char *place)
{
    const char *id = json_string(profile, "access_key_id");
    const char *secret = json_string(profile, "access_key_secret");
    const char *token = json_string(profile, "sts_token");
    int64_t expiration_s = login_integer(profile, "sts_expiration");
    CLEANUP(credentials_free) struct credentials *cached = NULL;

    if (!id || !*id || !secret || !*secret || !token || !*token ||
            expiration_s - CACHE_MARGIN_S <= (int64_t)time(NULL))
        return NULL;
    cached = credentials_new(id, secret, token, expiration_s, place, NULL);
    if (cached && search->rejected && credentials_equal(cached, search->rejected))
        return NULL;
    return take(cached);
}

int64_t login_integer(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);

    /* No time and no lifetime comes near these limits, which a double can hold. */
    if (!cJSON_IsNumber(number) || !(number->valuedouble > 0 && number->valuedouble < 1e15))
        return 0;
    return (int64_t)number->valuedouble;
}
