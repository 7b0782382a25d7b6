/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/openapi.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/text.h"
#include "base/trace.h"
#include "cloud/openapi_error.h"
#include "cloud/openapi_request.h"
#include "cloud/server_text.h"

enum {
    TRIES_MAX = 4,                /* throttled calls do not count: they repeat until the deadline */
    PAUSE_FIRST_MS = 200,         /* the pause is a random part of this, doubled each time */
    PAUSE_MAX_MS = 5000,          /* the doubling ends here */
    PAUSE_THROTTLED_MS = 1000,    /* the quota is counted by the second */
    SERVICE_TEXT_MAX_BYTES = 200, /* bytes of the service's own words in a message */
    CODE_MAX = 80,                /* bytes of a Code or RequestId in a message */
    STATUS_TOO_MANY_REQUESTS = 429,
    CLOCK_TOLERANCE_S = 60 /* a clock that is off by less is not named as the cause */
};

/*
 * How many seconds the service's clock is ahead of this machine's clock. All calls of the process
 * share it, because it depends on the machine alone.
 */
static _Atomic int64_t clock_offset_s;

/* A call in progress. */
struct attempt {
    struct http_client *http;
    const struct settings *settings;
    const struct openapi_call *call;
    int tries;
    int throttled; /* how many of them */
    bool clock_corrected;
    bool credentials_refreshed;
};

/* Why a try failed. */
struct failure {
    enum openapi_retry retry;
    int64_t retry_after_ms; /* as the service asked; -1: none */
    int64_t date_s;         /* of the answer, seconds since 1970; -1: none */
};

/*
 * Each try has a limit of its own, so that there is time for another try if the service does not
 * answer. The last try gets all the time that is left. A try is the last if little more time than
 * its limit is left.
 */
static int64_t try_deadline(const struct attempt *attempt)
{
    int64_t limit_ms = attempt->settings->try_timeout_ms;

    if (attempt->tries - attempt->throttled >= TRIES_MAX ||
            deadline_left_ms(attempt->call->deadline) < limit_ms + limit_ms / 2)
        return attempt->call->deadline;
    return monotonic_milliseconds() + limit_ms;
}

static int send_request(const struct attempt *attempt, const struct credentials *credentials,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    const char *headers[REQUEST_HEADERS_MAX + 1] = {NULL};
    struct openapi_request request;
    int sent = 0;

    if (openapi_request_make(&request, attempt->call, credentials,
                (int64_t)time(NULL) + atomic_load(&clock_offset_s), error)) {
        for (size_t index = 0; index < request.header_count; index++)
            headers[index] = request.header_lines[index]->data;
        sent = http_exchange(attempt->http,
                &(struct http_request){.method = "POST",
                        .url = request.url->data,
                        .headers = headers,
                        .body = request.body ? request.body->data : NULL,
                        .body_size = request.body ? request.body->length : 0,
                        .deadline = try_deadline(attempt)},
                answer, error);
    }
    openapi_request_release(&request);
    return sent;
}

static const char *service_words(const cJSON *object)
{
    const char *text = json_string(object, "ErrorMessage");

    return text ? text : json_string(object, "Message");
}

/* An expired token was also seen as the text of InvalidParameter. */
static const struct openapi_code *find_code(const cJSON *object, const char *code)
{
    const char *words = service_words(object);

    if (strncasecmp(code, "InvalidParameter", strlen("InvalidParameter")) == 0 && words &&
            strcasestr(words, "SecurityToken.Expired"))
        code = "InvalidSecurityToken.Expired";
    return openapi_code_find(code);
}

/* SignatureDoesNotMatch, for one, quotes what was signed, and that holds the security token. */
static int explain_code(const struct openapi_call *call, const struct credentials *signer,
        const cJSON *object, const struct openapi_code *line, struct aliyun_iot_error **error)
{
    const char *const secrets[] = {signer ? signer->access_key_secret : "",
            signer && signer->security_token ? signer->security_token : "",
            call->secret ? call->secret : "", NULL};
    const char *code = json_string(object, "Code");
    const char *request_id = json_string(object, "RequestId");
    CLEANUP(free) char *shown_code = server_text(code, CODE_MAX, secrets);
    CLEANUP(free) char *words = server_text(service_words(object), SERVICE_TEXT_MAX_BYTES, secrets);
    CLEANUP(free)
    char *shown_id = server_text(request_id ? request_id : "not given", CODE_MAX, secrets);

    if (!shown_code || !words || !shown_id)
        return error_set_out_of_memory(error);
    return error_set(error, line->reason, "%s: the service answered %s%s%s (RequestId %s)%s%s",
            call->action, shown_code, *words ? ": " : "", words, shown_id, line->advice ? "; " : "",
            line->advice ? line->advice : "");
}

static int refuse_answer(const struct openapi_call *call, const struct http_answer *answer,
        const char *problem, struct failure *failure, struct aliyun_iot_error **error)
{
    /* A proxy or load balancer speaks HTML, for itself or for a service which is down. */
    bool down = answer->status >= 500;

    if (answer->status == STATUS_TOO_MANY_REQUESTS) {
        failure->retry = RETRY_THROTTLED;
        return error_set(error, ALIYUN_IOT_REASON_THROTTLED,
                "%s: the answer is HTTP status 429, too many requests; lower rate in "
                "aliyun-iot.conf, or ask who runs the proxy",
                call->action);
    }
    failure->retry = down ? RETRY_LATER : RETRY_NEVER;
    return error_set(error, down ? ALIYUN_IOT_REASON_SERVICE : ALIYUN_IOT_REASON_BAD_ANSWER,
            "%s: the answer (HTTP status %ld, %zu bytes) is unusable: %s; check endpoint and proxy "
            "in aliyun-iot.conf",
            call->action, answer->status, answer->body->length, problem);
}

/*
 * An error has one of two forms: the gateway's {Code, Message} or the product's {Success: false,
 * Code, ErrorMessage}. The body decides, not the HTTP status. Returns 1 if object is no error.
 */
static int check_envelope(const struct openapi_call *call, const struct credentials *signer,
        const struct http_answer *answer, const cJSON *object, struct failure *failure,
        struct aliyun_iot_error **error)
{
    const cJSON *success = cJSON_GetObjectItemCaseSensitive(object, "Success");
    const char *code = json_string(object, "Code");
    const struct openapi_code *line;

    if (success && !cJSON_IsBool(success))
        return refuse_answer(call, answer, "Success is neither true nor false", failure, error);
    if (cJSON_IsTrue(success) || (!success && !code)) {
        if (answer->status >= 200 && answer->status < 300)
            return 1;
        return refuse_answer(call, answer, "it is no error and no success", failure, error);
    }
    if (!code || !*code)
        return refuse_answer(call, answer, "it is an error without a Code", failure, error);
    line = find_code(object, code);
    failure->retry = line->retry;
    return explain_code(call, signer, object, line, error);
}

static cJSON *read_envelope(const struct openapi_call *call, const struct credentials *signer,
        const struct http_answer *answer, struct failure *failure, struct aliyun_iot_error **error)
{
    const char *problem = NULL;
    CLEANUP(json_free) cJSON *object = NULL;

    if (answer->status >= 300 && answer->status < 400) {
        refuse_answer(call, answer, "it is a redirect, which is never followed", failure, error);
        return NULL;
    }
    object = json_parse(answer->body->data, answer->body->length, JSON_DEPTH_MAX, &problem);
    if (!object) {
        refuse_answer(call, answer, problem, failure, error);
        return NULL;
    }
    return check_envelope(call, signer, answer, object, failure, error) ? take(object) : NULL;
}

/* Whether to retry an exchange that failed without an answer. */
static enum openapi_retry transport_retry(const struct aliyun_iot_error *error)
{
    switch (error ? aliyun_iot_error_reason(error) : ALIYUN_IOT_REASON_INTERNAL) {
    case ALIYUN_IOT_REASON_UNREACHABLE:
    case ALIYUN_IOT_REASON_TIMEOUT:
        return RETRY_LATER;
    default:
        return RETRY_NEVER;
    }
}

static cJSON *try_once(struct attempt *attempt, struct credentials *credentials,
        struct failure *failure, struct aliyun_iot_error **error)
{
    const struct openapi_call *call = attempt->call;
    struct http_answer answer;
    cJSON *object;

    *failure = (struct failure){RETRY_NEVER, -1, -1};
    if (call->hooks && call->hooks->admit &&
            !call->hooks->admit(call->hooks->context, call->deadline, error))
        return NULL;
    if (!send_request(attempt, credentials, &answer, error)) {
        failure->retry = transport_retry(*error);
        return NULL;
    }
    failure->retry_after_ms = answer.retry_after_ms;
    failure->date_s = answer.date_s;
    object = read_envelope(call, credentials, &answer, failure, error);
    http_answer_release(&answer);
    return object;
}

/* Sleeps for a random part of a pause that doubles. Returns false if there is no time for it. */
static bool pause_before_retry(const struct attempt *attempt, const struct failure *failure)
{
    int64_t ceiling_ms = PAUSE_FIRST_MS, pause_ms;
    uint32_t random = 0;

    for (int step = 1; step < attempt->tries && ceiling_ms < PAUSE_MAX_MS; step++)
        ceiling_ms *= 2;
    if (getentropy(&random, sizeof(random)) != 0)
        random = UINT32_MAX / 2;
    pause_ms = ceiling_ms * random / UINT32_MAX;
    if (failure->retry == RETRY_THROTTLED)
        pause_ms += PAUSE_THROTTLED_MS;
    if (pause_ms < failure->retry_after_ms)
        pause_ms = failure->retry_after_ms;
    trace(attempt->settings, TRACE_INFO, "retry action=%s try=%d pause_ms=%lld",
            attempt->call->action, attempt->tries + 1, (long long)pause_ms);
    if (pause_ms >= deadline_left_ms(attempt->call->deadline))
        return false;
    process_sleep(pause_ms);
    return true;
}

/* Sets the clock offset from the answer's Date, once for each call. */
static bool correct_clock(struct attempt *attempt, const struct failure *failure)
{
    int64_t offset_s;

    if (attempt->clock_corrected || failure->date_s < 0)
        return false;
    offset_s = failure->date_s - (int64_t)time(NULL);
    attempt->clock_corrected = true;
    atomic_store(&clock_offset_s, offset_s);
    trace(attempt->settings, TRACE_ERROR, "clock offset_s=%lld", (long long)offset_s);
    return true;
}

static bool refresh_credentials(struct attempt *attempt, const struct credentials *credentials)
{
    const struct openapi_hooks *hooks = attempt->call->hooks;

    if (attempt->credentials_refreshed || !hooks || !hooks->rejected || !credentials)
        return false;
    attempt->credentials_refreshed = true;
    hooks->rejected(hooks->context, credentials);
    return true;
}

/* Asks for other credentials, once for each call. Returns whether there are any. */
static bool replace_credentials(struct attempt *attempt, const struct credentials *credentials)
{
    const struct openapi_hooks *hooks = attempt->call->hooks;

    if (attempt->credentials_refreshed || !hooks || !hooks->reread || !credentials)
        return false;
    attempt->credentials_refreshed = true;
    return hooks->reread(hooks->context, credentials, attempt->call->deadline);
}

static bool worth_retrying(struct attempt *attempt, const struct credentials *credentials,
        const struct failure *failure)
{
    const struct openapi_hooks *hooks = attempt->call->hooks;

    switch (failure->retry) {
    case RETRY_THROTTLED:
        if (hooks && hooks->throttled)
            hooks->throttled(hooks->context);
        attempt->throttled++;
        return pause_before_retry(attempt, failure);
    case RETRY_LATER:
        return attempt->tries - attempt->throttled < TRIES_MAX &&
               pause_before_retry(attempt, failure);
    case RETRY_CLOCK:
        return correct_clock(attempt, failure);
    case RETRY_CREDENTIALS:
        return refresh_credentials(attempt, credentials);
    case RETRY_REREAD:
        return replace_credentials(attempt, credentials);
    default:
        return false;
    }
}

/* Says how far this machine's clock is off. */
static void explain_clock(const struct failure *failure, struct aliyun_iot_error **error)
{
    int64_t offset_s = failure->date_s - (int64_t)time(NULL);

    if (failure->date_s >= 0 && (offset_s > CLOCK_TOLERANCE_S || offset_s < -CLOCK_TOLERANCE_S))
        error_prefix(error, "this machine's clock is %lld seconds %s: ",
                (long long)(offset_s < 0 ? -offset_s : offset_s), offset_s > 0 ? "slow" : "fast");
}

static void explain_end(const struct attempt *attempt, const struct failure *failure,
        struct aliyun_iot_error **error)
{
    if (failure->retry == RETRY_CLOCK)
        explain_clock(failure, error);
    if (attempt->tries > 1)
        error_prefix(error, "after %d tries: ", attempt->tries);
}

cJSON *openapi_call(struct http_client *http, const struct settings *settings,
        const struct openapi_call *call, struct aliyun_iot_error **error)
{
    struct attempt attempt = {.http = http, .settings = settings, .call = call};
    const struct openapi_hooks *hooks = call->hooks;

    for (;;) {
        CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
        CLEANUP(credentials_free) struct credentials *credentials = NULL;
        struct failure failure;
        cJSON *object;

        if (hooks && hooks->credentials) {
            credentials = hooks->credentials(hooks->context, call->deadline, error);
            if (!credentials)
                return NULL;
        }
        attempt.tries++;
        object = try_once(&attempt, credentials, &failure, &problem);
        if (object)
            return object;
        trace(settings, TRACE_ERROR, "call action=%s try=%d error=%s", call->action, attempt.tries,
                problem ? aliyun_iot_error_message(problem) : "?");
        if (!worth_retrying(&attempt, credentials, &failure)) {
            explain_end(&attempt, &failure, &problem);
            if (error)
                *error = take(problem);
            return NULL;
        }
    }
}
