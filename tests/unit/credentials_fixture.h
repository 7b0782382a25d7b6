/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of credentials share: a home of each test's own, a clock that can be set ahead,
 * and a network that records what it is asked and answers like the credential services.
 */
#ifndef CREDENTIALS_FIXTURE_H
#define CREDENTIALS_FIXTURE_H

#include "unit.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "base/deadline.h"
#include "cloud/credentials/store.h"
#include "folder.h"
#include "http_double.h"

/* Every secret of these tests is one of these, and must be in no message. */
#define SECRET "S3cret"
#define TOKEN "T0ken"

#define KEYS "\"access_key_id\":\"id\",\"access_key_secret\":\"" SECRET "\""

enum { EXCHANGES_MAX = 16 };

extern char **environ;

static struct {
    char home[40];
    time_t clock_ahead;
    bool network_up;
    const char *metadata; /* "plain": refuses tokens; "stubborn": gives tokens, takes none */
    const char *answer;   /* instead of the services' own; NULL: none */
    int issued;           /* AccessKeys: STS.1, STS.2, ... */
    int asked;            /* exchanges since the last look */
    struct exchange {
        char url[256];
        char body[2048];
        bool has_metadata_token;
        int64_t deadline;
    } exchanges[EXCHANGES_MAX];
} fixture;

time_t time(time_t *place)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (place)
        *place = now.tv_sec + fixture.clock_ahead;
    return now.tv_sec + fixture.clock_ahead;
}

/* An AccessKey of an hour, as the services issue it. */
static inline void issue(char *text, size_t size)
{
    snprintf(text, size,
            "{\"AccessKeyId\":\"STS.%d\",\"AccessKeySecret\":\"" SECRET
            "\",\"SecurityToken\":\"" TOKEN "\",\"Expiration\":\"%s\"}",
            ++fixture.issued, answer_date_in(3600));
}

static inline void answer_metadata(
        const struct http_request *request, bool has_token, long *status, char *text, size_t size)
{
    static const char path[] = "/latest/meta-data/ram/security-credentials/";
    const char *role = strstr(request->url, path);

    if (strcmp(request->method, "PUT") == 0)
        *status = strcmp(fixture.metadata, "plain") == 0 ? 404 : 200;
    else if (strcmp(fixture.metadata, "stubborn") == 0 && has_token)
        *status = 403;
    if (*status != 200)
        snprintf(text, size, "refused");
    else if (!role)
        snprintf(text, size, "metadata-token\n");
    else if (!role[strlen(path)])
        snprintf(text, size, " machine-role \r\n");
    else
        issue(text, size);
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    struct exchange *exchange = &fixture.exchanges[fixture.asked++];
    char text[512] = "", keys[400];
    long status = 200;

    (void)client;
    assert_between(fixture.asked, 1, EXCHANGES_MAX);
    snprintf(exchange->url, sizeof(exchange->url), "%s", request->url);
    snprintf(exchange->body, sizeof(exchange->body), "%.*s", (int)request->body_size,
            request->body ? request->body : "");
    exchange->deadline = request->deadline;
    exchange->has_metadata_token = false;
    for (size_t index = 0; request->headers && request->headers[index]; index++)
        if (strncmp(request->headers[index], "x-aliyun-ecs-metadata-token: ", 29) == 0)
            exchange->has_metadata_token =
                    strcmp(request->headers[index] + 29, "metadata-token") == 0;
    if (!fixture.network_up)
        return error_set(error, ALIYUN_IOT_REASON_UNREACHABLE, "%s: no route", request->url);
    if (fixture.answer)
        return http_answer_with(answer, fixture.answer, error);
    if (strstr(request->url, "/latest/")) {
        answer_metadata(request, exchange->has_metadata_token, &status, text, sizeof(text));
    } else if (strncmp(request->url, "https://sts", 11) == 0) {
        issue(keys, sizeof(keys));
        snprintf(text, sizeof(text), "{\"RequestId\":\"r\",\"Credentials\":%s}", keys);
    } else {
        issue(text, sizeof(text));
    }
    if (!http_answer_with(answer, text, error))
        return 0;
    answer->status = status;
    return 1;
}

static inline struct settings settings_of(const char *source, const char *profile)
{
    static char file[] = "/etc/test.conf", nowhere[] = "http://127.0.0.1:1", region[] = "r";
    static char source_copy[64], profile_copy[64];

    snprintf(source_copy, sizeof(source_copy), "%s", source ? source : "");
    snprintf(profile_copy, sizeof(profile_copy), "%s", profile ? profile : "");
    return (struct settings){.file = file,
            .region = region,
            .metadata_endpoint = nowhere,
            .timeout_ms = 1000,
            .connect_timeout_ms = 1000,
            .credentials_source = source ? source_copy : NULL,
            .credentials_profile = profile ? profile_copy : NULL};
}

/* Writes home/name, and makes the folders on the way. */
static inline void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *stream;

    snprintf(path, sizeof(path), "%s/%s", fixture.home, name);
    for (char *slash = path + strlen(fixture.home) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(0, fclose(stream));
    assert_int_equal(0, chmod(path, 0600));
}

static inline void write_cli_profiles(const char *text)
{
    write_file(".aliyun/config.json", text);
}

/* One profile that is the current one. */
static inline void write_cli_profile(const char *name, const char *fields)
{
    char text[1024];

    snprintf(text, sizeof(text), "{\"current\":\"%s\",\"profiles\":[{\"name\":\"%s\",%s}]}", name,
            name, fields);
    write_cli_profiles(text);
}

static inline void write_ini_profiles(const char *text)
{
    write_file(".alibabacloud/credentials", text);
}

static inline void set_path(const char *variable, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", fixture.home, name);
    assert_int_equal(0, setenv(variable, path, 1));
}

static inline void set_environment_keys(const char *id)
{
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", id, 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
}

static inline struct credentials *get(
        struct credentials_store *store, struct aliyun_iot_error **error)
{
    return credentials_get(store, monotonic_milliseconds() + 10 * 1000, error);
}

/* What a new store finds with these settings. */
static inline struct credentials *find_with(
        const struct settings *settings, struct aliyun_iot_error **error)
{
    struct credentials_store *store = credentials_store_new(settings, NULL);
    struct credentials *found;

    assert_non_null(store);
    fixture.asked = 0;
    found = get(store, error);
    credentials_store_free(store);
    return found;
}

static inline struct credentials *find(
        const char *source, const char *profile, struct aliyun_iot_error **error)
{
    const struct settings settings = settings_of(source, profile);

    return find_with(&settings, error);
}

static inline void assert_profile_found(
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
    assert_null(strstr(found->source, SECRET));
    credentials_free(found);
}

static inline void assert_found(const char *id, const char *token)
{
    assert_profile_found(NULL, NULL, id, token);
}

/* Nothing is found, and the message says phrase, and says no secret. */
static inline void assert_none(const char *source, const char *profile, const char *phrase)
{
    struct aliyun_iot_error *error = NULL;
    struct credentials *found = find(source, profile, &error);

    if (found)
        fail_msg("found %s where \"%s\" was expected", found->access_key_id, phrase);
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), SECRET));
    assert_null(strstr(aliyun_iot_error_message(error), TOKEN));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, phrase);
    assert_null(find(source, profile, NULL));
}

static inline void unset_all(const char *prefix)
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

static inline int make_home(void **state)
{
    (void)state;
    unset_all("ALIBABA_CLOUD_");
    unset_all("ALIYUN_IOT_");
    memset(&fixture, 0, sizeof(fixture));
    fixture.metadata = "";
    setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true", 1);
    strcpy(fixture.home, "/tmp/test-credentials-XXXXXX");
    return mkdtemp(fixture.home) ? setenv("HOME", fixture.home, 1) : -1;
}

static inline int remove_home(void **state)
{
    (void)state;
    return folder_remove(fixture.home);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)

#endif
