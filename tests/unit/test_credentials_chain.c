/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials_fixture.h"

static void the_environment_holds_a_key(void **state)
{
    (void)state;
    set_environment_keys("id-env");
    assert_found("id-env", NULL);
    setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "", 1);
    assert_found("id-env", NULL);
    setenv("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN, 1);
    assert_found("id-env", TOKEN);
}

static void half_a_key_in_the_environment_is_named(void **state)
{
    (void)state;
    assert_none("environment", NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "", 1);
    assert_none("environment", NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    assert_none("environment", NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set");
    unsetenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    assert_none("environment", NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
    unsetenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    setenv("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN, 1);
    assert_none("environment", NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
}

static void a_key_that_would_break_a_header_is_refused(void **state)
{
    static const char *const odd[] = {SECRET " ", SECRET "\n", "\t" SECRET,
            SECRET "\r\nX-Forged: 1", SECRET "\x7f", SECRET "\xc3\xa9"};
    static const char *const variables[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"};

    (void)state;
    for (size_t variable = 0; variable < sizeof(variables) / sizeof(char *); variable++) {
        set_environment_keys("id-env");
        setenv("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN, 1);
        for (size_t index = 0; index < sizeof(odd) / sizeof(char *); index++) {
            setenv(variables[variable], odd[index], 1);
            assert_none("environment", NULL, "holds a blank or another odd character");
        }
    }
}

#define INI_KEY(id) "type = access_key\naccess_key_id = " id "\naccess_key_secret = " SECRET "\n"

static const char cli_file[] = "{\"current\":\"work\",\"profiles\":["
                               "{\"name\":\"work\",\"mode\":\"AK\",\"access_key_id\":\"id-cli\","
                               "\"access_key_secret\":\"" SECRET "\"},"
                               "{\"name\":\"broken\",\"mode\":\"Unheard\"}]}";
static const char ini_file[] = "[default]\n" INI_KEY("id-ini") "[broken]\n" INI_KEY(
        "id-ini-broken") "[only-ini]\n" INI_KEY("id-only-ini") "[odd]\ntype = odd\n";

static void write_both_files(void)
{
    write_cli_profiles(cli_file);
    write_ini_profiles(ini_file);
}

static void the_chain_takes_environment_then_cli_profile_then_ini_profile(void **state)
{
    (void)state;
    write_ini_profiles(ini_file);
    assert_found("id-ini", NULL);
    write_cli_profiles(cli_file);
    assert_found("id-cli", NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    assert_found("id-cli", NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    assert_found("id-env", NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id env", 1);
    assert_found("id-cli", NULL);
    setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true", 1);
    assert_found("id-ini", NULL);
}

static void the_network_sources_stand_where_the_sdks_have_them(void **state)
{
    (void)state;
    fixture.network_up = true;
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    assert_found("STS.1", TOKEN);
    assert_string_equal(fixture.exchanges[0].url, "http://127.0.0.1/");
    unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    assert_found("STS.2", TOKEN);
    assert_non_null(strstr(fixture.exchanges[0].url, "/latest/api/token"));
    write_both_files();
    assert_found("id-cli", NULL);
    write_file("token", "t");
    set_path("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "token");
    setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "provider", 1);
    setenv("ALIBABA_CLOUD_ROLE_ARN", "role", 1);
    assert_found("STS.3", TOKEN);
    assert_non_null(strstr(fixture.exchanges[0].body, "Action=AssumeRoleWithOIDC"));
    set_environment_keys("id-env");
    assert_found("id-env", NULL);
}

/* ALIBABA_CLOUD_PROFILE; what has credentials too; what is found; or what the error says. */
static void a_profile_chosen_by_name_is_never_replaced_by_another_source(void **state)
{
    static const struct {
        const char *profile, *id, *phrase;
    } cases[] = {
            {"work", "id-cli", NULL},
            {"only-ini", "id-only-ini", NULL},
            {"broken", NULL, "mode Unheard is not supported"},
            {"odd", NULL, "type odd is not supported"},
            {"absent", NULL, "there is no such section"},
    };

    (void)state;
    fixture.network_up = true;
    write_both_files();
    unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        setenv("ALIBABA_CLOUD_PROFILE", cases[index].profile, 1);
        if (cases[index].id) {
            assert_found(cases[index].id, NULL);
            assert_profile_found(NULL, cases[index].profile, cases[index].id, NULL);
        } else {
            char chosen[64];

            snprintf(chosen, sizeof(chosen), "profile %s is chosen by name and cannot be used",
                    cases[index].profile);
            assert_none(NULL, NULL, cases[index].phrase);
            assert_none(NULL, NULL, chosen);
            assert_none(NULL, cases[index].profile, chosen);
        }
    }
    assert_int_equal(fixture.asked, 0);
}

static void a_chosen_profile_is_not_looked_for_behind_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    write_both_files();
    write_cli_profiles("{");
    assert_none(NULL, "only-ini", "it is not JSON");
    setenv("ALIBABA_CLOUD_PROFILE", "only-ini", 1);
    assert_none(NULL, NULL, "it is not JSON");
    setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true", 1);
    assert_found("id-only-ini", NULL);
}

static void a_chosen_profile_whose_service_is_down_is_not_replaced(void **state)
{
    (void)state;
    write_ini_profiles(ini_file);
    write_cli_profile("default", "\"mode\":\"RamRoleArn\"," KEYS ",\"ram_role_arn\":\"r\"");
    assert_none(NULL, "default", "no route");
    /* One that is merely the current one is. */
    assert_found("id-ini", NULL);
}

static void a_profile_chosen_by_name_comes_before_everything(void **state)
{
    (void)state;
    write_both_files();
    set_environment_keys("id-env");
    setenv("ALIBABA_CLOUD_PROFILE", "only-ini", 1);
    assert_found("id-only-ini", NULL);
    setenv("ALIBABA_CLOUD_PROFILE", "broken", 1);
    assert_none(NULL, NULL, "mode Unheard is not supported");
    /* The settings have the last word on the profile, and on the source. */
    assert_profile_found(NULL, "work", "id-cli", NULL);
    assert_none(NULL, "absent", "profile absent is chosen by name");
    assert_profile_found("environment", "broken", "id-env", NULL);
}

static char *read_trace(const struct settings *settings)
{
    static char text[4096];
    FILE *stream = fopen(settings->trace_file, "r");

    assert_non_null(stream);
    text[fread(text, 1, sizeof(text) - 1, stream)] = '\0';
    fclose(stream);
    assert_int_equal(0, remove(settings->trace_file));
    return text;
}

static void what_is_passed_over_is_traced(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    char log[128];

    (void)state;
    snprintf(log, sizeof(log), "%s/trace.log", fixture.home);
    settings.trace_file = log;
    settings.trace_level = TRACE_ERROR;
    write_ini_profiles(ini_file);
    write_cli_profile("now", "\"mode\":\"OAuthUnknown\"");
    credentials_free(find_with(&settings, NULL));
    assert_non_null(
            strstr(read_trace(&settings), "skipped source=cli-profile error=CLI profile now"));

    write_cli_profiles("{\"current\":\"gone\",\"profiles\":[]}");
    credentials_free(find_with(&settings, NULL));
    assert_non_null(strstr(read_trace(&settings), "CLI profile gone"));
}

static void a_pinned_source_is_the_only_one(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    set_environment_keys("id-env");
    write_ini_profiles(ini_file);
    assert_profile_found("ini-profile", NULL, "id-ini", NULL);
    assert_profile_found("environment", NULL, "id-env", NULL);

    assert_null(find("cli-profile", NULL, &error));
    assert_null(strstr(aliyun_iot_error_message(error), "environment: "));
    assert_null(strstr(aliyun_iot_error_message(error), ".alibabacloud"));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "(tried ");
}

static void an_unknown_source_is_named_with_the_known_ones(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    set_environment_keys("id-env");
    assert_null(find("wallet", NULL, &error));
    assert_non_null(strstr(aliyun_iot_error_message(error), "environment, "));
    assert_non_null(strstr(aliyun_iot_error_message(error), "ini-profile"));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "/etc/test.conf: source = wallet is unknown; the sources are ");
}

static void the_error_lists_what_was_tried_and_what_to_do(void **state)
{
    (void)state;
    assert_none(NULL, NULL, "no AccessKey: set ALIBABA_CLOUD_ACCESS_KEY_ID and");
    assert_none(NULL, NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
    assert_none(NULL, NULL, "/.aliyun/config.json: No such file");
    assert_none(NULL, NULL, "/.alibabacloud/credentials: No such file");
}

static void the_error_is_of_the_sources_that_are_set_up_if_there_are_any(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    write_cli_profiles("{\"profiles\":[{\"access_key_secret\":\"" SECRET "\"},}");
    write_ini_profiles("[default]\naccess_key_secret = " SECRET "\n");
    assert_null(find(NULL, NULL, &error));
    assert_null(strstr(aliyun_iot_error_message(error), "set ALIBABA_CLOUD"));
    assert_null(strstr(aliyun_iot_error_message(error), "is not set"));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
            "no AccessKey: a source of credentials is set up and cannot be used: /tmp/");
    assert_none(NULL, NULL, "/.aliyun/config.json: it is not JSON; ");
    assert_none(NULL, NULL, "INI profile default (");
}

/* A problem of that many words of nine letters and a blank. */
static void write_long_problem(size_t words)
{
    char type[1024] = "", text[2048];

    for (size_t word = 0; word < words; word++)
        strcat(type, "problem-x ");
    snprintf(text, sizeof(text), "http://127.0.0.1/%s", type);
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", text, 1);
}

static void a_long_problem_is_shown_whole_if_there_is_room(void **state)
{
    (void)state;
    /* The network names the URL, and says that there is no route. */
    write_long_problem(20);
    assert_none(NULL, NULL, "problem-x problem-x : no route");
    assert_none("credentials-uri", NULL, "problem-x problem-x : no route");
}

static void a_problem_that_is_too_long_is_cut_between_words(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    write_long_problem(80);
    assert_null(find(NULL, NULL, &error));
    assert_null(strstr(aliyun_iot_error_message(error), "no route"));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, " problem-x...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(the_environment_holds_a_key),
            TEST(half_a_key_in_the_environment_is_named),
            TEST(a_key_that_would_break_a_header_is_refused),
            TEST(the_chain_takes_environment_then_cli_profile_then_ini_profile),
            TEST(the_network_sources_stand_where_the_sdks_have_them),
            TEST(a_profile_chosen_by_name_is_never_replaced_by_another_source),
            TEST(a_chosen_profile_is_not_looked_for_behind_a_file_that_cannot_be_read),
            TEST(a_chosen_profile_whose_service_is_down_is_not_replaced),
            TEST(a_profile_chosen_by_name_comes_before_everything),
            TEST(what_is_passed_over_is_traced),
            TEST(a_pinned_source_is_the_only_one),
            TEST(an_unknown_source_is_named_with_the_known_ones),
            TEST(the_error_lists_what_was_tried_and_what_to_do),
            TEST(the_error_is_of_the_sources_that_are_set_up_if_there_are_any),
            TEST(a_long_problem_is_shown_whole_if_there_is_room),
            TEST(a_problem_that_is_too_long_is_cut_between_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
