/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials_fixture.h"

#define INI_KEY(id) "type = access_key\naccess_key_id = " id "\naccess_key_secret = " SECRET "\n"

static const char ini_profiles[] =
        "# of the SDKs\n"
        "[default]\n" INI_KEY("id-ini") "[other]\n"
                                        "enable = true\n"
                                        "type=access_key\n"
                                        "access_key_id=id-other\n"
                                        "access_key_secret=" SECRET "\n"
                                        "[no-type]\n"
                                        "access_key_id = id\n"
                                        "access_key_secret = " SECRET "\n"
                                        "[no-secret]\n"
                                        "type = access_key\n"
                                        "access_key_id = id\n"
                                        "[blank]\n"
                                        "type = access_key\n"
                                        "access_key_id = id\n"
                                        "access_key_secret = a b " SECRET "\n"
                                        "[key-pair]\n"
                                        "type = rsa_key_pair\n"
                                        "[unheard]\n"
                                        "type = unheard_of\n";

static void an_ini_profile_holds_a_key(void **state)
{
    (void)state;
    write_ini_profiles(ini_profiles);
    assert_profile_found("ini-profile", NULL, "id-ini", NULL);
    setenv("ALIBABA_CLOUD_PROFILE", "other", 1);
    assert_profile_found("ini-profile", NULL, "id-other", NULL);
    assert_profile_found("ini-profile", "default", "id-ini", NULL);
    write_file("elsewhere", "[other]\n" INI_KEY("id-elsewhere"));
    set_path("ALIBABA_CLOUD_CREDENTIALS_FILE", "elsewhere");
    assert_profile_found("ini-profile", NULL, "id-elsewhere", NULL);
}

static void the_file_may_have_the_name_that_python_and_java_give_it(void **state)
{
    (void)state;
    write_file(".alibabacloud/credentials.ini", "[default]\n" INI_KEY("id-python"));
    assert_profile_found("ini-profile", NULL, "id-python", NULL);
    write_ini_profiles(ini_profiles);
    assert_profile_found("ini-profile", NULL, "id-ini", NULL);
}

static void an_ini_profile_that_is_wrong_says_how(void **state)
{
    (void)state;
    assert_none("ini-profile", NULL, "/.alibabacloud/credentials: No such file");
    write_ini_profiles(ini_profiles);
    assert_none("ini-profile", "absent", "INI profile absent (");
    assert_none("ini-profile", "absent", "/.alibabacloud/credentials): there is no such section");
    assert_none("ini-profile", "no-type", "it has no type");
    assert_none("ini-profile", "no-secret", "the AccessKey secret is missing");
    assert_none("ini-profile", "blank", "holds a blank");
    assert_none("ini-profile", "key-pair", "type rsa_key_pair holds no AccessKey");
    assert_none("ini-profile", "unheard", "type unheard_of is not supported");
    write_ini_profiles("");
    assert_none("ini-profile", NULL, "there is no such section");
    write_ini_profiles(SECRET "\n");
    assert_none("ini-profile", NULL, "there is no such section");
}

/* As the documents of the SDKs show it. */
static void an_ini_profile_may_have_comments_where_the_documents_have_them(void **state)
{
    (void)state;
    write_ini_profiles("[default]                   # default credential\r\n"
                       "type = access_key           # kind of credential\r\n"
                       "access_key_id = id-1        ; id\r\n"
                       "# access_key_id = id-2\r\n"
                       "access_key_secret = " SECRET "\t# secret\r\n");
    assert_profile_found("ini-profile", NULL, "id-1", NULL);
}

static void sections_that_differ_in_case_are_two(void **state)
{
    (void)state;
    write_ini_profiles("[PROD]\n" INI_KEY("id-upper") "[prod]\n" INI_KEY("id-lower"));
    assert_profile_found("ini-profile", "prod", "id-lower", NULL);
    assert_profile_found("ini-profile", "PROD", "id-upper", NULL);
    assert_none("ini-profile", "Prod", "there is no such section");
    write_ini_profiles("[PROD]\n" INI_KEY("id-upper"));
    assert_none("ini-profile", "prod", "there is no such section");
}

/* What one of Go's, Node's and Python's readers takes. NULL: no profile. */
static void files_are_read_as_the_sdks_read_them(void **state)
{
    static const struct {
        const char *text, *id;
    } files[] = {
            {"[default]\ntype = \"access_key\"\naccess_key_id = 'id-a'\n"
             "access_key_secret = \"" SECRET "\" # quoted\n",
                    "id-a"},
            {"[default]\ntype = access_key\naccess_key_id = \"id#;a\" ; comment\n"
             "access_key_secret = " SECRET "\n",
                    "id#;a"},
            {"[default]\ntype = access_key\naccess_key_id = id#a\naccess_key_secret = " SECRET
             ";x\n",
                    "id"},
            {"[default]\ntype = access_key\naccess_key_id = \"id\naccess_key_secret = " SECRET "\n",
                    "\"id"},
            {"[default]\nnonsense\n= nothing\n" INI_KEY("id-b"), "id-b"},
            {"[default]\naccess_key_id = id-old\n" INI_KEY("id-new"), "id-new"},
            {"[default]\n" INI_KEY("id-old") "[other]\nx = y\n[default]\naccess_key_id = id-new\n",
                    "id-new"},
            {"[default]\ntype: access_key\naccess_key_id: id-c\naccess_key_secret: " SECRET "\n",
                    "id-c"},
            {"[default]\nTYPE = access_key\nAccess_Key_Id = id-d\naccess_key_secret = " SECRET "\n",
                    "id-d"},
            {"[default]\n" INI_KEY("id-e") "ACCESS_KEY_ID = id-other\n", "id-e"},
            {"\xef\xbb\xbf[default]\n" INI_KEY("id-f"), "id-f"},
            {"[ default ]\n  type = access_key\n\taccess_key_id = id-g\n"
             "  access_key_secret = " SECRET,
                    "id-g"},
            {"[default]\n" INI_KEY("id-h") "note = \xff\xfe\n", "id-h"},
            /* What stands behind a section's line that is broken belongs to no section. */
            {"[default]\n" INI_KEY("id-i") "[other\n" INI_KEY("id-other"), "id-i"},
            {"[default\n" INI_KEY("id-j"), NULL},
            {INI_KEY("id-k"), NULL},
            {"[DEFAULT]\n" INI_KEY("id-l"), NULL},
            {"[default]\ntype = ACCESS_KEY\naccess_key_id = id\naccess_key_secret = " SECRET "\n",
                    NULL},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++) {
        write_ini_profiles(files[index].text);
        if (files[index].id)
            assert_profile_found("ini-profile", NULL, files[index].id, NULL);
        else
            assert_none("ini-profile", NULL, "INI profile default");
    }
}

static void roles_and_machines_come_from_sts_and_metadata(void **state)
{
    (void)state;
    fixture.network_up = true;
    write_ini_profiles("[default]\ntype = ram_role_arn\naccess_key_id = id\n"
                       "access_key_secret = " SECRET "\nrole_arn = acs:ram::1:role/r\n"
                       "role_session_name = s\n");
    assert_profile_found("ini-profile", NULL, "STS.1", TOKEN);
    assert_string_equal(fixture.exchanges[0].url, "https://sts.aliyuncs.com/");
    assert_non_null(strstr(fixture.exchanges[0].body, "RoleArn=acs%3Aram%3A%3A1%3Arole%2Fr"));
    assert_non_null(strstr(fixture.exchanges[0].body, "RoleSessionName=s"));

    unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    write_ini_profiles("[default]\ntype = ecs_ram_role\nrole_name = mine\n");
    assert_profile_found("ini-profile", NULL, "STS.2", TOKEN);
    assert_non_null(strstr(fixture.exchanges[1].url, "/security-credentials/mine"));

    write_file("token", "the-token\n");
    setenv("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/environment", 1);
    set_path("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "token");
    write_ini_profiles("[default]\ntype = oidc_role_arn\noidc_provider_arn = provider\n");
    assert_profile_found("ini-profile", NULL, "STS.3", TOKEN);
    assert_non_null(strstr(fixture.exchanges[0].body, "OIDCProviderArn=provider"));
    assert_non_null(strstr(fixture.exchanges[0].body, "OIDCToken=the-token"));
    assert_non_null(strstr(fixture.exchanges[0].body, "role%2Fenvironment"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(an_ini_profile_holds_a_key),
            TEST(the_file_may_have_the_name_that_python_and_java_give_it),
            TEST(an_ini_profile_that_is_wrong_says_how),
            TEST(an_ini_profile_may_have_comments_where_the_documents_have_them),
            TEST(sections_that_differ_in_case_are_two),
            TEST(files_are_read_as_the_sdks_read_them),
            TEST(roles_and_machines_come_from_sts_and_metadata),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
