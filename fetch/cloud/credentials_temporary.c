/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials_temporary.h"

#include <string.h>
#include <time.h>

#include "../buffer.h"
#include "../deadline.h"

/* "2026-11-24T12:00:00Z" to seconds since 1970; 0: it is no such date. */
static int64_t parse_date(const char *text)
{
    struct tm date = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &date) : NULL;

    return end && !*end ? (int64_t)timegm(&date) : 0;
}

struct credentials *credentials_from_answer(
        const cJSON *object, const char *place, struct aliyun_iot_error **error)
{
    const char *code = json_string(object, "Code");
    int64_t expiration = parse_date(json_string(object, "Expiration"));

    if (code && strcmp(code, "Success") != 0)
        return credentials_refuse(error, place, "the answer says %.60s", code);
    if (expiration == 0)
        return credentials_refuse(error, place, "the answer has no Expiration");
    return credentials_new(json_string(object, "AccessKeyId"),
            json_string(object, "AccessKeySecret"), json_string(object, "SecurityToken"),
            expiration, place, error);
}

BUF_MEM *credentials_request(const struct credentials_search *search, const char *method,
        const char *url, const char *header, int64_t connect_timeout, const char *place,
        struct aliyun_iot_error **error)
{
    const char *headers[] = {header, NULL};
    int64_t deadline = monotonic_milliseconds() + connect_timeout;
    const struct http_request request = {
            .method = method,
            .url = url,
            .headers = header ? headers : NULL,
            .deadline =
                    connect_timeout && deadline < search->deadline ? deadline : search->deadline,
            .connect_timeout = connect_timeout,
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
