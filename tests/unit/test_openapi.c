/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI call over an exchange that this test scripts. */
#include "unit.h"

#include <time.h>

#include <openssl/buffer.h>

#include "cloud/openapi.h"
#include "cloud/query_device_cert.h"
#include "deadline.h"

enum { ANSWERS_MAX = 8 };

/* What the next exchanges come to. */
static struct {
    const char *body; /* NULL: no answer at all */
    long status;
    int64_t date;
} answers[ANSWERS_MAX];
static int answer_count, exchanges, rejections, throttlings, admissions;
static char nonces[ANSWERS_MAX][33];

static void script(const char *body, long status)
{
    answers[answer_count].body = body;
    answers[answer_count].status = status;
    answers[answer_count++].date = -1;
}

static int reset(void **state)
{
    (void)state;
    answer_count = exchanges = rejections = throttlings = admissions = 0;
    return 0;
}

void http_answer_release(struct http_answer *answer)
{
    BUF_MEM_free(answer->body);
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    static const char name[] = "x-acs-signature-nonce: ";
    int index = exchanges++;

    (void)client;
    assert_true(index < answer_count);
    nonces[index][0] = '\0';
    for (const char *const *line = request->headers; *line; line++)
        if (strncmp(*line, name, sizeof(name) - 1) == 0)
            snprintf(nonces[index], sizeof(nonces[index]), "%s", *line + sizeof(name) - 1);
    if (!answers[index].body)
        return error_set(error, ALIYUN_IOT_REASON_UNREACHABLE, "no connection");
    *answer = (struct http_answer){.status = answers[index].status,
            .body = BUF_MEM_new(),
            .date = answers[index].date,
            .retry_after = 1};
    BUF_MEM_grow(answer->body, strlen(answers[index].body));
    memcpy(answer->body->data, answers[index].body, answer->body->length);
    return 1;
}

static struct credentials *give(void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    (void)deadline;
    (void)error;
    ((struct credentials *)context)->references++;
    return context;
}

static void count_rejection(void *context, const struct credentials *credentials)
{
    assert_ptr_equal(context, credentials);
    rejections++;
}

static int count_admission(void *context, const struct credentials *credentials, int64_t deadline,
        struct aliyun_iot_error **error)
{
    (void)deadline;
    (void)error;
    assert_ptr_equal(context, credentials);
    admissions++;
    return 1;
}

static void count_throttling(void *context, const struct credentials *credentials)
{
    assert_ptr_equal(context, credentials);
    throttlings++;
}

static struct aliyun_iot_identity *query(int64_t timeout, struct aliyun_iot_error **error)
{
    static char id[] = "id", secret[] = "secret", token[] = "the-token", source[] = "test";
    static struct credentials credentials = {id, secret, token, 0, source, 1};
    const struct settings settings = {.signature = SIGNATURE_ACS3};
    const struct openapi_hooks hooks = {
            &credentials, give, count_rejection, count_admission, count_throttling};

    return query_device_cert(NULL, &settings, &hooks,
            &(struct device_query){
                    "https://cloud", "product", "device", NULL, monotonic_milliseconds() + timeout},
            error);
}

static void assert_query_fails(enum aliyun_iot_reason reason, const char *phrase, int tries)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(query(60000, &error));
    assert_error(error, reason, phrase);
    assert_int_equal(exchanges, tries);
    assert_int_equal(admissions, tries);
}

#define PRODUCT_ERROR(code)                                                                        \
    "{\"RequestId\":\"R-1\",\"Success\":false,\"Code\":\"" code "\",\"ErrorMessage\":\"because\"}"
#define GATEWAY_ERROR(code)                                                                        \
    "{\"RequestId\":\"R-1\",\"HostId\":\"h\",\"Code\":\"" code "\",\"Message\":\"because\"}"
#define READY(fields) "{\"RequestId\":\"R-1\",\"Success\":true,\"DeviceCertInfo\":{" fields "}}"

static void both_envelopes_are_read_whatever_the_http_status(void **state)
{
    static const struct {
        const char *body;
        long status;
    } cases[] = {
            {PRODUCT_ERROR("iot.device.NotExistedDevice"), 200},
            {PRODUCT_ERROR("iot.device.NotExistedDevice"), 404},
            {GATEWAY_ERROR("iot.device.NotExistedDevice"), 400},
            {GATEWAY_ERROR("IOT.DEVICE.NOTEXISTEDDEVICE"), 200},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        reset(NULL);
        script(cases[index].body, cases[index].status);
        assert_query_fails(
                ALIYUN_IOT_REASON_NOT_FOUND, "because (RequestId R-1); check the device", 1);
    }
}

static void an_unknown_code_is_reported_as_it_came(void **state)
{
    (void)state;
    script(PRODUCT_ERROR("iot.brand.New"), 200);
    assert_query_fails(
            ALIYUN_IOT_REASON_SERVICE, "answered iot.brand.New: because (RequestId R-1)", 1);
}

static void what_passes_is_tried_again_with_a_fresh_nonce(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("ServiceUnavailable"), 503);
    script(GATEWAY_ERROR("SignatureNonceUsed"), 400);
    script(NULL, 0);
    script(GATEWAY_ERROR("NoPermission"), 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "after 4 tries: ", 4);
    for (int index = 0; index < 3; index++) {
        assert_int_equal(strlen(nonces[index]), 32);
        assert_string_not_equal(nonces[index], nonces[index + 1]);
    }
}

static void a_throttled_call_is_told_to_the_quota_and_tried_again(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("Throttling.User"), 400);
    script(GATEWAY_ERROR("Forbidden.RAM"), 403);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "Forbidden.RAM", 2);
    assert_int_equal(throttlings, 1);
}

static void there_is_no_retry_beyond_the_deadline(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    script(GATEWAY_ERROR("Throttling"), 400);
    assert_null(query(500, &error));
    assert_error(error, ALIYUN_IOT_REASON_THROTTLED, "Throttling");
    assert_int_equal(exchanges, 1);
}

static void credentials_that_expired_are_refreshed_once(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("InvalidSecurityToken.Expired"), 400);
    script(GATEWAY_ERROR("InvalidSecurityToken.Expired"), 400);
    assert_query_fails(ALIYUN_IOT_REASON_BAD_CREDENTIALS, "get a new one", 2);
    assert_int_equal(rejections, 1);
}

static void the_clock_is_corrected_once_and_then_named(void **state)
{
    (void)state;
    script(GATEWAY_ERROR("InvalidTimeStamp.Expired"), 400);
    script(GATEWAY_ERROR("InvalidTimeStamp.Expired"), 400);
    answers[0].date = answers[1].date = (int64_t)time(NULL) + 86400;
    assert_query_fails(ALIYUN_IOT_REASON_CLOCK, "seconds slow: QueryDeviceCert", 2);
    /* The offset belongs to the process: put it right for the tests to come. */
    reset(NULL);
    script(GATEWAY_ERROR("InvalidTimeStamp.Expired"), 400);
    script(GATEWAY_ERROR("NoPermission"), 403);
    answers[0].date = (int64_t)time(NULL);
    assert_query_fails(ALIYUN_IOT_REASON_REFUSED, "NoPermission", 2);
}

static void what_was_signed_is_never_repeated(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    script("{\"Code\":\"SignatureDoesNotMatch\",\"RequestId\":\"R-1\","
           "\"Message\":\"string to sign is POST&the-token\"}",
            400);
    assert_null(query(60000, &error));
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), "the-token"));
    assert_error(error, ALIYUN_IOT_REASON_BAD_CREDENTIALS, "the AccessKey secret is wrong");
}

static void an_answer_that_is_neither_success_nor_error_is_refused(void **state)
{
    static const struct {
        const char *body;
        long status;
        const char *phrase;
    } cases[] = {
            {"{}", 200, "whether it is a success"},
            {"{}", 404, "no error and no success"},
            {"{\"Success\":\"true\"}", 200, "neither true nor false"},
            {"{\"Success\":false}", 200, "without a Code"},
            {"{}", 302, "redirect"},
            {"[]", 200, "not a JSON object"},
            {READY(""), 200, "no Status"},
            {"{\"Success\":true,\"DeviceCertInfo\":[]}", 200, "no DeviceCertInfo"},
            {READY("\"Status\":9"), 200, "not documented"},
            {READY("\"Status\":2"), 200, "no Certificate"},
            {READY("\"Status\":2,\"Certificate\":\"c\",\"PrivateKey\":\"\""), 200, "no PrivateKey"},
            {READY("\"Status\":2,\"Certificate\":1,\"PrivateKey\":\"k\""), 200, "wrong type"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        reset(NULL);
        script(cases[index].body, cases[index].status);
        assert_query_fails(ALIYUN_IOT_REASON_BAD_ANSWER, cases[index].phrase, 1);
    }
}

static void a_certificate_in_generation_is_asked_for_again(void **state)
{
    (void)state;
    script(READY("\"Status\":0"), 200);
    script(READY("\"Status\":1"), 200);
    assert_query_fails(ALIYUN_IOT_REASON_GENERATION_FAILED, "Status 1", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(both_envelopes_are_read_whatever_the_http_status, reset),
            cmocka_unit_test_setup(an_unknown_code_is_reported_as_it_came, reset),
            cmocka_unit_test_setup(what_passes_is_tried_again_with_a_fresh_nonce, reset),
            cmocka_unit_test_setup(a_throttled_call_is_told_to_the_quota_and_tried_again, reset),
            cmocka_unit_test_setup(there_is_no_retry_beyond_the_deadline, reset),
            cmocka_unit_test_setup(credentials_that_expired_are_refreshed_once, reset),
            cmocka_unit_test_setup(the_clock_is_corrected_once_and_then_named, reset),
            cmocka_unit_test_setup(what_was_signed_is_never_repeated, reset),
            cmocka_unit_test_setup(an_answer_that_is_neither_success_nor_error_is_refused, reset),
            cmocka_unit_test_setup(a_certificate_in_generation_is_asked_for_again, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
