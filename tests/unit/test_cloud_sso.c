/* SPDX-License-Identifier: Apache-2.0 */
/* CLI profiles of mode CloudSSO. */
#include "unit.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "base/deadline.h"
#include "cloud/credentials/search.h"
#include "http_double.h"

#define TOKEN "access-T0ken-0123456789"
#define SECRET "S3cret"

static char home[] = "/tmp/test-cloud-sso-XXXXXX";
static char config[64];
static char asked[2048]; /* URL, headers and body of the last request; "": none */
static char answer_text[1024];
static long answer_status;

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    (void)client;
    assert_string_equal(request->method, "POST");
    assert_false(request->plain_http_allowed);
    snprintf(asked, sizeof(asked), "%s\n", request->url);
    for (const char *const *line = request->headers; *line; line++) {
        strcat(asked, *line);
        strcat(asked, "\n");
    }
    strncat(asked, request->body, request->body_size);
    if (!http_answer_with(answer, answer_text, error))
        return 0;
    answer->status = answer_status;
    return 1;
}

static void write_profile(const char *url, const char *account, int token_seconds, int key_seconds)
{
    FILE *stream = fopen(config, "w");

    assert_non_null(stream);
    fprintf(stream,
            "{\"current\":\"work\",\"profiles\":[{\"name\":\"work\",\"mode\":\"CloudSSO\","
            "\"cloud_sso_sign_in_url\":\"%s\",\"cloud_sso_account_id\":\"%s\","
            "\"cloud_sso_access_config\":\"ac-\\\"1\",\"access_token\":\"" TOKEN "\","
            "\"cloud_sso_access_token_expire\":%lld,\"access_key_id\":\"STS.cached\","
            "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"cached\","
            "\"sts_expiration\":%lld}]}",
            url, account, (long long)time(NULL) + token_seconds,
            (long long)time(NULL) + key_seconds);
    assert_int_equal(0, fclose(stream));
}

static struct credentials *find(struct aliyun_iot_error **error)
{
    static char file[] = "/etc/test.conf";
    struct settings settings = {.file = file, .timeout_ms = 1000, .connect_timeout_ms = 1000};
    const struct credentials_search search = {
            .settings = &settings, .deadline = monotonic_milliseconds() + 1000};

    return credentials_from_cli_profile(&search, error);
}

static void assert_found(const char *id)
{
    struct aliyun_iot_error *error = NULL;
    struct credentials *found = find(&error);

    if (!found)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(found->access_key_id, id);
    assert_non_null(found->security_token);
    assert_true(found->expiration_s > time(NULL));
    credentials_free(found);
}

static void assert_fails(const char *phrase)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(find(&error));
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), "T0ken"));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, phrase);
}

static const char sign_in_url[] = "https://signin.example.com:8443/company/login?x=1";

static void a_login_is_exchanged_at_the_host_of_the_sign_in_url(void **state)
{
    (void)state;
    write_profile(sign_in_url, "123", 60, 290);
    assert_found("STS.new");
    assert_string_equal(asked,
            "https://signin.example.com:8443/cloud-credentials\nAccept: application/json\n"
            "Content-Type: application/json\nAuthorization: Bearer " TOKEN
            "\n{\"AccountId\":\"123\",\"AccessConfigurationId\":\"ac-\\\"1\"}");
}

static void a_cached_access_key_is_used_without_a_request(void **state)
{
    (void)state;
    write_profile(sign_in_url, "123", 60, 400);
    assert_found("STS.cached");
    assert_string_equal(asked, "");
}

static void a_login_that_is_incomplete_or_expired_needs_another(void **state)
{
    static const char *const urls[] = {"http://signin.example.com/", "https://", "https:///x",
            "https://user@signin.example.com/", "signin.example.com"};

    (void)state;
    write_profile(sign_in_url, "123", 0, 400);
    assert_fails("log in again by \"aliyun configure --mode CloudSSO --profile work\": the access "
                 "token has expired");
    write_profile(sign_in_url, "", 60, 0);
    assert_fails("--profile work\": the profile is incomplete");
    for (size_t index = 0; index < sizeof(urls) / sizeof(urls[0]); index++) {
        write_profile(urls[index], "123", 60, 0);
        assert_fails("cloud_sso_sign_in_url");
    }
    assert_string_equal(asked, "");
}

static void what_the_service_refuses_is_shown_without_the_token(void **state)
{
    (void)state;
    write_profile(sign_in_url, "123", 60, 0);
    answer_status = 401;
    strcpy(answer_text,
            "{\"ErrorCode\":\"InvalidAccessToken\",\"ErrorMessage\":\"" TOKEN " is unknown\"}");
    assert_fails("--profile work\": HTTP status 401, InvalidAccessToken: *** is unknown");
    answer_status = 403;
    strcpy(answer_text, "{\"ErrorCode\":\"NoPermission\",\"ErrorMessage\":\"no access\"}");
    assert_fails("config.json): HTTP status 403, NoPermission: no access");
}

static void an_answer_without_an_access_key_is_an_error(void **state)
{
    static const char *const answers[] = {"{}", "{\"CloudCredential\":null}",
            "{\"CloudCredential\":{\"AccessKeyId\":\"STS.new\"}}", "[]", "nonsense"};

    (void)state;
    write_profile(sign_in_url, "123", 60, 0);
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        strcpy(answer_text, answers[index]);
        assert_fails("the answer ");
    }
}

static int set_up(void **state)
{
    (void)state;
    asked[0] = '\0';
    answer_status = 200;
    snprintf(answer_text, sizeof(answer_text),
            "{\"CloudCredential\":{\"AccessKeyId\":\"STS.new\",\"AccessKeySecret\":\"" SECRET
            "\",\"SecurityToken\":\"token\",\"Expiration\":\"%s\"},\"RequestId\":\"1\"}",
            answer_date_in(3000));
    return 0;
}

static int make_home(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(home));
    snprintf(config, sizeof(config), "%s/config.json", home);
    return setenv("ALIBABA_CLOUD_CONFIG_FILE", config, 1);
}

static int remove_home(void **state)
{
    (void)state;
    unlink(config);
    return rmdir(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(a_login_is_exchanged_at_the_host_of_the_sign_in_url, set_up),
            cmocka_unit_test_setup(a_cached_access_key_is_used_without_a_request, set_up),
            cmocka_unit_test_setup(a_login_that_is_incomplete_or_expired_needs_another, set_up),
            cmocka_unit_test_setup(what_the_service_refuses_is_shown_without_the_token, set_up),
            cmocka_unit_test_setup(an_answer_without_an_access_key_is_an_error, set_up),
    };

    unsetenv("ALIBABA_CLOUD_PROFILE");
    unsetenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED");
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
