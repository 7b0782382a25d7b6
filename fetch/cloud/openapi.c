/* SPDX-License-Identifier: Apache-2.0 */
#include "openapi.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../background.h"
#include "../deadline.h"
#include "../trace.h"
#include "openapi_error.h"
#include "openapi_request.h"

enum {
    TRIES_MAX = 4,          /* for what is not throttling, whose tries the deadline ends */
    PAUSE_FIRST = 200,      /* milliseconds: the pause is a random part of this, doubled */
    PAUSE_MAX = 5000,       /* each time, up to this */
    PAUSE_THROTTLED = 1000, /* the quota is counted by the second */
    SERVICE_TEXT_MAX = 200, /* bytes of the service's own words in a message */
    CLOCK_TOLERANCE = 60    /* seconds that the clock may be off before it is the culprit */
};

/*
 * By how many seconds the service's clock is ahead of this machine's. It is a property of the
 * machine, so one for the process.
 */
static _Atomic int64_t clock_offset;

/* A call in progress. */
struct attempt {
    struct http_client *http;
    const struct settings *settings;
    const struct openapi_call *call;
    int tries;
    bool clock_corrected;
    bool credentials_refreshed;
};

/* What a try came to, when it did not bring an answer. */
struct failure {
    enum openapi_retry retry;
    int64_t retry_after; /* milliseconds the service asked for; -1: none */
    int64_t date;        /* of the answer; -1: none */
};

static int send_request(const struct attempt *attempt, const struct credentials *credentials,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    const char *headers[REQUEST_HEADERS_MAX + 1] = {NULL};
    struct openapi_request request;
    int sent = 0;

    if (openapi_request_make(&request, attempt->call, credentials,
                (int64_t)time(NULL) + atomic_load(&clock_offset), error)) {
        for (size_t index = 0; index < request.header_count; index++)
            headers[index] = request.header_lines[index]->data;
        sent = http_exchange(attempt->http,
                &(struct http_request){.method = "POST",
                        .url = request.url->data,
                        .headers = headers,
                        .body = request.body ? request.body->data : NULL,
                        .body_size = request.body ? request.body->length : 0,
                        .deadline = attempt->call->deadline},
                answer, error);
    }
    openapi_request_release(&request);
    return sent;
}

/*
 * The service's words, unless they may repeat what was signed: SignatureDoesNotMatch quotes the
 * string to sign, and that holds the security token.
 */
static const char *service_text(const cJSON *object, const char *code)
{
    const char *text = json_string(object, "ErrorMessage");

    if (!text)
        text = json_string(object, "Message");
    return text && !strcasestr(code, "signature") ? text : "";
}

static void explain_code(const struct openapi_call *call, const cJSON *object, const char *code,
        const struct openapi_code *line, struct aliyun_iot_error **error)
{
    const char *text = service_text(object, code);
    const char *request_id = json_string(object, "RequestId");

    error_set(error, line->reason, "%s: the service answered %.80s%s%.*s (RequestId %.64s)%s%s",
            call->action, code, *text ? ": " : "", SERVICE_TEXT_MAX, text,
            request_id ? request_id : "not given", line->advice ? "; " : "",
            line->advice ? line->advice : "");
}

static int bad_answer(const struct openapi_call *call, const struct http_answer *answer,
        const char *problem, struct failure *failure, struct aliyun_iot_error **error)
{
    /* A proxy or load balancer that answers for a service which is down speaks HTML. */
    bool down = answer->status >= 500;

    failure->retry = down ? RETRY_LATER : RETRY_NEVER;
    return error_set(error, down ? ALIYUN_IOT_REASON_SERVICE : ALIYUN_IOT_REASON_BAD_ANSWER,
            "%s: the answer (HTTP status %ld, %zu bytes) is unusable: %s; check endpoint and proxy "
            "in aliyun-iot.conf",
            call->action, answer->status, answer->body->length, problem);
}

/*
 * Two envelopes hold errors: the gateway's {Code, Message} and the product's {Success: false, Code,
 * ErrorMessage}. The body decides, not the HTTP status. Returns whether object is an answer.
 */
static int check_envelope(const struct openapi_call *call, const struct http_answer *answer,
        const cJSON *object, struct failure *failure, struct aliyun_iot_error **error)
{
    const cJSON *success = cJSON_GetObjectItemCaseSensitive(object, "Success");
    const char *code = json_string(object, "Code");
    const struct openapi_code *line;

    if (success && !cJSON_IsBool(success))
        return bad_answer(call, answer, "Success is neither true nor false", failure, error);
    if (cJSON_IsTrue(success) || (!success && !code)) {
        if (answer->status >= 200 && answer->status < 300)
            return 1;
        return bad_answer(call, answer, "it is no error and no success", failure, error);
    }
    if (!code || !*code)
        return bad_answer(call, answer, "it is an error without a Code", failure, error);
    line = openapi_code_find(code);
    failure->retry = line->retry;
    explain_code(call, object, code, line, error);
    return 0;
}

static cJSON *read_answer(const struct openapi_call *call, const struct http_answer *answer,
        struct failure *failure, struct aliyun_iot_error **error)
{
    const char *problem = NULL;
    CLEANUP(json_free) cJSON *object = NULL;

    if (answer->status >= 300 && answer->status < 400) {
        bad_answer(call, answer, "it is a redirect, which is never followed", failure, error);
        return NULL;
    }
    object = json_parse(answer->body->data, answer->body->length, &problem);
    if (!object) {
        bad_answer(call, answer, problem, failure, error);
        return NULL;
    }
    return check_envelope(call, answer, object, failure, error) ? take(object) : NULL;
}

/* An exchange that brought no answer at all. */
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
            !call->hooks->admit(call->hooks->context, credentials, call->deadline, error))
        return NULL;
    if (!send_request(attempt, credentials, &answer, error)) {
        failure->retry = transport_retry(*error);
        return NULL;
    }
    failure->retry_after = answer.retry_after;
    failure->date = answer.date;
    object = read_answer(call, &answer, failure, error);
    http_answer_release(&answer);
    return object;
}

/* Sleeps a random part of the growing pause. Returns whether there was time for it. */
static bool pause_before_retry(const struct attempt *attempt, const struct failure *failure)
{
    int64_t ceiling = PAUSE_FIRST, pause;
    uint32_t random = 0;

    for (int step = 1; step < attempt->tries && ceiling < PAUSE_MAX; step++)
        ceiling *= 2;
    if (getentropy(&random, sizeof(random)) != 0)
        random = UINT32_MAX / 2;
    pause = ceiling * random / UINT32_MAX;
    if (failure->retry == RETRY_THROTTLED)
        pause += PAUSE_THROTTLED;
    if (pause < failure->retry_after)
        pause = failure->retry_after;
    trace(attempt->settings, TRACE_INFO, "retry action=%s try=%d pause_ms=%lld",
            attempt->call->action, attempt->tries + 1, (long long)pause);
    if (pause >= deadline_left(attempt->call->deadline))
        return false;
    return background_sleep(pause);
}

/* Takes over the service's clock from the answer's Date, once for a call. */
static bool correct_clock(struct attempt *attempt, const struct failure *failure)
{
    int64_t offset;

    if (attempt->clock_corrected || failure->date < 0)
        return false;
    offset = failure->date - (int64_t)time(NULL);
    attempt->clock_corrected = true;
    atomic_store(&clock_offset, offset);
    trace(attempt->settings, TRACE_ERROR, "clock offset_s=%lld", (long long)offset);
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

static bool worth_retrying(struct attempt *attempt, const struct credentials *credentials,
        const struct failure *failure)
{
    const struct openapi_hooks *hooks = attempt->call->hooks;

    switch (failure->retry) {
    case RETRY_THROTTLED:
        if (hooks && hooks->throttled)
            hooks->throttled(hooks->context, credentials);
        return pause_before_retry(attempt, failure);
    case RETRY_LATER:
        return attempt->tries < TRIES_MAX && pause_before_retry(attempt, failure);
    case RETRY_CLOCK:
        return correct_clock(attempt, failure);
    case RETRY_CREDENTIALS:
        return refresh_credentials(attempt, credentials);
    default:
        return false;
    }
}

/* A wrong clock is named with how far it is off. */
static void explain_clock(const struct failure *failure, struct aliyun_iot_error **error)
{
    int64_t offset = failure->date - (int64_t)time(NULL);

    if (failure->date >= 0 && (offset > CLOCK_TOLERANCE || offset < -CLOCK_TOLERANCE))
        error_prefix(error, "this machine's clock is %lld seconds %s: ",
                (long long)(offset < 0 ? -offset : offset), offset > 0 ? "slow" : "fast");
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
