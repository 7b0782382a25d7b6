/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cloud/credentials.h"
#include "deadline.h"
#include "http_double.h"

/* Every secret of these tests is one of these, and must be in no message. */
#define SECRET "S3cret"
#define TOKEN "T0ken"

extern char **environ;

/* The home that each test has to itself. */
static char home[] = "/tmp/test-credentials-XXXXXX";

static struct settings settings_of(const char *source, const char *profile)
{
    static char file[] = "/etc/test.conf", nowhere[] = "http://127.0.0.1:1", region[] = "r";
    static char source_copy[64], profile_copy[64];

    snprintf(source_copy, sizeof(source_copy), "%s", source ? source : "");
    snprintf(profile_copy, sizeof(profile_copy), "%s", profile ? profile : "");
    return (struct settings){.file = file,
            .region = region,
            .metadata_endpoint = nowhere,
            .timeout = 1000,
            .connect_timeout = 1000,
            .credentials_source = source ? source_copy : NULL,
            .credentials_profile = profile ? profile_copy : NULL};
}

/* Writes home/name, and makes the folders on the way. */
static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *stream;

    snprintf(path, sizeof(path), "%s/%s", home, name);
    for (char *slash = path + strlen(home) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(0, fclose(stream));
}

static void write_cli_profiles(const char *text)
{
    write_file(".aliyun/config.json", text);
}

static void write_ini_profiles(const char *text)
{
    write_file(".alibabacloud/credentials", text);
}

static void set_path(const char *variable, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", home, name);
    assert_int_equal(0, setenv(variable, path, 1));
}

static struct credentials *get(struct credentials_store *store, struct aliyun_iot_error **error)
{
    return credentials_get(store, monotonic_milliseconds() + 1000, error);
}

/* What a new store finds with these settings. */
static struct credentials *find(
        const char *source, const char *profile, struct aliyun_iot_error **error)
{
    struct settings settings = settings_of(source, profile);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *found = get(store, error);

    assert_non_null(store);
    credentials_store_free(store);
    return found;
}

static void assert_profile_found(
        const char *source, const char *profile, const char *id, const char *token)
{
    struct aliyun_iot_error *error = NULL;
    struct credentials *found = find(source, profile, &error);

    if (!found)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_null(error);
    assert_string_equal(found->access_key_id, id);
    assert_string_equal(found->access_key_secret, SECRET);
    if (token)
        assert_string_equal(found->security_token, token);
    else
        assert_null(found->security_token);
    assert_int_equal(found->expiration, 0);
    assert_null(strstr(found->source, SECRET));
    credentials_free(found);
}

static void assert_found(const char *id, const char *token)
{
    assert_profile_found(NULL, NULL, id, token);
}

/* Nothing is found, and the message says phrase, and says no secret. */
static void assert_none(const char *source, const char *profile, const char *phrase)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(find(source, profile, &error));
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), SECRET));
    assert_null(strstr(aliyun_iot_error_message(error), TOKEN));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, phrase);
    assert_null(find(source, profile, NULL));
}

static void the_environment_holds_a_key(void **state)
{
    (void)state;
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
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
        setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
        setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
        setenv("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN, 1);
        for (size_t index = 0; index < sizeof(odd) / sizeof(char *); index++) {
            setenv(variables[variable], odd[index], 1);
            assert_none("environment", NULL, "holds a blank or another odd character");
        }
    }
}

static const char cli_profiles[] =
        "{\"current\":\"work\",\"meta_path\":\"\",\"profiles\":["
        "{\"name\":\"default\",\"mode\":\"AK\",\"access_key_id\":\"id-default\","
        "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"\",\"region_id\":\"cn-shanghai\"},"
        "{\"name\":\"work\",\"mode\":\"AK\",\"access_key_id\":\"id-work\","
        "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"" TOKEN "\"},"
        "{\"name\":\"no-mode\",\"access_key_id\":\"id-no-mode\",\"access_key_secret\":\"" SECRET
        "\"},"
        "{\"name\":\"temporary\",\"mode\":\"StsToken\",\"access_key_id\":\"STS.id\","
        "\"access_key_secret\":\"" SECRET "\",\"sts_token\":\"" TOKEN "\"},"
        "{\"name\":\"no-token\",\"mode\":\"StsToken\",\"access_key_id\":\"STS.id\","
        "\"access_key_secret\":\"" SECRET "\"},"
        "{\"name\":\"no-secret\",\"mode\":\"AK\",\"access_key_id\":\"id\"},"
        "{\"name\":\"no-id\",\"mode\":\"AK\",\"access_key_secret\":\"" SECRET "\"},"
        "{\"name\":\"number\",\"mode\":\"AK\",\"access_key_id\":1,\"access_key_secret\":\"" SECRET
        "\"},"
        "{\"name\":\"blank\",\"mode\":\"AK\",\"access_key_id\":\"id\",\"access_key_secret\":"
        "\"" SECRET " x\"},"
        "{\"name\":\"unheard\",\"mode\":\"Unheard\"}]}";

static void a_cli_profile_holds_a_key_and_its_mode_says_of_which_kind(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_profile_found("cli-profile", "default", "id-default", NULL);
    /* A token that mode AK left behind does not belong to the key. */
    assert_profile_found("cli-profile", "work", "id-work", NULL);
    assert_profile_found("cli-profile", "no-mode", "id-no-mode", NULL);
    assert_profile_found("cli-profile", "temporary", "STS.id", TOKEN);
}

static void a_cli_profile_is_chosen_by_settings_then_environment_then_the_file(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_profile_found("cli-profile", NULL, "id-work", NULL);
    setenv("ALIBABA_CLOUD_PROFILE", "temporary", 1);
    assert_profile_found("cli-profile", NULL, "STS.id", TOKEN);
    assert_profile_found("cli-profile", "no-mode", "id-no-mode", NULL);
    unsetenv("ALIBABA_CLOUD_PROFILE");
    write_cli_profiles("{\"profiles\":[{\"name\":\"default\",\"access_key_id\":\"id-alone\","
                       "\"access_key_secret\":\"" SECRET "\"}]}");
    assert_profile_found("cli-profile", NULL, "id-alone", NULL);
}

static void a_cli_profile_that_is_wrong_says_how(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    assert_none("cli-profile", "absent", "CLI profile absent (");
    assert_none("cli-profile", "absent", "/.aliyun/config.json): there is no such profile");
    assert_none("cli-profile", "WORK", "there is no such profile");
    assert_none("cli-profile", "no-token", "mode StsToken needs sts_token");
    assert_none("cli-profile", "no-secret", "the AccessKey secret is missing");
    assert_none("cli-profile", "no-id", "the AccessKey id is missing");
    assert_none("cli-profile", "number", "the AccessKey id is missing");
    assert_none("cli-profile", "blank", "holds a blank");
    assert_none("cli-profile", "unheard", "mode Unheard is not supported");
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
    write_cli_profiles("{\"current\":\"a\",\"current\":\"b\"}");
    assert_none("cli-profile", NULL, "a name is repeated");
    write_cli_profiles("{}");
    assert_none("cli-profile", NULL, "there is no such profile");
    write_cli_profiles("{\"profiles\":\"" SECRET "\"}");
    assert_none("cli-profile", NULL, "there is no such profile");
    write_cli_profiles("{\"profiles\":[null,1,\"" SECRET "\",[],{\"name\":1}]}");
    assert_none("cli-profile", NULL, "there is no such profile");
}

static void the_environment_names_another_cli_file_or_disables_it(void **state)
{
    (void)state;
    write_cli_profiles(cli_profiles);
    write_file("other.json", "{\"profiles\":[{\"name\":\"default\",\"access_key_id\":\"id-other\","
                             "\"access_key_secret\":\"" SECRET "\"}]}");
    set_path("ALIBABA_CLOUD_CONFIG_FILE", "other.json");
    assert_profile_found("cli-profile", NULL, "id-other", NULL);
    setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "false", 1);
    assert_profile_found("cli-profile", NULL, "id-other", NULL);
    setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "True", 1);
    assert_none("cli-profile", NULL, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true");
}

static const char ini_profiles[] = "# of the SDKs\n"
                                   "[default]\n"
                                   "type = access_key\n"
                                   "access_key_id = id-ini\n"
                                   "access_key_secret = " SECRET "\n"
                                   "[other]\n"
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
    write_file("elsewhere", "[other]\ntype = access_key\naccess_key_id = id-elsewhere\n"
                            "access_key_secret = " SECRET "\n");
    set_path("ALIBABA_CLOUD_CREDENTIALS_FILE", "elsewhere");
    assert_profile_found("ini-profile", NULL, "id-elsewhere", NULL);
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
    assert_none("ini-profile", "unheard", "type unheard_of is not supported");
    write_ini_profiles("");
    assert_none("ini-profile", NULL, "the file is empty");
    write_ini_profiles("[default\naccess_key_secret = " SECRET "\n");
    assert_none("ini-profile", NULL, "cannot be parsed");
    write_ini_profiles(SECRET "\n");
    assert_none("ini-profile", NULL, "cannot be parsed");
    write_ini_profiles("[default]\ntype = \xff\xfe\n");
    assert_none("ini-profile", NULL, "not UTF-8");
}

/* As the documents of the SDKs show it. */
static void an_ini_profile_may_have_comments_where_the_documents_have_them(void **state)
{
    (void)state;
    write_ini_profiles("[default]                   # default credential\r\n"
                       "type = access_key           # kind of credential\r\n"
                       "access_key_id = id#1        ; id\r\n"
                       "# access_key_id = id-2\r\n"
                       "access_key_secret = " SECRET "\t# secret\r\n");
    assert_profile_found("ini-profile", NULL, "id#1", NULL);
}

static void a_file_that_others_may_read_is_taken_with_a_warning(void **state)
{
    struct settings settings = settings_of("cli-profile", NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    char path[128], log[128], line[1024] = "";
    FILE *stream;

    (void)state;
    write_cli_profiles("{\"current\":\"a\",\"profiles\":[{\"name\":\"a\",\"mode\":\"AK\","
                       "\"access_key_id\":\"id\",\"access_key_secret\":\"" SECRET "\"}]}");
    snprintf(path, sizeof(path), "%s/.aliyun/config.json", home);
    snprintf(log, sizeof(log), "%s/trace.log", home);
    assert_int_equal(0, chmod(path, 0640));
    settings.trace_file = log;
    settings.trace_level = TRACE_INFO;
    credentials_free(get(store, NULL));
    credentials_store_free(store);
    stream = fopen(log, "r");
    assert_non_null(stream);
    assert_non_null(fgets(line, sizeof(line), stream));
    fclose(stream);
    assert_non_null(strstr(line, "warning: others may read file="));
    assert_non_null(strstr(line, "config.json mode=640"));
}

static void the_chain_takes_environment_then_cli_profile_then_ini_profile(void **state)
{
    (void)state;
    write_ini_profiles(ini_profiles);
    assert_found("id-ini", NULL);
    write_cli_profiles(cli_profiles);
    assert_found("id-work", NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    assert_found("id-work", NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    assert_found("id-env", NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id env", 1);
    assert_found("id-work", NULL);
    setenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true", 1);
    assert_found("id-ini", NULL);
}

static void a_pinned_source_is_the_only_one(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    write_ini_profiles(ini_profiles);
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
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
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
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    write_cli_profiles("{\"profiles\":[{\"access_key_secret\":\"" SECRET "\"},}");
    write_ini_profiles("[default]\naccess_key_secret = " SECRET "\n");
    assert_none(NULL, NULL, "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set; ");
    assert_none(NULL, NULL, "/.aliyun/config.json: it is not JSON; ");
    assert_none(NULL, NULL, "INI profile default (");
}

static void credentials_are_kept_until_they_are_rejected(void **state)
{
    struct settings settings = settings_of("environment", NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *first, *second;
    struct aliyun_iot_error *error = NULL;

    (void)state;
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-1", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    first = get(store, NULL);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-2", 1);
    second = get(store, NULL);
    assert_ptr_equal(first, second);
    credentials_free(second);

    credentials_reject(store, first);
    second = get(store, NULL);
    assert_string_equal(second->access_key_id, "id-2");
    assert_string_equal(first->access_key_id, "id-1");

    /* A late rejection of those before is not one of these. */
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-3", 1);
    credentials_reject(store, first);
    credentials_free(first);
    first = get(store, NULL);
    assert_ptr_equal(first, second);
    credentials_free(first);

    unsetenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
    credentials_reject(store, second);
    assert_null(get(store, &error));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "environment: ");
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-4", 1);
    first = get(store, NULL);
    assert_string_equal(first->access_key_id, "id-4");

    /* References outlive the store. */
    credentials_store_free(store);
    assert_string_equal(first->access_key_secret, SECRET);
    credentials_free(first);
    credentials_free(second);
    credentials_free(NULL);
    credentials_store_free(NULL);
}

/* The wall clock, and the network, whose server gives an AccessKey of an hour each time. */
static time_t clock_ahead;
static bool network_up;
static int asked;              /* exchanges since the last look */
static int issued;             /* AccessKeys: STS.1, STS.2, ... */
static int64_t time_given[16]; /* to each of the exchanges, in milliseconds */

time_t time(time_t *place)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (place)
        *place = now.tv_sec + clock_ahead;
    return now.tv_sec + clock_ahead;
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    time_t expiration = time(NULL) + 3600;
    char date[32], text[256];

    (void)client;
    assert_between(asked, 0, 15);
    time_given[asked++] = deadline_left(request->deadline);
    if (!network_up)
        return error_set(error, ALIYUN_IOT_REASON_UNREACHABLE, "%s: no route", request->url);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&expiration));
    snprintf(text, sizeof(text),
            "{\"Code\":\"Success\",\"AccessKeyId\":\"STS.%d\",\"AccessKeySecret\":\"" SECRET
            "\",\"SecurityToken\":\"" TOKEN "\",\"Expiration\":\"%s\"}",
            ++issued, date);
    return http_answer_with(answer, text, error);
}

/* The store gives that AccessKey, and asks the network so often for it. */
static void assert_gets(struct credentials_store *store, const char *id, int exchanges)
{
    struct aliyun_iot_error *error = NULL;
    struct credentials *found =
            credentials_get(store, monotonic_milliseconds() + 10 * 1000, &error);

    if (!found)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(found->access_key_id, id);
    credentials_free(found);
    assert_int_equal(asked, exchanges);
    asked = 0;
}

/* A store whose source is a credentials URI; it has asked for the first credentials. */
static struct credentials_store *store_of_uri(const struct settings *settings)
{
    struct credentials_store *store = credentials_store_new(settings, NULL);

    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    network_up = true;
    assert_gets(store, "STS.1", 1);
    assert_gets(store, "STS.1", 0);
    return store;
}

static void credentials_are_renewed_minutes_before_they_expire(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);

    (void)state;
    clock_ahead = 3600 - 310;
    assert_gets(store, "STS.1", 0);
    clock_ahead = 3600 - 290;
    assert_gets(store, "STS.2", 1);
    credentials_store_free(store);
}

static void a_renewal_that_fails_leaves_the_call_its_time_and_is_not_tried_by_each(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    network_up = false;
    clock_ahead = 3600 - 290;
    assert_gets(store, "STS.1", 1);
    assert_between(time_given[0], 1, 3000);
    assert_gets(store, "STS.1", 0);
    clock_ahead += 31;
    assert_gets(store, "STS.1", 1);
    clock_ahead += 31;
    network_up = true;
    assert_gets(store, "STS.2", 1);

    network_up = false;
    clock_ahead += 3600;
    assert_null(get(store, &error));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "no route");
    credentials_store_free(store);
}

static void a_bad_moment_does_not_lead_to_another_account(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);

    (void)state;
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-other", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    network_up = false;
    clock_ahead = 3600 - 290;
    assert_gets(store, "STS.1", 1);
    /* With nothing left to go on with, it is better than none. */
    clock_ahead = 3600;
    assert_gets(store, "id-other", 1);
    credentials_store_free(store);
}

static void a_source_that_does_not_answer_leaves_time_to_those_after_it(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);

    (void)state;
    write_cli_profiles("{\"profiles\":[{\"name\":\"default\",\"mode\":\"CredentialsURI\","
                       "\"credentials_uri\":\"http://127.0.0.1/\"}]}");
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    assert_null(credentials_get(store, monotonic_milliseconds() + 10 * 1000, NULL));
    assert_int_equal(asked, 2);
    assert_between(time_given[0], 7000, 7500);
    assert_between(time_given[1], 9000, 10000);
    credentials_store_free(store);
}

static void a_credentials_uri_with_a_password_is_refused_without_a_word_of_it(void **state)
{
    (void)state;
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "https://user:" SECRET "@host.example/", 1);
    assert_none("credentials-uri", NULL, "it must not hold a user name or password");
}

static void *get_and_reject(void *store)
{
    for (int time = 0; time < 100; time++) {
        struct credentials *found = get(store, NULL);

        assert_non_null(found);
        assert_string_equal(found->access_key_id, "id-env");
        if (time % 3 == 0)
            credentials_reject(store, found);
        credentials_free(found);
    }
    return NULL;
}

static void many_threads_share_a_store(void **state)
{
    struct settings settings = settings_of("environment", NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    pthread_t threads[8];

    (void)state;
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-env", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
    for (size_t index = 0; index < sizeof(threads) / sizeof(threads[0]); index++)
        assert_int_equal(0, pthread_create(&threads[index], NULL, get_and_reject, store));
    for (size_t index = 0; index < sizeof(threads) / sizeof(threads[0]); index++)
        pthread_join(threads[index], NULL);
    credentials_store_free(store);
}

static void unset_all(const char *prefix)
{
    for (char **variable = environ; *variable;) {
        char name[256];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(*variable, "="), *variable);
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            unsetenv(name); /* what follows has moved here */
        else
            variable++;
    }
}

static int make_home(void **state)
{
    (void)state;
    unset_all("ALIBABA_CLOUD_");
    unset_all("ALIYUN_IOT_");
    clock_ahead = asked = issued = 0;
    network_up = false;
    setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true", 1);
    strcpy(home, "/tmp/test-credentials-XXXXXX");
    return mkdtemp(home) ? setenv("HOME", home, 1) : -1;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static int remove_home(void **state)
{
    (void)state;
    return nftw(home, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(the_environment_holds_a_key),
            TEST(half_a_key_in_the_environment_is_named),
            TEST(a_key_that_would_break_a_header_is_refused),
            TEST(a_cli_profile_holds_a_key_and_its_mode_says_of_which_kind),
            TEST(a_cli_profile_is_chosen_by_settings_then_environment_then_the_file),
            TEST(a_cli_profile_that_is_wrong_says_how),
            TEST(a_cli_file_that_cannot_be_read_says_why),
            TEST(the_environment_names_another_cli_file_or_disables_it),
            TEST(an_ini_profile_holds_a_key),
            TEST(an_ini_profile_that_is_wrong_says_how),
            TEST(an_ini_profile_may_have_comments_where_the_documents_have_them),
            TEST(a_file_that_others_may_read_is_taken_with_a_warning),
            TEST(the_chain_takes_environment_then_cli_profile_then_ini_profile),
            TEST(a_pinned_source_is_the_only_one),
            TEST(an_unknown_source_is_named_with_the_known_ones),
            TEST(the_error_lists_what_was_tried_and_what_to_do),
            TEST(credentials_are_kept_until_they_are_rejected),
            TEST(credentials_are_renewed_minutes_before_they_expire),
            TEST(a_renewal_that_fails_leaves_the_call_its_time_and_is_not_tried_by_each),
            TEST(a_bad_moment_does_not_lead_to_another_account),
            TEST(a_source_that_does_not_answer_leaves_time_to_those_after_it),
            TEST(a_credentials_uri_with_a_password_is_refused_without_a_word_of_it),
            TEST(many_threads_share_a_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
