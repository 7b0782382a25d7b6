/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode OAuth of the CLI's profiles. A refresh token can be used only once. It is used by the
 * process that holds the lock, after it has read the file again and created the new config.json
 * beside the old one; and the answer is on disk before anything else is asked.
 */
#include "cloud/credentials/oauth_profile.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/text.h"
#include "base/trace.h"

enum {
    TOKEN_MARGIN_S = 20 * 60,  /* as the official clients */
    TOKEN_LIFETIME_S = 3600,   /* where the answer does not say it; as the official clients */
    TOKEN_WAIT_MS = 10 * 1000, /* as the official clients */
    REFRESHES_MAX = 2
};

static int require_login(
        const struct oauth_profile *profile, const char *problem, struct aliyun_iot_error **error)
{
    login_required(profile->given, "OAuth", problem, error);
    return 0;
}

static bool append_parameter(BUF_MEM *form, const char *name, const char *text)
{
    return buffer_append_format(form, "%s%s=", form->length ? "&" : "", name) &&
           buffer_append_percent_encoded(form, text);
}

static BUF_MEM *token_form(const struct oauth_site *site, const char *refresh_token)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *form = BUF_MEM_new();
    time_t now = time(NULL);
    char timestamp[32];
    struct tm date;

    strftime(timestamp, sizeof(timestamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &date));
    if (!form || !append_parameter(form, "grant_type", "refresh_token") ||
            !append_parameter(form, "refresh_token", refresh_token) ||
            !append_parameter(form, "client_id", site->client_id) ||
            !append_parameter(form, "Timestamp", timestamp) || !buffer_text(form))
        return NULL;
    return take(form);
}

/* The caller's deadline counts until the token is sent, so that it waits no longer for nothing. */
static int64_t connect_timeout_ms(const struct credentials_search *search)
{
    int64_t left_ms = deadline_left_ms(search->deadline);
    int64_t limit_ms = search->settings->connect_timeout_ms;

    return left_ms < 1 ? 1 : left_ms < limit_ms ? left_ms : limit_ms;
}

/* Uses the refresh token up: from here on, the login is in the answer alone. */
static cJSON *spend(const struct oauth_profile *profile, const char *refresh_token,
        char code[LOGIN_CODE_SIZE], struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *form = token_form(profile->site, refresh_token);
    int64_t earliest_deadline = monotonic_milliseconds() + TOKEN_WAIT_MS;
    struct login_request request = {
            .url = profile->site->token_url,
            .content_type = "application/x-www-form-urlencoded",
            .secret = refresh_token,
            /* A caller's short deadline must not cut off the answer. */
            .deadline = profile->search->deadline > earliest_deadline ? profile->search->deadline
                                                                      : earliest_deadline,
            .once = true,
            .connect_timeout_ms = connect_timeout_ms(profile->search),
    };

    if (!form) {
        error_set_out_of_memory(error);
        return NULL;
    }
    request.body = form->data;
    return login_ask(profile->search->http, &request, code, error);
}

/* Puts the answer's tokens into the file. */
static int keep_tokens(struct oauth_profile *profile, const char *spent, const cJSON *answer,
        struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    const char *access_token = json_string(answer, "access_token");
    const char *refresh_token = json_string(answer, "refresh_token");
    int64_t lifetime_s = login_integer(answer, "expires_in");
    const struct json_change changes[] = {
            {.name = "oauth_access_token", .text = access_token},
            {.name = "oauth_access_token_expire",
                    .number = (int64_t)time(NULL) + (lifetime_s ? lifetime_s : TOKEN_LIFETIME_S)},
            {.name = "oauth_refresh_token", .text = refresh_token},
    };
    /* RFC 6749, section 6: an answer without a refresh token leaves the old one valid. */
    size_t count = refresh_token && *refresh_token ? 3 : 2;

    if (!access_token || !*access_token)
        return require_login(profile, "the answer has no access token", error);
    if (!oauth_profile_save(profile, "oauth_refresh_token", spent, changes, count, &problem))
        return require_login(profile, aliyun_iot_error_message(problem), error);
    trace(profile->search->settings, TRACE_INFO, "oauth tokens refreshed file=%s",
            profile->given->path);
    return 1;
}

enum refresh_result { FAILED, REFRESHED, CHANGED_BY_OTHERS };

/* The CLI does not take the lock: it may have used the token, and written another. */
static enum refresh_result after_invalid_grant(struct oauth_profile *profile, const char *spent,
        const struct aliyun_iot_error *problem, struct aliyun_iot_error **error)
{
    if (!oauth_profile_read(profile, error))
        return FAILED;
    if (oauth_profile_value(profile, "oauth_refresh_token") &&
            !oauth_profile_has(profile, "oauth_refresh_token", spent))
        return CHANGED_BY_OTHERS;
    require_login(profile, aliyun_iot_error_message(problem), error);
    return FAILED;
}

/* *error is set if it failed. */
static enum refresh_result refresh(struct oauth_profile *profile, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(text_free_secret)
    char *token = strdup(oauth_profile_value(profile, "oauth_refresh_token"));
    CLEANUP(json_free) cJSON *answer = NULL;
    char code[LOGIN_CODE_SIZE] = "";
    bool kept = false;

    if (!token) {
        error_set_out_of_memory(error);
        return FAILED;
    }
    if (oauth_profile_prepare(profile, &problem)) {
        /* A process that ended between the two would lose the login. */
        process_hold_exit();
        answer = spend(profile, token, code, &problem);
        kept = answer && keep_tokens(profile, token, answer, error);
        process_release_exit();
    }
    if (answer)
        return kept ? REFRESHED : FAILED;
    if (strcmp(code, "invalid_grant") == 0)
        return after_invalid_grant(profile, token, problem, error);
    credentials_refuse(error, profile->given->place, "the login cannot be refreshed: %s",
            aliyun_iot_error_message(problem));
    return FAILED;
}

static bool is_due(const struct oauth_profile *profile)
{
    int64_t expiration_s = login_integer(profile->entry, "oauth_access_token_expire");

    if (!oauth_profile_value(profile, "oauth_refresh_token"))
        return false;
    return !oauth_profile_value(profile, "oauth_access_token") ||
           expiration_s - (int64_t)time(NULL) <= TOKEN_MARGIN_S;
}

/* Keeps the temporary AccessKey for other processes, and for the CLI. It may fail. */
static void keep_credentials(struct oauth_profile *profile, const char *access_token,
        const struct credentials *credentials)
{
    const struct json_change changes[] = {
            {.name = "access_key_id", .text = credentials->access_key_id},
            {.name = "access_key_secret", .text = credentials->access_key_secret},
            {.name = "sts_token", .text = credentials->security_token},
            {.name = "sts_expiration", .number = credentials->expiration_s},
    };
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;

    if (!profile->file || !credentials->security_token)
        return;
    if (!oauth_profile_prepare(profile, &problem) ||
            !oauth_profile_save(profile, "oauth_access_token", access_token, changes,
                    sizeof(changes) / sizeof(changes[0]), &problem))
        trace(profile->search->settings, TRACE_ERROR, "oauth credentials are not kept: %s",
                aliyun_iot_error_message(problem));
}

/* Go's and Node's clients read accessKeyId, Python's AccessKeyId. */
static void capitalize_names(cJSON *answer)
{
    for (cJSON *item = answer->child; item; item = item->next)
        item->string[0] = (char)toupper((unsigned char)item->string[0]);
}

/* The answer to the access token; NULL with *error set. */
static cJSON *ask_for_credentials(const struct oauth_profile *profile, const char *access_token,
        struct aliyun_iot_error **error)
{
    const struct login_request request = {
            .url = profile->site->exchange_url,
            .content_type = "application/json",
            .bearer = access_token,
            .body = "",
            .deadline = profile->search->deadline,
    };
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    char code[LOGIN_CODE_SIZE] = "";
    cJSON *answer = login_ask(profile->search->http, &request, code, &problem);

    if (answer)
        capitalize_names(answer);
    else if (login_is_over(code))
        require_login(profile, aliyun_iot_error_message(problem), error);
    else
        credentials_refuse(error, profile->given->place, "%s", aliyun_iot_error_message(problem));
    return answer;
}

static struct credentials *exchange(struct oauth_profile *profile, struct aliyun_iot_error **error)
{
    const char *current = oauth_profile_value(profile, "oauth_access_token");
    CLEANUP(text_free_secret) char *token = current ? strdup(current) : NULL;
    CLEANUP(json_free) cJSON *answer = NULL;
    struct credentials *credentials;

    if (!current)
        return login_required(profile->given, "OAuth", "the profile has no token", error);
    if (!token) {
        error_set_out_of_memory(error);
        return NULL;
    }
    answer = ask_for_credentials(profile, token, error);
    if (!answer)
        return NULL;
    credentials = credentials_from_answer(answer, profile->given->place, error);
    if (credentials)
        keep_credentials(profile, token, credentials);
    return credentials;
}

/* no_lock: why the file is not locked, if it is not. */
static struct credentials *refresh_and_exchange(struct oauth_profile *profile,
        const struct aliyun_iot_error *no_lock, struct aliyun_iot_error **error)
{
    enum refresh_result result = CHANGED_BY_OTHERS;
    struct credentials *cached;

    if (!oauth_profile_read(profile, error))
        return NULL;
    /* Another process may have refreshed it while this one waited for the lock. */
    cached = login_cached(profile->search, profile->entry, profile->given->place);
    if (cached)
        return cached;
    for (int count = 0; count < REFRESHES_MAX && result == CHANGED_BY_OTHERS; count++) {
        if (!is_due(profile))
            break;
        if (!profile->file)
            return credentials_refuse(error, profile->given->place,
                    "the login cannot be refreshed: %s", aliyun_iot_error_message(no_lock));
        result = refresh(profile, error);
    }
    return result == FAILED ? NULL : exchange(profile, error);
}

struct credentials *credentials_of_oauth(const struct credentials_search *search,
        const struct login_profile *given, struct aliyun_iot_error **error)
{
    struct credentials *credentials = login_cached(search, given->profile, given->place);
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *no_lock = NULL;
    struct oauth_profile profile = {.search = search, .given = given};

    if (credentials)
        return credentials;
    profile.file = config_file_lock(given->path, search->deadline, &no_lock);
    credentials = refresh_and_exchange(&profile, no_lock, error);
    oauth_profile_close(&profile);
    return credentials;
}
