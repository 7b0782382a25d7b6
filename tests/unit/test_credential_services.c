/* SPDX-License-Identifier: Apache-2.0 */
/* The services that issue temporary credentials: metadata, credentials URIs; and their times. */
#include "credentials_fixture.h"

#include "cloud/credentials/temporary.h"

static void a_time_is_read_in_every_form_that_the_services_write(void **state)
{
    /* 2026-11-24T12:00:00Z */
    static const int64_t noon = 1795521600;
    static const struct {
        const char *text;
        int64_t after_noon;
    } times[] = {
            {"2026-11-24T12:00:00Z", 0},
            {"2026-11-24T12:00:01.5Z", 1},
            {"2026-11-24T12:00:00.000Z", 0},
            {"2026-11-24T12:00:00.123456789Z", 0},
            {"2026-11-24T20:00:00+08:00", 0},
            {"2026-11-24T20:00:00.117+08:00", 0},
            {"2026-11-24T20:00:00+0800", 0},
            {"2026-11-24T08:30:00-03:30", 0},
            {"2026-11-24T12:00:00+00:00", 0},
            {"2026-11-25T00:00:00Z", 12 * 3600},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(times) / sizeof(times[0]); index++) {
        int64_t seconds = 0;

        if (!credentials_parse_time(times[index].text, &seconds))
            fail_msg("%s is not read", times[index].text);
        assert_int_equal(seconds, noon + times[index].after_noon);
    }
}

static void what_is_no_time_is_not_read_as_one(void **state)
{
    static const char *const texts[] = {"", " ", "never", "0", "1795521600", "2026-11-24",
            "2026-11-24T12:00:00", "2026-11-24 12:00:00Z", "2026-11-24T12:00Z",
            "2026-11-24T12:00:00Z ", " 2026-11-24T12:00:00Z", "2026-11-24T12:00:00ZZ",
            "2026-11-24T12:00:00.Z", "2026-11-24T12:00:00,5Z", "2026-11-24T12:00:00+8",
            "2026-11-24T12:00:00+08", "2026-11-24T12:00:00+08:0", "2026-11-24T12:00:00+08:00x",
            "2026-11-24T12:00:00+08:99", "2026-11-24T12:00:00 CST", "2026-13-24T12:00:00Z",
            "2026-02-30T12:00:00Z", "2026-11-24T25:00:00Z", "2026-1-24T12:00:00Z",
            "26-11-24T12:00:00Z", "-026-11-24T12:00:00Z",
            /* Before 1970, as a service writes what it never set; not "does not expire". */
            "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"};
    int64_t seconds;

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        if (credentials_parse_time(texts[index], &seconds))
            fail_msg("\"%s\" is read", texts[index]);
    assert_false(credentials_parse_time(NULL, &seconds));
}

#define ANSWER(rest)                                                                               \
    "{\"AccessKeyId\":\"STS.x\",\"AccessKeySecret\":\"" SECRET "\",\"SecurityToken\":\"" TOKEN     \
    "\"" rest "}"

static void an_answer_without_token_or_expiration_is_an_error(void **state)
{
    static const struct {
        const char *answer, *phrase;
    } answers[] = {
            {ANSWER(""), "no readable Expiration"},
            {ANSWER(",\"Expiration\":\"soon\""), "no readable Expiration"},
            {ANSWER(",\"Expiration\":null"), "no readable Expiration"},
            {ANSWER(",\"Expiration\":1795521600"), "no readable Expiration"},
            {ANSWER(",\"Expiration\":\"2100-01-01T00:00:00Z\",\"Code\":\"Failed\""),
                    "the answer says Failed"},
            {"{\"AccessKeyId\":\"id\",\"AccessKeySecret\":\"" SECRET
             "\",\"Expiration\":\"2100-01-01T00:00:00Z\"}",
                    "the answer has no SecurityToken"},
            {"{\"AccessKeyId\":\"id\",\"AccessKeySecret\":\"" SECRET
             "\",\"SecurityToken\":\"\",\"Expiration\":\"2100-01-01T00:00:00Z\"}",
                    "the answer has no SecurityToken"},
            {"{\"AccessKeySecret\":\"" SECRET "\",\"SecurityToken\":\"" TOKEN
             "\",\"Expiration\":\"2100-01-01T00:00:00Z\"}",
                    "the AccessKey id is missing"},
            {"<html>", "it is not JSON"},
    };

    (void)state;
    fixture.network_up = true;
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        fixture.answer = answers[index].answer;
        assert_none("credentials-uri", NULL, answers[index].phrase);
    }
}

static void plain_http_is_for_addresses_that_are_near(void **state)
{
    static const char *const near[] = {"http://localhost/", "http://localhost:8080/x",
            "http://127.0.0.1", "http://10.1.2.3/?a=b", "http://172.16.0.1/", "http://192.168.0.1/",
            "http://169.254.1.1/", "http://100.100.100.200/", "http://[::1]", "http://[::1]/",
            "http://[::1]:8080/x", "http://[fe80::1]/", "http://[fd00::1]/", "https://far.example/",
            "https://[2001:db8::1]/"};
    static const char *const far[] = {"http://8.8.8.8/", "http://localhost.example.com/",
            "http://127.0.0.1.example.com/", "http://172.32.0.1/", "http://[2001:db8::1]/",
            "http://[]/", "http://", "http://::1/", "http://[::ffff:8.8.8.8]/",
            "http://[127.0.0.1]/"};
    static const char *const broken[] = {
            "http://[::1]example.com/", "http://[::1", "http:/localhost/", "localhost"};

    (void)state;
    fixture.network_up = true;
    for (size_t index = 0; index < sizeof(near) / sizeof(near[0]); index++) {
        setenv("ALIBABA_CLOUD_CREDENTIALS_URI", near[index], 1);
        fixture.issued = 0;
        assert_profile_found("credentials-uri", NULL, "STS.1", TOKEN);
        assert_string_equal(fixture.exchanges[0].url, near[index]);
    }
    for (size_t index = 0; index < sizeof(far) / sizeof(far[0]); index++) {
        setenv("ALIBABA_CLOUD_CREDENTIALS_URI", far[index], 1);
        assert_none("credentials-uri", NULL, "localhost and private addresses only");
    }
    for (size_t index = 0; index < sizeof(broken) / sizeof(broken[0]); index++) {
        setenv("ALIBABA_CLOUD_CREDENTIALS_URI", broken[index], 1);
        assert_none("credentials-uri", NULL, "it is no URL with a host");
    }
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "ftp://localhost/", 1);
    assert_none("credentials-uri", NULL, "neither http:// nor https://");
    assert_int_equal(fixture.asked, 0);
}

static void a_credentials_uri_with_a_password_is_refused_without_a_word_of_it(void **state)
{
    (void)state;
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "https://user:" SECRET "@host.example/", 1);
    assert_none("credentials-uri", NULL, "it must not hold a user name or password");
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://[::1]:" SECRET "@host.example/", 1);
    assert_none("credentials-uri", NULL, "it must not hold a user name or password");
}

static void assert_metadata_asked(int exchanges, int with_token)
{
    int tokens = 0;

    assert_int_equal(fixture.asked, exchanges);
    for (int index = 0; index < exchanges; index++)
        tokens += fixture.exchanges[index].has_metadata_token;
    assert_int_equal(tokens, with_token);
}

static void the_metadata_service_is_asked_with_a_token_and_without_one_if_need_be(void **state)
{
    (void)state;
    fixture.network_up = true;
    unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    assert_profile_found("ecs-metadata", NULL, "STS.1", TOKEN);
    assert_metadata_asked(3, 2);
    assert_non_null(strstr(fixture.exchanges[2].url, "/security-credentials/machine-role"));
    setenv("ALIBABA_CLOUD_ECS_METADATA", "named", 1);
    assert_profile_found("ecs-metadata", NULL, "STS.2", TOKEN);
    assert_metadata_asked(2, 1);
    assert_non_null(strstr(fixture.exchanges[1].url, "/security-credentials/named"));
    fixture.metadata = "plain";
    assert_profile_found("ecs-metadata", NULL, "STS.3", TOKEN);
    assert_metadata_asked(2, 0);
    fixture.metadata = "stubborn";
    assert_profile_found("ecs-metadata", NULL, "STS.4", TOKEN);
    assert_metadata_asked(3, 1);
}

static void plain_metadata_can_be_forbidden(void **state)
{
    (void)state;
    fixture.network_up = true;
    unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    setenv("ALIBABA_CLOUD_IMDSV1_DISABLED", "TRUE", 1);
    assert_profile_found("ecs-metadata", NULL, "STS.1", TOKEN);
    fixture.metadata = "plain";
    assert_none("ecs-metadata", NULL, "HTTP status 404");
    assert_metadata_asked(1, 0);
    fixture.metadata = "stubborn";
    assert_none("ecs-metadata", NULL, "HTTP status 403");
    assert_metadata_asked(2, 1);
}

static void the_metadata_service_can_be_switched_off(void **state)
{
    (void)state;
    fixture.network_up = true;
    setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "True", 1);
    assert_none("ecs-metadata", NULL, "ALIBABA_CLOUD_ECS_METADATA_DISABLED is true");
    assert_int_equal(fixture.asked, 0);
    setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "1", 1);
    assert_profile_found("ecs-metadata", NULL, "STS.1", TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_time_is_read_in_every_form_that_the_services_write),
            TEST(what_is_no_time_is_not_read_as_one),
            TEST(an_answer_without_token_or_expiration_is_an_error),
            TEST(plain_http_is_for_addresses_that_are_near),
            TEST(a_credentials_uri_with_a_password_is_refused_without_a_word_of_it),
            TEST(the_metadata_service_is_asked_with_a_token_and_without_one_if_need_be),
            TEST(plain_metadata_can_be_forbidden),
            TEST(the_metadata_service_can_be_switched_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
