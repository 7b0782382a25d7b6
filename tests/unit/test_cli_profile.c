/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials_fixture.h"

static const char cli_profiles[] =
        "{\"current\":\"work\",\"meta_path\":\"\",\"profiles\":["
        "{\"name\":\"default\",\"mode\":\"AK\",\"access_key_id\":\"id-default\","
        "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"\",\"region_id\":\"cn-shanghai\"},"
        "{\"name\":\"work\",\"mode\":\"AK\",\"access_key_id\":\"id-work\","
        "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"" TOKEN "\"},"
        "{\"name\":\"no-mode\"," KEYS "},"
        "{\"name\":\"empty-mode\",\"mode\":\"\"," KEYS "},"
        "{\"name\":\"temporary\",\"mode\":\"StsToken\",\"access_key_id\":\"STS.id\","
        "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"" TOKEN "\"},"
        "{\"name\":\"no-token\",\"mode\":\"StsToken\"," KEYS "},"
        "{\"name\":\"no-secret\",\"mode\":\"AK\",\"access_key_id\":\"id\"},"
        "{\"name\":\"no-id\",\"mode\":\"AK\",\"access_key_secret\":\"" SECRET "\"},"
        "{\"name\":\"number\",\"mode\":\"AK\",\"access_key_id\":1,\"access_key_secret\":\"" SECRET
        "\"},"
        "{\"name\":\"blank\",\"mode\":\"AK\",\"access_key_id\":\"id\",\"access_key_secret\":"
        "\"" SECRET " x\"},"
        "{\"name\":\"no-role\",\"mode\":\"RamRoleArn\"," KEYS "},"
        "{\"name\":\"no-source\",\"mode\":\"ChainableRamRoleArn\"," KEYS "},"
        "{\"name\":\"key-pair\",\"mode\":\"RsaKeyPair\"," KEYS "},"
        "{\"name\":\"bearer\",\"mode\":\"BearerToken\"," KEYS "},"
        "{\"name\":\"nobody\",\"mode\":\"Anonymous\"," KEYS "},"
        "{\"name\":\"unheard\",\"mode\":\"Unheard\"," KEYS "}]}";

static void a_cli_profile_holds_a_key_and_its_mode_says_of_which_kind(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_profile_found("cli-profile", "default", "id-default", NULL);
    /* A token that mode AK left behind does not belong to the key. */
    assert_profile_found("cli-profile", "work", "id-work", NULL);
    assert_profile_found("cli-profile", "temporary", "STS.id", TOKEN);
}

static void a_cli_profile_is_chosen_by_settings_then_environment_then_the_file(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_profile_found("cli-profile", NULL, "id-work", NULL);
    setenv("ALIBABA_CLOUD_PROFILE", "temporary", 1);
    assert_profile_found("cli-profile", NULL, "STS.id", TOKEN);
    assert_profile_found("cli-profile", "default", "id-default", NULL);
    unsetenv("ALIBABA_CLOUD_PROFILE");
    write_cli_profiles("{\"profiles\":[{\"name\":\"default\",\"mode\":\"AK\"," KEYS "}]}");
    assert_profile_found("cli-profile", NULL, "id", NULL);
}

static void a_cli_profile_that_is_wrong_says_how(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_none("cli-profile", "absent", "CLI profile absent (");
    assert_none("cli-profile", "absent", "/.aliyun/config.json): there is no such profile");
    assert_none("cli-profile", "WORK", "there is no such profile");
    assert_none("cli-profile", "no-mode", "it has no mode; run \"aliyun configure\"");
    assert_none("cli-profile", "empty-mode", "it has no mode");
    assert_none("cli-profile", "no-token", "mode StsToken needs sts_token");
    assert_none("cli-profile", "no-secret", "the AccessKey secret is missing");
    assert_none("cli-profile", "no-id", "the AccessKey id is missing");
    assert_none("cli-profile", "number", "the AccessKey id is missing");
    assert_none("cli-profile", "blank", "holds a blank");
    assert_none("cli-profile", "no-role", "the role's ARN is missing");
    assert_none("cli-profile", "no-source", "source_profile names no profile");
    assert_none("cli-profile", "unheard", "mode Unheard is not supported");
}

static void modes_without_an_access_key_say_that_they_cannot_call(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_none("cli-profile", "key-pair",
            "mode RsaKeyPair holds no AccessKey, so it cannot call QueryDeviceCert");
    assert_none("cli-profile", "bearer", "mode BearerToken holds no AccessKey");
    assert_none("cli-profile", "nobody", "mode Anonymous holds no AccessKey");
}

static void a_cli_file_that_cannot_be_read_says_why(void **state)
{
    (void)state;
    assert_none("cli-profile", NULL, "/.aliyun/config.json: No such file");
    write_cli_profiles("{\"current\":\"default\",\"profiles\":[{\"access_key_secret\":\"" SECRET);
    assert_none("cli-profile", NULL, "/.aliyun/config.json: it is not JSON");
    write_cli_profiles("");
    assert_none("cli-profile", NULL, "it is empty");
    write_cli_profiles("[]");
    assert_none("cli-profile", NULL, "it is not a JSON object");
    write_cli_profiles("{}");
    assert_none("cli-profile", NULL, "there is no such profile");
    write_cli_profiles("{\"profiles\":\"" SECRET "\"}");
    assert_none("cli-profile", NULL, "there is no such profile");
    write_cli_profiles("{\"profiles\":[null,1,\"" SECRET "\",[],{\"name\":1}]}");
    assert_none("cli-profile", NULL, "there is no such profile");
}

static void of_a_repeated_name_the_last_value_counts_as_in_the_sdks(void **state)
{
    (void)state;
    write_cli_profiles("{\"current\":\"a\",\"profiles\":[],\"current\":\"b\",\"current\":\"c\","
                       "\"profiles\":[{\"name\":\"a\",\"name\":\"c\",\"mode\":\"Unheard\","
                       "\"access_key_id\":\"id-old\",\"mode\":\"AK\"," KEYS "}]}");
    assert_profile_found("cli-profile", NULL, "id", NULL);
}

static void a_profile_is_read_whatever_the_encoding_of_others_is(void **state)
{
    (void)state;
    write_cli_profiles("{\"current\":\"a\",\"profiles\":[{\"name\":\"\xb2\xe2\xca\xd4\"},"
                       "{\"name\":\"a\",\"mode\":\"AK\"," KEYS "}]}");
    assert_profile_found("cli-profile", NULL, "id", NULL);
}

static void the_environment_names_another_cli_file_or_disables_it(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    write_file("other.json", "{\"profiles\":[{\"name\":\"default\",\"mode\":\"AK\"," KEYS "}]}");
    set_path("ALIBABA_CLOUD_CONFIG_FILE", "other.json");
    assert_profile_found("cli-profile", NULL, "id", NULL);
    for (const char *const *value = (const char *const[]){"false", "1", " true", "", NULL}; *value;
            value++) {
        setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", *value, 1);
        assert_profile_found("cli-profile", NULL, "id", NULL);
    }
    for (const char *const *value = (const char *const[]){"true", "True", "TRUE", NULL}; *value;
            value++) {
        setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", *value, 1);
        assert_none("cli-profile", NULL, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true");
    }
}

#define ROLE "\"mode\":\"RamRoleArn\"," KEYS ",\"ram_role_arn\":\"acs:ram::1:role/r\""

static void sts_is_asked_where_profile_and_environment_say(void **state)
{
    static const struct {
        const char *fields, *vpc, *region, *url;
    } cases[] = {
            {ROLE, NULL, NULL, "https://sts.aliyuncs.com/"},
            {ROLE, NULL, "cn-beijing", "https://sts.cn-beijing.aliyuncs.com/"},
            {ROLE, "true", "cn-beijing", "https://sts-vpc.cn-beijing.aliyuncs.com/"},
            {ROLE, "TRUE", "cn-beijing", "https://sts-vpc.cn-beijing.aliyuncs.com/"},
            {ROLE, "1", "cn-beijing", "https://sts.cn-beijing.aliyuncs.com/"},
            {ROLE, "true", NULL, "https://sts.aliyuncs.com/"},
            {ROLE ",\"sts_region\":\"cn-shanghai\"", NULL, "cn-beijing",
                    "https://sts.cn-shanghai.aliyuncs.com/"},
            {ROLE ",\"sts_region\":\"cn-shanghai\",\"enable_vpc\":true", NULL, NULL,
                    "https://sts-vpc.cn-shanghai.aliyuncs.com/"},
            {ROLE ",\"sts_region\":\"cn-shanghai\",\"enable_vpc\":false", "true", NULL,
                    "https://sts-vpc.cn-shanghai.aliyuncs.com/"},
            {ROLE ",\"enable_vpc\":true", NULL, "cn-beijing",
                    "https://sts-vpc.cn-beijing.aliyuncs.com/"},
            {ROLE ",\"sts_endpoint\":\"sts.example.com\",\"enable_vpc\":true", "true", "cn-beijing",
                    "https://sts.example.com/"},
            {ROLE ",\"sts_endpoint\":\" https://sts.example.com:8443/ \"", NULL, NULL,
                    "https://sts.example.com:8443/"},
            {ROLE ",\"sts_endpoint\":\"http://sts.example.com\"", NULL, NULL,
                    "https://sts.example.com/"},
            {ROLE ",\"sts_endpoint\":\"\"", NULL, NULL, "https://sts.aliyuncs.com/"},
    };

    (void)state;
    fixture.network_up = true;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        unsetenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED");
        unsetenv("ALIBABA_CLOUD_STS_REGION");
        if (cases[index].vpc)
            setenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", cases[index].vpc, 1);
        if (cases[index].region)
            setenv("ALIBABA_CLOUD_STS_REGION", cases[index].region, 1);
        write_cli_profile("p", cases[index].fields);
        credentials_free(find("cli-profile", NULL, NULL));
        assert_int_equal(fixture.asked, 1);
        assert_string_equal(fixture.exchanges[0].url, cases[index].url);
    }
}

static void an_sts_endpoint_or_region_that_is_none_is_an_error(void **state)
{
    (void)state;
    fixture.network_up = true;
    write_cli_profile("p", ROLE ",\"sts_endpoint\":\"user@sts.example.com\"");
    assert_none("cli-profile", NULL, "sts_endpoint is no host name");
    write_cli_profile("p", ROLE ",\"sts_endpoint\":\"sts.example.com:x\"");
    assert_none("cli-profile", NULL, "sts_endpoint is no host name");
    write_cli_profile("p", ROLE ",\"sts_endpoint\":\"sts.example.com/path\"");
    assert_none("cli-profile", NULL, "sts_endpoint is no host name");
    write_cli_profile("p", ROLE ",\"sts_region\":\"evil.example/\"");
    assert_none("cli-profile", NULL, "evil.example/ is no region");
    assert_int_equal(fixture.asked, 0);
}

static void the_settings_sts_endpoint_is_the_last_word(void **state)
{
    struct settings settings = settings_of("cli-profile", NULL);
    char endpoint[] = "https://sts.settings.example";

    (void)state;
    fixture.network_up = true;
    settings.sts_endpoint = endpoint;
    write_cli_profile("p", ROLE ",\"sts_endpoint\":\"sts.example.com\"");
    credentials_free(find_with(&settings, NULL));
    assert_string_equal(fixture.exchanges[0].url, "https://sts.settings.example/");
}

/* The form field of a request to STS. */
static void assert_sent(const char *field)
{
    assert_int_equal(fixture.asked, 1);
    if (!strstr(fixture.exchanges[0].body, field))
        fail_msg("%s is not in %s", field, fixture.exchanges[0].body);
}

static void what_a_role_lacks_comes_from_the_environment(void **state)
{
    (void)state;
    fixture.network_up = true;
    write_cli_profile("p", "\"mode\":\"RamRoleArn\"," KEYS);
    setenv("ALIBABA_CLOUD_ROLE_ARN", "environment-role", 1);
    setenv("ALIBABA_CLOUD_ROLE_SESSION_NAME", "environment-session", 1);
    credentials_free(find("cli-profile", NULL, NULL));
    assert_sent("RoleArn=environment-role");
    assert_sent("RoleSessionName=environment-session");
    assert_sent("DurationSeconds=3600");

    write_cli_profile("p", "\"mode\":\"RamRoleArn\"," KEYS ",\"ram_role_arn\":\"own-role\","
                           "\"ram_session_name\":\"own-session\",\"expired_seconds\":1200,"
                           "\"external_id\":\"partner\",\"policy\":\"limit\"");
    credentials_free(find("cli-profile", NULL, NULL));
    assert_sent("RoleArn=own-role");
    assert_sent("RoleSessionName=own-session");
    assert_sent("DurationSeconds=1200");
    assert_sent("ExternalId=partner");
    assert_sent("Policy=limit");
}

static void what_an_oidc_profile_lacks_comes_from_the_environment(void **state)
{
    (void)state;
    fixture.network_up = true;
    write_file("token", "the-token\n");
    write_cli_profile("p", "\"mode\":\"OIDC\"");
    assert_none("cli-profile", NULL, "role ARN, OIDC provider ARN and OIDC token file");
    setenv("ALIBABA_CLOUD_ROLE_ARN", "environment-role", 1);
    setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "environment-provider", 1);
    set_path("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "token");
    assert_profile_found("cli-profile", NULL, "STS.1", TOKEN);
    assert_sent("RoleArn=environment-role");
    assert_sent("OIDCProviderArn=environment-provider");
    assert_sent("OIDCToken=the-token");
    write_cli_profile("p", "\"mode\":\"OIDC\",\"oidc_provider_arn\":\"own-provider\"");
    assert_profile_found("cli-profile", NULL, "STS.2", TOKEN);
    assert_sent("OIDCProviderArn=own-provider");
}

static void what_a_machines_profile_lacks_comes_from_the_environment(void **state)
{
    (void)state;
    fixture.network_up = true;
    unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    setenv("ALIBABA_CLOUD_ECS_METADATA", "environment-role", 1);
    write_cli_profile("p", "\"mode\":\"EcsRamRole\"");
    assert_profile_found("cli-profile", NULL, "STS.1", TOKEN);
    assert_non_null(strstr(fixture.exchanges[1].url, "/environment-role"));
    write_cli_profile("p", "\"mode\":\"EcsRamRole\",\"ram_role_name\":\"own-role\"");
    assert_profile_found("cli-profile", NULL, "STS.2", TOKEN);
    assert_non_null(strstr(fixture.exchanges[1].url, "/own-role"));
    write_cli_profile("p", "\"mode\":\"CredentialsURI\"");
    assert_none("cli-profile", NULL, "credentials_uri is missing");
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/environment", 1);
    assert_profile_found("cli-profile", NULL, "STS.3", TOKEN);
}

static void a_credentials_uri_in_a_profile_can_be_forbidden(void **state)
{
    (void)state;
    fixture.network_up = true;
    setenv("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", "1", 1);
    write_cli_profile("p", "\"mode\":\"CredentialsURI\",\"credentials_uri\":\"http://[::1]/\"");
    assert_none("cli-profile", NULL, "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids");
    setenv("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", "True", 1);
    write_cli_profile("p", "\"mode\":\"CredentialsURI\",\"credentials_uri\":\"http://[::1]/\"");
    assert_none("cli-profile", NULL, "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids");
    setenv("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", "0", 1);
    assert_profile_found("cli-profile", NULL, "STS.1", TOKEN);
}

static void a_file_that_others_may_read_is_taken_with_a_warning(void **state)
{
    struct settings settings = settings_of("cli-profile", NULL);
    char path[128], log[128], line[1024] = "";
    FILE *stream;

    (void)state;
    write_cli_profile("a", "\"mode\":\"AK\"," KEYS);
    snprintf(path, sizeof(path), "%s/.aliyun/config.json", fixture.home);
    snprintf(log, sizeof(log), "%s/trace.log", fixture.home);
    assert_int_equal(0, chmod(path, 0640));
    settings.trace_file = log;
    settings.trace_level = TRACE_INFO;
    credentials_free(find_with(&settings, NULL));
    stream = fopen(log, "r");
    assert_non_null(stream);
    assert_non_null(fgets(line, sizeof(line), stream));
    fclose(stream);
    assert_non_null(strstr(line, "warning: others may read file="));
    assert_non_null(strstr(line, "config.json mode=640"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_cli_profile_holds_a_key_and_its_mode_says_of_which_kind),
            TEST(a_cli_profile_is_chosen_by_settings_then_environment_then_the_file),
            TEST(a_cli_profile_that_is_wrong_says_how),
            TEST(modes_without_an_access_key_say_that_they_cannot_call),
            TEST(a_cli_file_that_cannot_be_read_says_why),
            TEST(of_a_repeated_name_the_last_value_counts_as_in_the_sdks),
            TEST(a_profile_is_read_whatever_the_encoding_of_others_is),
            TEST(the_environment_names_another_cli_file_or_disables_it),
            TEST(sts_is_asked_where_profile_and_environment_say),
            TEST(an_sts_endpoint_or_region_that_is_none_is_an_error),
            TEST(the_settings_sts_endpoint_is_the_last_word),
            TEST(what_a_role_lacks_comes_from_the_environment),
            TEST(what_an_oidc_profile_lacks_comes_from_the_environment),
            TEST(what_a_machines_profile_lacks_comes_from_the_environment),
            TEST(a_credentials_uri_in_a_profile_can_be_forbidden),
            TEST(a_file_that_others_may_read_is_taken_with_a_warning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
