/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/temporary.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/text.h"
#include "cloud/http.h"
#include "cloud/server_text.h"

enum { CODE_MAX = 60 /* bytes of a Code in a message */ };

/* Whether text begins like the pattern, in which 0 stands for any digit. */
static bool begins_like(const char *text, const char *pattern)
{
    for (; *pattern; pattern++, text++)
        if (*pattern == '0' ? !isdigit((unsigned char)*text) : *text != *pattern)
            return false;
    return true;
}

/* Reads "Z", "+08:00" or "-0330". Returns false if text is anything else. */
static bool parse_offset(const char *text, int64_t *seconds)
{
    bool is_offset = (*text == '+' || *text == '-') &&
                     (begins_like(text + 1, "00:00") || begins_like(text + 1, "0000"));
    struct tm zone = {0};
    const char *end;

    if (!is_offset && *text != 'Z')
        return false;
    end = strptime(text, "%z", &zone);
    *seconds = zone.tm_gmtoff;
    return end && !*end;
}

bool credentials_parse_time(const char *text, int64_t *seconds)
{
    struct tm date = {0};
    const char *rest;
    int64_t offset;
    int day;

    if (!text || !begins_like(text, "0000-00-00T00:00:00"))
        return false;
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
    if (!rest)
        return false;
    if (rest[0] == '.' && isdigit((unsigned char)rest[1]))
        rest += 1 + strspn(rest + 1, DIGITS);
    day = date.tm_mday;
    *seconds = (int64_t)timegm(&date);
    /* timegm() takes February 30th for a day in March. */
    if (date.tm_mday != day || !parse_offset(rest, &offset))
        return false;
    *seconds -= offset;
    return *seconds > 0;
}

struct credentials *credentials_from_answer(
        const cJSON *object, const char *place, struct aliyun_iot_error **error)
{
    const char *code = json_string(object, "Code");
    const char *token = json_string(object, "SecurityToken");
    int64_t expiration_s;

    if (code && strcmp(code, "Success") != 0) {
        CLEANUP(free) char *shown = server_text(code, CODE_MAX, NULL);

        return credentials_refuse(error, place, "the answer says %s", shown ? shown : "an error");
    }
    if (!token || !*token)
        return credentials_refuse(error, place, "the answer has no SecurityToken");
    if (!credentials_parse_time(json_string(object, "Expiration"), &expiration_s))
        return credentials_refuse(error, place, "the answer has no readable Expiration");
    return credentials_new(json_string(object, "AccessKeyId"),
            json_string(object, "AccessKeySecret"), token, expiration_s, place, error);
}

BUF_MEM *credentials_request(const struct credentials_search *search, const char *method,
        const char *url, const char *header, int64_t connect_timeout_ms, const char *place,
        struct aliyun_iot_error **error)
{
    const char *headers[] = {header, NULL};
    int64_t deadline = monotonic_milliseconds() + connect_timeout_ms;
    const struct http_request request = {
            .method = method,
            .url = url,
            .headers = header ? headers : NULL,
            .deadline =
                    connect_timeout_ms && deadline < search->deadline ? deadline : search->deadline,
            .connect_timeout_ms = connect_timeout_ms,
            .plain_http_allowed = true,
            .proxy_refused = true,
    };
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    struct http_answer answer;

    if (!http_exchange(search->http, &request, &answer, &problem)) {
        credentials_refuse(error, place, "%s", aliyun_iot_error_message(problem));
        return NULL;
    }
    if (answer.status == 200 && answer.body->length > 0 && buffer_text(answer.body))
        return answer.body;
    credentials_refuse(
            error, place, "HTTP status %ld, %zu bytes", answer.status, answer.body->length);
    http_answer_release(&answer);
    return NULL;
}
