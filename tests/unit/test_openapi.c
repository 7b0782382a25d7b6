/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAPI call over an exchange that this test scripts, with pauses that pass at once. The
 * functions that it defines are not taken from the library's objects.
 */
#include "unit.h"

#include <time.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/process.h"
#include "cloud/openapi.h"
#include "cloud/query_device_cert.h"

enum {
    ANSWERS_MAX = 16,
    TEXT_MAX = 2048,
    MINUTE_MS = 60 * 1000,
    TRY_TIMEOUT_MS = 10 * 1000,
    NO_ANSWER = 0
};

/* What the next exchanges come to. */
struct answer {
    const char *body;
    long status; /* NO_ANSWER: the exchange fails for this reason */
    enum aliyun_iot_reason reason;
    int64_t date_s, retry_after_ms;
};

/* What was sent, as one text: URL, header lines, body. */
struct sent {
    char url[TEXT_MAX], headers[TEXT_MAX], body[TEXT_MAX];
};

static struct {
    struct answer answers[ANSWERS_MAX];
    int answer_count;
    struct sent sent[ANSWERS_MAX];
    int64_t deadlines[ANSWERS_MAX], left_ms[ANSWERS_MAX]; /* of each exchange */
    int exchanges;
    int64_t pauses[ANSWERS_MAX];
    int pause_count;
    int rejections, throttlings, admissions, readings;
    bool admission_refused;
    bool rotated; /* the credentials' source has others now */
} cloud;

static int reset(void **state)
{
    (void)state;
    memset(&cloud, 0, sizeof(cloud));
    return 0;
}

static struct answer *script(const char *body, long status)
{
    struct answer *answer = &cloud.answers[cloud.answer_count++];

    assert_between(cloud.answer_count, 1, ANSWERS_MAX);
    *answer = (struct answer){.body = body, .status = status, .date_s = -1, .retry_after_ms = -1};
    return answer;
}

static void script_failure(enum aliyun_iot_reason reason)
{
    script(NULL, NO_ANSWER)->reason = reason;
}

void http_answer_release(struct http_answer *answer)
{
    BUF_MEM_free(answer->body);
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    int index = cloud.exchanges++;
    struct answer *scripted = &cloud.answers[index];
    struct sent *sent = &cloud.sent[index];

    (void)client;
    assert_true(index < cloud.answer_count);
    assert_string_equal(request->method, "POST");
    assert_false(request->plain_http_allowed);
    cloud.deadlines[index] = request->deadline;
    cloud.left_ms[index] = deadline_left_ms(request->deadline);
    snprintf(sent->url, sizeof(sent->url), "%s", request->url);
    for (const char *const *line = request->headers; *line; line++) {
        size_t size = strlen(sent->headers);

        snprintf(sent->headers + size, sizeof(sent->headers) - size, "%s\n", *line);
    }
    snprintf(sent->body, sizeof(sent->body), "%.*s", (int)request->body_size,
            request->body ? request->body : "");
    if (scripted->status == NO_ANSWER)
        return error_set(error, scripted->reason, "iot.example.com: no answer");
    *answer = (struct http_answer){.status = scripted->status,
            .body = BUF_MEM_new(),
            .date_s = scripted->date_s,
            .retry_after_ms = scripted->retry_after_ms};
    assert_non_null(answer->body);
    assert_true(buffer_append_text(answer->body, scripted->body));
    return 1;
}

/* In place of base/process.c: pauses are noted and take no time. */
void process_sleep(int64_t pause_ms)
{
    assert_true(cloud.pause_count < ANSWERS_MAX);
    cloud.pauses[cloud.pause_count++] = pause_ms;
}

void process_enter_gate(void)
{
}

void process_leave_gate(void)
{
}

void process_register(struct fork_participant *participant)
{
    (void)participant;
}

void process_unregister(struct fork_participant *participant)
{
    (void)participant;
}

/* What comes after the name and before the line's or the parameter's end; "": it is not there. */
static const char *field(const char *text, const char *name)
{
    static char value[TEXT_MAX];
    const char *place = strstr(text, name);

    value[0] = '\0';
    if (place) {
        place += strlen(name);
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(place, "&\n"), place);
    }
    return value;
}

/* The account's credentials: the first, and those that it has after a rejection. */
static struct credentials *account(void)
{
    static char ids[2][5] = {"id-1", "id-2"}, secret[] = "the-secret", token[] = "the-token",
                source[] = "test";
    static struct credentials first = {ids[0], secret, token, 0, source, 1},
                              second = {ids[1], secret, token, 0, source, 1};

    return cloud.rejections > 0 ? &second : &first;
}

static struct credentials *give(void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    struct credentials *credentials = account();

    (void)deadline;
    if (context) {
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "no AccessKey");
        return NULL;
    }
    credentials->references++;
    return credentials;
}

static void count_rejection(void *context, const struct credentials *credentials)
{
    (void)context;
    assert_ptr_equal(account(), credentials);
    cloud.rejections++;
}

static int count_admission(void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    (void)context;
    (void)deadline;
    cloud.admissions++;
    if (cloud.admission_refused)
        return error_set(error, ALIYUN_IOT_REASON_THROTTLED, "the queue is too long");
    return 1;
}

static void count_throttling(void *context)
{
    (void)context;
    cloud.throttlings++;
}

static bool count_reading(void *context, const struct credentials *credentials, int64_t deadline)
{
    (void)context;
    (void)deadline;
    assert_ptr_equal(account(), credentials);
    cloud.readings++;
    cloud.rejections += cloud.rotated;
    return cloud.rotated;
}

static const struct openapi_hooks hooks = {
        NULL, give, count_rejection, count_admission, count_throttling, count_reading};

static struct aliyun_iot_identity *query_by(enum signature_kind signature, const char *instance,
        int64_t deadline, struct aliyun_iot_error **error)
{
    const struct settings settings = {.signature = signature, .try_timeout_ms = TRY_TIMEOUT_MS};
    const struct device device = {
            "cn-shanghai", "https://iot.example.com:8443", "product", "device@1", instance};

    return query_device_cert(NULL, &settings, &hooks, &device, deadline, error);
}

static struct aliyun_iot_identity *query_as(enum signature_kind signature, const char *instance,
        int64_t timeout_ms, struct aliyun_iot_error **error)
{
    return query_by(signature, instance, monotonic_milliseconds() + timeout_ms, error);
}

static struct aliyun_iot_identity *query(int64_t timeout_ms, struct aliyun_iot_error **error)
{
    return query_as(SIGNATURE_ACS3, NULL, timeout_ms, error);
}

static void assert_query_fails(enum aliyun_iot_reason reason, const char *phrase, int tries)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(query(MINUTE_MS, &error));
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), "the-secret"));
    assert_null(strstr(aliyun_iot_error_message(error), "the-token"));
    assert_error(error, reason, phrase);
    assert_int_equal(cloud.exchanges, tries);
    assert_int_equal(cloud.admissions, tries);
}

#define PRODUCT_ERROR(code)                                                                        \
    "{\"RequestId\":\"R-1\",\"Success\":false,\"Code\":\"" code "\",\"ErrorMessage\":\"because\"}"
#define GATEWAY_ERROR(code)                                                                        \
    "{\"RequestId\":\"R-1\",\"HostId\":\"h\",\"Code\":\"" code "\",\"Message\":\"because\"}"
#define READY(fields) "{\"RequestId\":\"R-1\",\"Success\":true,\"DeviceCertInfo\":{" fields "}}"

/* What ends a call without another try. */
#define FINAL GATEWAY_ERROR("NoPermission")

static const char *gateway_error(const char *code)
{
    static char texts[ANSWERS_MAX][256];
    static int next;
    char *text = texts[next++ % ANSWERS_MAX];

    snprintf(text, sizeof(texts[0]), "{\"RequestId\":\"R-1\",\"Code\":\"%s\",\"Message\":\"m\"}",
            code);
    return text;
}

static void an_acs3_request_names_the_device_in_its_query_and_has_no_body(void **state)
{
    const struct sent *sent = &cloud.sent[0];

    (void)state;
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "NoPermission", 1);
    assert_string_equal(
            sent->url, "https://iot.example.com:8443/?DeviceName=device%401&ProductKey=product");
    assert_string_equal(sent->body, "");
    assert_string_equal(field(sent->headers, "x-acs-action: "), "QueryDeviceCert");
    assert_string_equal(field(sent->headers, "x-acs-version: "), "2018-01-20");
    assert_string_equal(field(sent->headers, "x-acs-accesskey-id: "), "id-1");
    assert_string_equal(field(sent->headers, "x-acs-security-token: "), "the-token");
    assert_string_equal(field(sent->headers, "Accept: "), "application/json");
    assert_non_null(strstr(field(sent->headers, "Authorization: "),
            "ACS3-HMAC-SHA256 Credential=id-1,SignedHeaders=host;x-acs-accesskey-id;x-acs-action;"
            "x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce;"
            "x-acs-version,Signature="));
    assert_null(strstr(sent->headers, "the-secret"));
}

/* libcurl may write a Host header of its own in another way than it was signed. */
static void the_host_that_was_signed_is_sent(void **state)
{
    (void)state;
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "NoPermission", 1);
    assert_string_equal(field(cloud.sent[0].headers, "host: "), "iot.example.com:8443");
}

static void an_rpc_request_holds_everything_in_its_form(void **state)
{
    const struct sent *sent = &cloud.sent[0];
    struct aliyun_iot_error *error = NULL;

    (void)state;
    script(FINAL, 403);
    assert_null(query_as(SIGNATURE_RPC, NULL, MINUTE_MS, &error));
    assert_error(error, ALIYUN_IOT_REASON_REFUSED, "NoPermission");
    assert_string_equal(sent->url, "https://iot.example.com:8443/");
    assert_string_equal(field(sent->body, "AccessKeyId="), "id-1");
    assert_string_equal(field(sent->body, "&Action="), "QueryDeviceCert");
    assert_string_equal(field(sent->body, "&Version="), "2018-01-20");
    assert_string_equal(field(sent->body, "&Format="), "JSON");
    assert_string_equal(field(sent->body, "&ProductKey="), "product");
    assert_string_equal(field(sent->body, "&DeviceName="), "device%401");
    assert_string_equal(field(sent->body, "&SecurityToken="), "the-token");
    assert_string_equal(field(sent->body, "&SignatureMethod="), "HMAC-SHA1");
    assert_int_equal(strlen(field(sent->body, "&SignatureNonce=")), 32);
    assert_true(strlen(field(sent->body, "&Signature=")) >= 28);
    assert_null(strstr(sent->body, "IotInstanceId"));
    assert_null(strstr(sent->body, "the-secret"));
}

static void the_instance_is_sent_where_there_is_one(void **state)
{
    (void)state;
    script(FINAL, 403);
    script(FINAL, 403);
    assert_null(query_as(SIGNATURE_ACS3, "iot-cn-0pp1n8t", MINUTE_MS, NULL));
    assert_string_equal(field(cloud.sent[0].url, "IotInstanceId="), "iot-cn-0pp1n8t");
    assert_null(query_as(SIGNATURE_RPC, "iot-cn-0pp1n8t", MINUTE_MS, NULL));
    assert_string_equal(field(cloud.sent[1].body, "IotInstanceId="), "iot-cn-0pp1n8t");
}

static void without_hooks_a_call_is_not_signed(void **state)
{
    const struct settings settings = {.signature = SIGNATURE_ACS3};
    const struct openapi_parameter parameter = {"RoleArn", "acs:ram::1:role/r"};
    const struct openapi_call call = {
            .endpoint = "https://sts.example.com",
            .action = "AssumeRoleWithOIDC",
            .version = "2015-04-01",
            .parameters = &parameter,
            .parameter_count = 1,
            .deadline = monotonic_milliseconds() + MINUTE_MS,
    };
    cJSON *answer;

    (void)state;
    script("{\"RequestId\":\"R-1\",\"Credentials\":{}}", 200);
    answer = openapi_call(NULL, &settings, &call, NULL);
    assert_non_null(answer);
    json_free(answer);
    assert_string_equal(field(cloud.sent[0].body, "RoleArn="), "acs%3Aram%3A%3A1%3Arole%2Fr");
    assert_null(strstr(cloud.sent[0].body, "Signature="));
    assert_null(strstr(cloud.sent[0].headers, "Authorization"));
    assert_string_equal(cloud.sent[0].url, "https://sts.example.com/");
}

static void both_envelopes_are_read_whatever_the_http_status(void **state)
{
    static const long statuses[] = {200, 201, 400, 403, 404, 500, 503};
    static const char *const bodies[] = {PRODUCT_ERROR("iot.device.NotExistedDevice"),
            GATEWAY_ERROR("iot.device.NotExistedDevice"),
            GATEWAY_ERROR("IOT.DEVICE.NOTEXISTEDDEVICE")};

    (void)state;
    for (size_t status = 0; status < sizeof(statuses) / sizeof(statuses[0]); status++) {
        for (size_t index = 0; index < sizeof(bodies) / sizeof(bodies[0]); index++) {
            reset(NULL);
            script(bodies[index], statuses[status]);
            assert_query_fails(ALIYUN_IOT_REASON_NOT_FOUND,
                    "because (RequestId R-1); check the device name", 1);
        }
    }
}

static void the_message_holds_action_code_request_and_advice(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("NoPermission"), 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED,
            "QueryDeviceCert: the service answered NoPermission: because (RequestId R-1); grant "
            "the RAM user or role the action iot:QueryDeviceCert",
            1);
    reset(NULL);
    script("{\"Code\":\"Forbidden.RAM\"}", 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED,
            "the service answered Forbidden.RAM (RequestId not given); grant", 1);
}

static void an_unknown_code_is_reported_as_it_came(void **state)
{
    (void)state;
    script(PRODUCT_ERROR("iot.brand.New"), 200);
    assert_query_fails(
            ALIYUN_IOT_REASON_SERVICE, "answered iot.brand.New: because (RequestId R-1)", 1);
}

static void the_services_words_are_cut_and_cannot_move_a_cursor(void **state)
{
    static char body[4096];
    struct aliyun_iot_error *error = NULL;
    char filler[2001];

    (void)state;
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    snprintf(body, sizeof(body),
            "{\"Code\":\"NoPermission\\u001b[2J\\n%s\",\"Message\":\"\\u8bbe\\r%s\"}", filler,
            filler);
    script(body, 400);
    assert_null(query(MINUTE_MS, &error));
    assert_non_null(error);
    for (const char *place = aliyun_iot_error_message(error); *place; place++)
        assert_between(*place, ' ', '~');
    assert_true(strlen(aliyun_iot_error_message(error)) < 600);
    assert_error(error, ALIYUN_IOT_REASON_REFUSED, "NoPermission?[2J?***: ?");
}

static void a_code_that_may_pass_is_tried_again(void **state)
{
    static const char *const codes[] = {"Throttling", "Throttling.User", "Throttling.Api",
            "iot.RateLimit.Exceeded", "ServiceUnavailable", "InternalError", "SignatureNonceUsed",
            "iot.system.SystemException", "THROTTLING.USER"};

    (void)state;
    for (size_t index = 0; index < sizeof(codes) / sizeof(codes[0]); index++) {
        reset(NULL);
        script(gateway_error(codes[index]), 400);
        script(FINAL, 403);
        assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 2 tries: QueryDeviceCert: ", 2);
        assert_int_equal(cloud.pause_count, 1);
        assert_int_equal(cloud.throttlings, index < 4 || index == 8 ? 1 : 0);
    }
}

static void a_final_code_is_not_tried_again(void **state)
{
    static const struct {
        const char *code;
        enum aliyun_iot_reason reason;
    } codes[] = {{"SignatureDoesNotMatch", ALIYUN_IOT_REASON_BAD_CREDENTIALS},
            {"IncompleteSignature", ALIYUN_IOT_REASON_BAD_CREDENTIALS},
            {"InvalidAccessKeyId.NotFound", ALIYUN_IOT_REASON_BAD_CREDENTIALS},
            {"InvalidAccessKeyId.Inactive", ALIYUN_IOT_REASON_BAD_CREDENTIALS},
            {"MissingSecurityToken", ALIYUN_IOT_REASON_BAD_CREDENTIALS},
            {"MissingProductKey", ALIYUN_IOT_REASON_SERVICE},
            {"Forbidden", ALIYUN_IOT_REASON_REFUSED}, {"Forbidden.RAM", ALIYUN_IOT_REASON_REFUSED},
            {"NoPermission", ALIYUN_IOT_REASON_REFUSED},
            {"InvalidApi.NotFound", ALIYUN_IOT_REASON_SERVICE},
            {"InvalidProduct.NotFound", ALIYUN_IOT_REASON_SERVICE},
            {"InvalidProtocol.NeedSsl", ALIYUN_IOT_REASON_SERVICE},
            {"iot.prod.NotExistedProduct", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.prod.NullProductKey", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.prod.InvalidFormattedProductkey", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.device.NotExistedDevice", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.device.NullDeviceName", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.device.InvalidFormattedDeviceName", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.device.InactiveDevice", ALIYUN_IOT_REASON_SERVICE},
            {"iot.system.InstanceNotFound", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.Sre.IotInstanceNotFound", ALIYUN_IOT_REASON_NOT_FOUND},
            {"iot.Sre.IotInstanceAccessForbidden", ALIYUN_IOT_REASON_REFUSED},
            {"iot.common.RamActionPermissionDeny", ALIYUN_IOT_REASON_REFUSED},
            {"Iot.system.BillIsOverDue", ALIYUN_IOT_REASON_REFUSED},
            {"iot.common.APINotSupportedInInstance", ALIYUN_IOT_REASON_REFUSED}};

    (void)state;
    for (size_t index = 0; index < sizeof(codes) / sizeof(codes[0]); index++) {
        reset(NULL);
        script(gateway_error(codes[index].code), 400);
        assert_query_fails(codes[index].reason, codes[index].code, 1);
        assert_int_equal(cloud.pause_count, 0);
        assert_int_equal(cloud.rejections, 0);
    }
}

static void each_try_has_a_nonce_of_its_own(void **state)
{
    char nonces[4][64];

    (void)state;
    script(GATEWAY_ERROR("SignatureNonceUsed"), 400);
    script(GATEWAY_ERROR("SignatureNonceUsed"), 400);
    script(GATEWAY_ERROR("SignatureNonceUsed"), 400);
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 4 tries: ", 4);
    for (int index = 0; index < 4; index++) {
        snprintf(nonces[index], sizeof(nonces[index]), "%s",
                field(cloud.sent[index].headers, "x-acs-signature-nonce: "));
        assert_int_equal(strlen(nonces[index]), 32);
        for (int other = 0; other < index; other++)
            assert_string_not_equal(nonces[index], nonces[other]);
    }
}

static void a_service_that_stays_down_is_asked_four_times_with_growing_pauses(void **state)
{
    int64_t most = 200;

    (void)state;
    for (int time = 0; time < 4; time++)
        script(GATEWAY_ERROR("ServiceUnavailable"), 503);
    assert_query_fails(ALIYUN_IOT_REASON_SERVICE, "after 4 tries: QueryDeviceCert", 4);
    assert_int_equal(cloud.pause_count, 3);
    for (int pause = 0; pause < 3; pause++, most *= 2)
        assert_between(cloud.pauses[pause], 0, most);
}

static void a_connection_that_fails_is_made_again_unless_it_is_not_trusted(void **state)
{
    (void)state;
    script_failure(ALIYUN_IOT_REASON_UNREACHABLE);
    script_failure(ALIYUN_IOT_REASON_TIMEOUT);
    script_failure(ALIYUN_IOT_REASON_NOT_TRUSTED);
    assert_query_fails(ALIYUN_IOT_REASON_NOT_TRUSTED, "after 3 tries: iot.example.com: no", 3);
    reset(NULL);
    script_failure(ALIYUN_IOT_REASON_BAD_ANSWER);
    assert_query_fails(ALIYUN_IOT_REASON_BAD_ANSWER, "iot.example.com", 1);
}

static void each_try_but_the_last_has_a_limit_of_its_own(void **state)
{
    int64_t deadline = monotonic_milliseconds() + MINUTE_MS;

    (void)state;
    for (int time = 0; time < 4; time++)
        script_failure(ALIYUN_IOT_REASON_TIMEOUT);
    assert_null(query_by(SIGNATURE_ACS3, NULL, deadline, NULL));
    assert_int_equal(cloud.exchanges, 4);
    for (int time = 0; time < 3; time++)
        assert_between(cloud.left_ms[time], 1, TRY_TIMEOUT_MS);
    assert_int_equal(cloud.deadlines[3], deadline);
}

static void a_try_that_would_leave_little_for_another_gets_all_that_is_left(void **state)
{
    int64_t deadline = monotonic_milliseconds() + TRY_TIMEOUT_MS + TRY_TIMEOUT_MS / 3;

    (void)state;
    script(FINAL, 403);
    assert_null(query_by(SIGNATURE_ACS3, NULL, deadline, NULL));
    assert_int_equal(cloud.exchanges, 1);
    assert_int_equal(cloud.deadlines[0], deadline);
}

static void throttled_tries_use_up_none_of_the_others(void **state)
{
    (void)state;
    for (int time = 0; time < 4; time++)
        script(GATEWAY_ERROR("Throttling"), 400);
    script_failure(ALIYUN_IOT_REASON_TIMEOUT);
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 6 tries", 6);
    assert_between(cloud.left_ms[4], 1, TRY_TIMEOUT_MS);
}

static void a_proxy_that_speaks_for_a_service_which_is_down_is_asked_again(void **state)
{
    (void)state;
    script("<html>Bad Gateway</html>", 502);
    script("", 504);
    script("<html>Log in</html>", 200);
    assert_query_fails(ALIYUN_IOT_REASON_BAD_ANSWER,
            "the answer (HTTP status 200, 19 bytes) is unusable: it is not JSON; check endpoint",
            3);
}

static void html_with_status_429_is_throttling(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    script("<html>Too Many Requests</html>", 429);
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 2 tries", 2);
    assert_int_equal(cloud.throttlings, 1);
    reset(NULL);
    for (int time = 0; time < ANSWERS_MAX; time++)
        script("<html>Too Many Requests</html>", 429);
    assert_null(query(1500, &error));
    assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "HTTP status 429");
}

static void a_throttled_call_waits_a_second_or_as_long_as_the_service_says(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("Throttling.User"), 400);
    script(GATEWAY_ERROR("Throttling.User"), 400)->retry_after_ms = 7000;
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 3 tries", 3);
    assert_int_equal(cloud.throttlings, 2);
    assert_between(cloud.pauses[0], 1000, 1200);
    assert_int_equal(cloud.pauses[1], 7000);
}

static void throttling_is_waited_out_until_the_deadline(void **state)
{
    (void)state;
    for (int time = 0; time < 9; time++)
        script(GATEWAY_ERROR("Throttling"), 400);
    script(GATEWAY_ERROR("Throttling"), 400)->retry_after_ms = 2 * MINUTE_MS;
    assert_query_fails(ALIYUN_IOT_REASON_THROTTLED, "after 10 tries", 10);
    for (int pause = 0; pause < 9; pause++)
        assert_between(cloud.pauses[pause], 1000, 1000 + 6400);
}

static void there_is_no_pause_beyond_the_deadline(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    script(GATEWAY_ERROR("Throttling"), 400);
    assert_null(query(500, &error));
    assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "lower rate in aliyun-iot.conf");
    assert_int_equal(cloud.exchanges, 1);
    assert_int_equal(cloud.pause_count, 0);
}

static void credentials_that_expired_are_refreshed_once(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("InvalidSecurityToken.Expired"), 400);
    script(GATEWAY_ERROR("InvalidSecurityToken.Expired"), 400);
    assert_query_fails(ALIYUN_IOT_REASON_BAD_CREDENTIALS, "get a new one", 2);
    assert_int_equal(cloud.rejections, 1);
    assert_string_equal(field(cloud.sent[0].headers, "x-acs-accesskey-id: "), "id-1");
    assert_string_equal(field(cloud.sent[1].headers, "x-acs-accesskey-id: "), "id-2");
    assert_int_equal(cloud.pause_count, 0);
}

static void a_token_that_only_the_words_call_expired_is_refreshed(void **state)
{
    (void)state;
    script("{\"RequestId\":\"R-1\",\"Code\":\"InvalidParameter\",\"Message\":"
           "\"SecurityToken.Expired: the token has expired\"}",
            400);
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 2 tries", 2);
    assert_int_equal(cloud.rejections, 1);
    reset(NULL);
    script(GATEWAY_ERROR("InvalidParameter"), 400);
    assert_query_fails(ALIYUN_IOT_REASON_SERVICE, "InvalidParameter", 1);
}

static void an_access_key_that_is_rejected_is_read_again_before_that_is_final(void **state)
{
    static const char *const codes[] = {
            "SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive"};

    (void)state;
    for (size_t index = 0; index < sizeof(codes) / sizeof(codes[0]); index++) {
        char answer[128];

        snprintf(answer, sizeof(answer), "{\"Code\":\"%s\",\"Message\":\"m\"}", codes[index]);
        /* It is still the same: no second call. */
        reset(NULL);
        script(answer, 400);
        assert_query_fails(ALIYUN_IOT_REASON_BAD_CREDENTIALS, codes[index], 1);
        assert_int_equal(cloud.readings, 1);

        /* It was rotated: one more call, and no more reading. */
        reset(NULL);
        cloud.rotated = true;
        script(answer, 400);
        script(answer, 400);
        assert_query_fails(ALIYUN_IOT_REASON_BAD_CREDENTIALS, codes[index], 2);
        assert_int_equal(cloud.readings, 1);
        assert_string_equal(field(cloud.sent[0].headers, "x-acs-accesskey-id: "), "id-1");
        assert_string_equal(field(cloud.sent[1].headers, "x-acs-accesskey-id: "), "id-2");
    }
}

static void a_call_without_credentials_or_admission_is_not_made(void **state)
{
    const struct settings settings = {.signature = SIGNATURE_ACS3};
    const struct openapi_hooks without = {&cloud, give, NULL, NULL, NULL, NULL};
    struct aliyun_iot_error *error = NULL;
    const struct device device = {"r", "https://h", "p", "d", NULL};

    (void)state;
    assert_null(query_device_cert(
            NULL, &settings, &without, &device, monotonic_milliseconds() + MINUTE_MS, &error));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "no AccessKey");
    error = NULL;
    cloud.admission_refused = true;
    assert_null(query(MINUTE_MS, &error));
    assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "the queue is too long");
    assert_int_equal(cloud.exchanges, 0);
}

/* By how many seconds the date of a request is ahead of now. */
static int64_t date_offset(const struct sent *sent)
{
    struct tm broken = {0};

    assert_non_null(strptime(field(sent->headers, "x-acs-date: "), "%Y-%m-%dT%H:%M:%SZ", &broken));
    return (int64_t)timegm(&broken) - (int64_t)time(NULL);
}

/* The offset belongs to the process: a date that is right undoes it. */
static int put_clock_right(void **state)
{
    (void)state;
    reset(NULL);
    script(GATEWAY_ERROR("InvalidTimeStamp.Expired"), 400)->date_s = (int64_t)time(NULL);
    script(FINAL, 403);
    aliyun_iot_identity_free(query(MINUTE_MS, NULL));
    return cloud.exchanges == 2 ? 0 : -1;
}

static void the_clock_is_corrected_from_the_date_and_stays_so(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("InvalidTimeStamp.Expired"), 400)->date_s = (int64_t)time(NULL) - 86400;
    script(FINAL, 403);
    script(FINAL, 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 2 tries", 2);
    assert_between(date_offset(&cloud.sent[0]) + 60, 0, 120);
    assert_between(date_offset(&cloud.sent[1]) + 86400 + 60, 0, 120);
    assert_int_equal(cloud.pause_count, 0);
    aliyun_iot_identity_free(query(MINUTE_MS, NULL));
    assert_between(date_offset(&cloud.sent[2]) + 86400 + 60, 0, 120);
}

static void the_clock_is_corrected_once_and_then_named(void **state)
{
    static const struct {
        const char *code;
        int64_t offset;
        const char *phrase;
    } cases[] = {
            {"InvalidTimeStamp.Expired", 86400, "seconds slow: QueryDeviceCert: "},
            {"IllegalTimestamp", -86400, "seconds fast: QueryDeviceCert: "},
            {"InvalidTimeStamp.Format", 0, "after 2 tries: QueryDeviceCert: "},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        reset(NULL);
        for (int time_of = 0; time_of < 2; time_of++)
            script(gateway_error(cases[index].code), 400)->date_s =
                    (int64_t)time(NULL) + cases[index].offset;
        assert_query_fails(ALIYUN_IOT_REASON_CLOCK, cases[index].phrase, 2);
    }
}

static void without_a_date_the_clock_cannot_be_corrected(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("InvalidTimeStamp.Expired"), 400);
    assert_query_fails(ALIYUN_IOT_REASON_CLOCK, "set this machine's clock", 1);
}

static void what_was_signed_is_never_repeated(void **state)
{
    static const char *const bodies[] = {
            "{\"Code\":\"SignatureDoesNotMatch\",\"RequestId\":\"R-1\","
            "\"Message\":\"server string to sign is: POST&the-token the-secret\"}",
            "{\"Success\":false,\"Code\":\"signaturedoesnotmatch\",\"RequestId\":\"R-1\","
            "\"ErrorMessage\":\"server string to sign is: POST&the-token the-secret\"}",
            "{\"Code\":\"IncompleteSignature\",\"RequestId\":\"R-1\","
            "\"Message\":\"the-token the-secret\"}",
            "{\"Code\":\"InvalidAccessKeyId\",\"RequestId\":\"R-1\","
            "\"Message\":\"secret=the-secret, token=the-token\"}",
            "{\"Code\":\"InvalidAccessKeyId.the-secret\",\"RequestId\":\"R-1\"}",
            "{\"Code\":\"InvalidAccessKeyId\",\"RequestId\":\"R-1\",\"Message\":\"key "
            "-----BEGIN PRIVATE KEY-----\\nthe-secret\\n-----END PRIVATE KEY-----\"}"};

    (void)state;
    for (size_t index = 0; index < sizeof(bodies) / sizeof(bodies[0]); index++) {
        reset(NULL);
        script(bodies[index], index == 1 ? 200 : 400);
        assert_query_fails(ALIYUN_IOT_REASON_BAD_CREDENTIALS, " (RequestId R-1)", 1);
    }
}

static void a_redirect_is_refused_whatever_it_holds(void **state)
{
    static const long statuses[] = {300, 301, 302, 303, 307, 308};

    (void)state;
    for (size_t index = 0; index < sizeof(statuses) / sizeof(statuses[0]); index++) {
        reset(NULL);
        script(index % 2 ? "" : READY("\"Status\":2"), statuses[index]);
        assert_query_fails(
                ALIYUN_IOT_REASON_BAD_ANSWER, "it is a redirect, which is never followed", 1);
    }
}

static void an_answer_that_is_neither_success_nor_error_is_refused(void **state)
{
    static const struct {
        const char *body;
        long status;
        const char *phrase;
    } cases[] = {
            {"", 200, "it is empty"},
            {"[]", 200, "not a JSON object"},
            {"null", 200, "not a JSON object"},
            {"{\"Success\":true", 200, "not JSON"},
            {"{\"Success\":true,\"Success\":false}", 200, "a name is repeated"},
            {"{}", 200, "whether it is a success"},
            {"{}", 404, "no error and no success"},
            {"{\"Success\":true}", 404, "no error and no success"},
            {"{\"Success\":\"true\"}", 200, "neither true nor false"},
            {"{\"Success\":1}", 200, "neither true nor false"},
            {"{\"Success\":null}", 200, "neither true nor false"},
            {"{\"Success\":false}", 200, "without a Code"},
            {"{\"Success\":false,\"Code\":\"\"}", 200, "without a Code"},
            {"{\"Success\":false,\"Code\":17}", 200, "without a Code"},
            {"{\"Success\":false,\"Code\":null}", 200, "without a Code"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        reset(NULL);
        script(cases[index].body, cases[index].status);
        assert_query_fails(ALIYUN_IOT_REASON_BAD_ANSWER, cases[index].phrase, 1);
    }
}

static void a_success_whose_fields_are_wrong_is_refused_with_its_request(void **state)
{
    static const char no_status[] = "holds no Status (RequestId R-1)";
    static const char status[] = "has a Status that is not a number (RequestId R-1)";
    static const char information[] = "has a DeviceCertInfo that is not an object (RequestId R-1)";
    static const char type[] = "has a field of the wrong type (RequestId R-1)";
    static const struct {
        const char *body, *phrase;
    } cases[] = {
            {"{\"Success\":true,\"RequestId\":\"R-1\"}", "holds no DeviceCertInfo (RequestId R-1)"},
            {"{\"Success\":true,\"RequestId\":\"R-1\",\"DeviceCertInfo\":null}", information},
            {"{\"Success\":true,\"RequestId\":\"R-1\",\"DeviceCertInfo\":[]}", information},
            {"{\"Success\":true,\"RequestId\":\"R-1\",\"DeviceCertInfo\":\"{}\"}", information},
            {"{\"Success\":true,\"DeviceCertInfo\":1,\"RequestId\":1}", "(RequestId not given)"},
            {READY(""), no_status},
            {READY("\"Status\":null"), status},
            {READY("\"Status\":\"2\""), status},
            {READY("\"Status\":true"), status},
            {READY("\"Status\":[2]"), status},
            {READY("\"status\":2"), no_status},
            {READY("\"Status\":3"), "has a Status that is not documented (RequestId R-1)"},
            {READY("\"Status\":-1"), "not documented"},
            {READY("\"Status\":0.5"), "not documented"},
            {READY("\"Status\":1e300"), "not documented"},
            {READY("\"Status\":2"), "holds no Certificate (RequestId R-1)"},
            {READY("\"Status\":2,\"Certificate\":null,\"PrivateKey\":\"k\""), "no Certificate"},
            {READY("\"Status\":2,\"Certificate\":\"c\""), "holds no PrivateKey: the platform has"},
            {READY("\"Status\":2,\"Certificate\":\"c\",\"PrivateKey\":\"\""), "no PrivateKey"},
            {READY("\"Status\":2,\"Certificate\":1,\"PrivateKey\":\"k\""), type},
            {READY("\"Status\":2,\"Certificate\":\"c\",\"PrivateKey\":{}"), type},
            {READY("\"Status\":2,\"Certificate\":\"c\",\"PrivateKey\":\"k\",\"CertSN\":63"), type},
            {READY("\"Status\":2,\"Certificate\":\"c\",\"PrivateKey\":\"k\""),
                    "QueryDeviceCert (RequestId R-1): "},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        reset(NULL);
        script(cases[index].body, 200);
        assert_query_fails(ALIYUN_IOT_REASON_BAD_ANSWER, cases[index].phrase, 1);
    }
}

static void append_pem_field(BIO *answer, const char *name, char *pem)
{
    BIO_printf(answer, ",\"%s\":\"", name);
    for (const char *place = pem; *place; place++) {
        if (*place == '\n')
            BIO_puts(answer, "\\n");
        else
            BIO_write(answer, place, 1);
    }
    BIO_puts(answer, "\"");
    free(pem);
}

/* An answer with a pair that is made for the occasion; to be freed with free(). */
static char *make_ready_answer(void)
{
    EVP_PKEY *key = pair_key("EC");
    X509 *certificate = pair_certificate(key, -60, 3600);
    BIO *answer = BIO_new(BIO_s_mem());

    assert_non_null(answer);
    BIO_puts(answer, "{\"RequestId\":\"R-1\",\"Success\":true,\"DeviceCertInfo\":{\"Status\":2");
    append_pem_field(answer, "Certificate", pair_certificate_pem(certificate));
    append_pem_field(answer, "PrivateKey", pair_key_pem(key, "PrivateKeyInfo"));
    BIO_puts(answer, ",\"CertSN\":\"sn-1\"}}");
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pair_text_of_bio(answer);
}

static void a_certificate_in_generation_is_asked_for_until_it_is_ready(void **state)
{
    static const int64_t pauses[] = {500, 1000, 2000, 4000, 5000, 5000};
    enum { PAUSES = sizeof(pauses) / sizeof(pauses[0]) };
    char *ready = make_ready_answer();
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity;

    (void)state;
    for (int time = 0; time < PAUSES; time++)
        script(READY("\"Status\":0,\"Certificate\":\"\",\"PrivateKey\":null"), 200);
    script(ready, 200);
    identity = query(MINUTE_MS, &error);
    if (!identity)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(aliyun_iot_identity_serial_number(identity), "sn-1");
    assert_string_equal(aliyun_iot_identity_request_id(identity), "R-1");
    assert_string_equal(aliyun_iot_identity_key_type(identity), "EC");
    aliyun_iot_identity_free(identity);
    free(ready);
    assert_int_equal(cloud.pause_count, PAUSES);
    assert_memory_equal(cloud.pauses, pauses, sizeof(pauses));
    assert_int_equal(cloud.admissions, PAUSES + 1);
}

static void serial_number_and_request_id_can_be_printed_and_hold_no_key(void **state)
{
    static const char end[] = ",\"CertSN\":\"sn-1\"}}", id[] = "\"R-1\"";
    char *ready = make_ready_answer(), *place = strstr(ready, end), *odd;
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity;

    (void)state;
    assert_non_null(place);
    *place = '\0';
    place = strstr(ready, id) + strlen(id);
    assert_true(asprintf(&odd,
                        "{\"RequestId\":\"-----BEGIN PRIVATE KEY-----\\nMIGHAgEA\""
                        "%s,\"CertSN\":\"1\\u001b[2J\\nsubject: forged\"}}",
                        place) > 0);
    script(odd, 200);
    identity = query(MINUTE_MS, &error);
    if (!identity)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(aliyun_iot_identity_serial_number(identity), "1?[2J?subject: forged");
    assert_string_equal(aliyun_iot_identity_request_id(identity), "***");
    aliyun_iot_identity_free(identity);
    free(odd);
    free(ready);
}

static void a_certificate_that_is_not_ready_by_the_deadline_is_an_error(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    script(READY("\"Status\":0"), 200);
    assert_null(query(400, &error));
    assert_error(error, ALIYUN_IOT_REASON_NOT_READY, "Status 0, RequestId R-1); try again");
    assert_int_equal(cloud.pause_count, 0);
}

static void a_failed_generation_is_final(void **state)
{
    (void)state;
    script(READY("\"Status\":0"), 200);
    script(READY("\"Status\":1"), 200);
    assert_query_fails(ALIYUN_IOT_REASON_GENERATION_FAILED,
            "failed to generate the certificate (Status 1, RequestId R-1)", 2);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)
#define TEST_CLOCK(function) cmocka_unit_test_setup_teardown(function, reset, put_clock_right)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(an_acs3_request_names_the_device_in_its_query_and_has_no_body),
            TEST(the_host_that_was_signed_is_sent),
            TEST(an_rpc_request_holds_everything_in_its_form),
            TEST(the_instance_is_sent_where_there_is_one),
            TEST(without_hooks_a_call_is_not_signed),
            TEST(both_envelopes_are_read_whatever_the_http_status),
            TEST(the_message_holds_action_code_request_and_advice),
            TEST(an_unknown_code_is_reported_as_it_came),
            TEST(the_services_words_are_cut_and_cannot_move_a_cursor),
            TEST(a_code_that_may_pass_is_tried_again),
            TEST(a_final_code_is_not_tried_again),
            TEST(each_try_has_a_nonce_of_its_own),
            TEST(a_service_that_stays_down_is_asked_four_times_with_growing_pauses),
            TEST(a_connection_that_fails_is_made_again_unless_it_is_not_trusted),
            TEST(each_try_but_the_last_has_a_limit_of_its_own),
            TEST(a_try_that_would_leave_little_for_another_gets_all_that_is_left),
            TEST(throttled_tries_use_up_none_of_the_others),
            TEST(a_proxy_that_speaks_for_a_service_which_is_down_is_asked_again),
            TEST(html_with_status_429_is_throttling),
            TEST(a_throttled_call_waits_a_second_or_as_long_as_the_service_says),
            TEST(throttling_is_waited_out_until_the_deadline),
            TEST(there_is_no_pause_beyond_the_deadline),
            TEST(credentials_that_expired_are_refreshed_once),
            TEST(a_token_that_only_the_words_call_expired_is_refreshed),
            TEST(an_access_key_that_is_rejected_is_read_again_before_that_is_final),
            TEST(a_call_without_credentials_or_admission_is_not_made),
            TEST_CLOCK(the_clock_is_corrected_from_the_date_and_stays_so),
            TEST_CLOCK(the_clock_is_corrected_once_and_then_named),
            TEST(without_a_date_the_clock_cannot_be_corrected),
            TEST(what_was_signed_is_never_repeated),
            TEST(a_redirect_is_refused_whatever_it_holds),
            TEST(an_answer_that_is_neither_success_nor_error_is_refused),
            TEST(a_success_whose_fields_are_wrong_is_refused_with_its_request),
            TEST(a_certificate_in_generation_is_asked_for_until_it_is_ready),
            TEST(serial_number_and_request_id_can_be_printed_and_hold_no_key),
            TEST(a_certificate_that_is_not_ready_by_the_deadline_is_an_error),
            TEST(a_failed_generation_is_final),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
