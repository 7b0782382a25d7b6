/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/settings.h"
#include "folder.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };

/* The folder that each test has to itself, and the settings file in it. */
static char folder[] = "/tmp/test-settings-XXXXXX";
static char file[64];

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *stream = fopen(path, "w");

    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

static void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

static struct settings *load(const char *path)
{
    struct aliyun_iot_error *error = NULL;
    struct settings *settings = settings_load(path, &error);

    if (!settings)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_null(error);
    return settings;
}

static struct settings *load_text(const char *text)
{
    write_text(file, text);
    return load(file);
}

/* Fails to load the file as it is. The message names it first; phrase may begin with ":LINE". */
static void assert_file_refused(const char *phrase)
{
    struct aliyun_iot_error *error = NULL;
    char expected[128];

    assert_null(settings_load(file, &error));
    assert_non_null(error);
    snprintf(expected, sizeof(expected), "settings file %s:", file);
    if (strncmp(aliyun_iot_error_message(error), expected, strlen(expected)) != 0)
        fail_msg("%s is not named: %s", file, aliyun_iot_error_message(error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, phrase);
    assert_null(settings_load(file, NULL));
}

static void assert_refused(const char *text, const char *phrase)
{
    write_text(file, text);
    assert_file_refused(phrase);
}

static void assert_value_refused(const char *section, const char *line, const char *phrase)
{
    char text[512];

    snprintf(text, sizeof(text), "# a comment\n[%s]\n\n%s\n", section, line);
    write_text(file, text);
    assert_file_refused(":4: ");
    assert_file_refused(phrase);
}

static void assert_defaults(const struct settings *settings)
{
    assert_string_equal(settings->region, "cn-shanghai");
    assert_null(settings->endpoint);
    assert_null(settings->instance_id);
    assert_int_equal(settings->signature, SIGNATURE_ACS3);
    assert_int_equal(settings->timeout_ms, 10 * SECOND_MS);
    assert_int_equal(settings->try_timeout_ms, 10 * SECOND_MS / 3);
    assert_int_equal(settings->connect_timeout_ms, 5 * SECOND_MS);
    assert_null(settings->ca_file);
    assert_null(settings->proxy);
    assert_null(settings->credentials_source);
    assert_null(settings->credentials_profile);
    assert_null(settings->sts_endpoint);
    assert_string_equal(settings->metadata_endpoint, "http://100.100.100.200");
    assert_true(settings->quota_rate > 8.999 && settings->quota_rate < 9.001);
    assert_int_equal(settings->quota_burst, 1);
    assert_string_equal(settings->quota_account, "default");
    assert_int_equal(settings->cache_ttl_ms, HOUR_MS);
    assert_int_equal(settings->cache_max_stale_ms, 24 * HOUR_MS);
    assert_int_equal(settings->cache_entries, 100000);
    assert_null(settings->trace_file);
    assert_int_equal(settings->trace_level, TRACE_INFO);
}

/* A machine that has settings of its own for all users cannot show what holds without them. */
static void skip_with_system_file(void)
{
    if (access("/etc/aliyun-iot/aliyun-iot.conf", F_OK) == 0)
        skip();
}

static void without_a_file_all_settings_are_the_defaults(void **state)
{
    struct settings *settings;

    (void)state;
    skip_with_system_file();
    settings = load(NULL);
    assert_null(settings->file);
    assert_defaults(settings);
    settings_free(settings);
    settings_free(NULL);
}

static void a_file_without_a_key_leaves_the_defaults(void **state)
{
    const char *const texts[] = {"", "\n\n", "# nothing\n; at all\n", "[cloud]\n[cache]\n"};

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        struct settings *settings = load_text(texts[index]);

        assert_string_equal(settings->file, file);
        assert_defaults(settings);
        settings_free(settings);
    }
}

static void every_key_is_read(void **state)
{
    struct settings *settings = load_text("# made by hand\n"
                                          "[cloud]\n"
                                          "region = cn-beijing\n"
                                          "endpoint=https://iot.example.com:8443\n"
                                          "instance-id = iot_instc-0pp1n8t\n"
                                          "  \n"
                                          "signature = rpc\n"
                                          "timeout = 1500ms\n"
                                          "try-timeout = 700ms\n"
                                          "connect-timeout = 2s\n"
                                          "; another comment\n"
                                          "ca-file = /etc/ssl/ca.pem\n"
                                          "proxy = http://proxy.example.com:3128\n"
                                          "[credentials]\n"
                                          "source = cli-profile\n"
                                          "profile = my profile\n"
                                          "sts-endpoint = https://sts.example.com\n"
                                          "metadata-endpoint = http://127.0.0.1:8000\n"
                                          "[quota]\n"
                                          "rate = 4.5\n"
                                          "burst = 7\n"
                                          "account = harness-account\n"
                                          "[cache]\n"
                                          "ttl = 15m\n"
                                          "max-stale = 2d\n"
                                          "entries = 12\n"
                                          "[trace]\n"
                                          "file = /var/log/aliyun-iot.log\n"
                                          "level = debug\n");

    (void)state;
    assert_string_equal(settings->region, "cn-beijing");
    assert_string_equal(settings->endpoint, "https://iot.example.com:8443");
    assert_string_equal(settings->instance_id, "iot_instc-0pp1n8t");
    assert_int_equal(settings->signature, SIGNATURE_RPC);
    assert_int_equal(settings->timeout_ms, 1500);
    assert_int_equal(settings->try_timeout_ms, 700);
    assert_int_equal(settings->connect_timeout_ms, 2 * SECOND_MS);
    assert_string_equal(settings->ca_file, "/etc/ssl/ca.pem");
    assert_string_equal(settings->proxy, "http://proxy.example.com:3128");
    assert_string_equal(settings->credentials_source, "cli-profile");
    assert_string_equal(settings->credentials_profile, "my profile");
    assert_string_equal(settings->sts_endpoint, "https://sts.example.com");
    assert_string_equal(settings->metadata_endpoint, "http://127.0.0.1:8000");
    assert_true(settings->quota_rate > 4.499 && settings->quota_rate < 4.501);
    assert_int_equal(settings->quota_burst, 7);
    assert_string_equal(settings->quota_account, "harness-account");
    assert_int_equal(settings->cache_ttl_ms, 15 * MINUTE_MS);
    assert_int_equal(settings->cache_max_stale_ms, 48 * HOUR_MS);
    assert_int_equal(settings->cache_entries, 12);
    assert_string_equal(settings->trace_file, "/var/log/aliyun-iot.log");
    assert_int_equal(settings->trace_level, TRACE_DEBUG);
    settings_free(settings);
}

/* conf/aliyun-iot.conf says of each setting how it would be written. */
static void the_sample_is_accepted_with_all_its_settings(void **state)
{
    FILE *sample = fopen(getenv("SETTINGS_SAMPLE"), "r");
    FILE *uncommented = fopen(file, "w");
    char line[256];
    int count = 0;

    (void)state;
    assert_true(sample && uncommented);
    while (fgets(line, sizeof(line), sample)) {
        bool is_setting = line[0] == '#' && strstr(line, " = ");

        count += is_setting;
        assert_true(fputs(line + (is_setting ? 2 : 0), uncommented) >= 0);
    }
    assert_int_equal(fclose(uncommented), 0);
    fclose(sample);
    assert_true(count > 0);
    settings_free(load(file));
}

/* Reads the line in its section, and shows the number that it set. */
#define assert_number(section, line, field, expected)                                              \
    do {                                                                                           \
        struct settings *settings_ = load_text("[" section "]\n" line "\n");                       \
        assert_int_equal(settings_->field, expected);                                              \
        settings_free(settings_);                                                                  \
    } while (0)

static void a_time_has_a_unit_and_bounds(void **state)
{
    static const char *const bare[] = {"timeout = 10", "timeout = 10 s", "timeout = 10S",
            "timeout = 10sec", "timeout = s", "timeout = -1s", "timeout = +1s", "timeout = 1.5s",
            "timeout = 0x10s", "timeout = 1s2s"};

    (void)state;
    assert_number("cloud", "timeout = 100ms", timeout_ms, 100);
    assert_number("cloud", "timeout = 60m", timeout_ms, HOUR_MS);
    assert_number("cloud", "timeout = 1h", timeout_ms, HOUR_MS);
    assert_number("cloud", "timeout = 30s", try_timeout_ms, 10 * SECOND_MS);
    assert_number("cloud", "try-timeout = 100ms", try_timeout_ms, 100);
    assert_number("cloud", "try-timeout = 1h", try_timeout_ms, HOUR_MS);
    assert_number("cloud", "connect-timeout = 100ms", connect_timeout_ms, 100);
    assert_number("cloud", "connect-timeout = 1h", connect_timeout_ms, HOUR_MS);
    assert_number("cache", "ttl = 0", cache_ttl_ms, 0);
    assert_number("cache", "ttl = 0s", cache_ttl_ms, 0);
    assert_number("cache", "ttl = 365d", cache_ttl_ms, INT64_C(365) * 24 * HOUR_MS);
    assert_number("cache", "max-stale = 0", cache_max_stale_ms, 0);
    assert_number("cache", "max-stale = 365d", cache_max_stale_ms, INT64_C(365) * 24 * HOUR_MS);

    for (size_t index = 0; index < sizeof(bare) / sizeof(bare[0]); index++)
        assert_value_refused("cloud", bare[index], "timeout: it must be a number with a unit");
    assert_value_refused("cloud", "timeout = 99ms", "outside of the range");
    assert_value_refused("cloud", "timeout = 0", "outside of the range");
    assert_value_refused("cloud", "timeout = 3601s", "outside of the range");
    assert_value_refused("cloud", "try-timeout = 0", "try-timeout: it is outside");
    assert_value_refused("cloud", "connect-timeout = 2h", "connect-timeout: it is outside");
    assert_value_refused("cache", "ttl = 366d", "ttl: it is outside of the range");
    assert_value_refused("cache", "max-stale = 366d", "max-stale: it is outside of the range");
    assert_value_refused("cache", "ttl = 9223372036854775807d", "number with a unit");
    assert_value_refused("cache", "ttl = 99999999999999999999d", "number with a unit");
    assert_value_refused("cache", "ttl = 922337203685477580d", "outside of the range");
}

static void a_number_has_bounds(void **state)
{
    (void)state;
    assert_number("quota", "burst = 1", quota_burst, 1);
    assert_number("quota", "burst = 100", quota_burst, 100);
    assert_number("cache", "entries = 1", cache_entries, 1);
    assert_number("cache", "entries = 10000000", cache_entries, 10000000);
    assert_value_refused("quota", "burst = 0", "burst: it must be a whole number");
    assert_value_refused("quota", "burst = 101", "burst: it must be a whole number");
    assert_value_refused("quota", "burst = -1", "burst: it must be a whole number");
    assert_value_refused("quota", "burst = 1.0", "burst: it must be a whole number");
    assert_value_refused("quota", "burst = 18446744073709551617", "it must be a whole number");
    assert_value_refused("cache", "entries = 0", "entries: it must be a whole number");
    assert_value_refused("cache", "entries = 10000001", "entries: it must be a whole number");
    assert_value_refused("cache", "entries = many", "entries: it must be a whole number");
    assert_value_refused("cache", "entries =", "entries: it must be a whole number");
}

static void assert_rate(const char *line, double expected)
{
    char text[64];
    struct settings *settings;

    snprintf(text, sizeof(text), "[quota]\n%s\n", line);
    settings = load_text(text);
    assert_true(settings->quota_rate > expected - 1e-9 && settings->quota_rate < expected + 1e-9);
    settings_free(settings);
}

static void a_rate_is_a_decimal_with_a_point(void **state)
{
    static const char *const bad[] = {"rate = 0", "rate = 0.099999", "rate = 1000.1", "rate = 1001",
            "rate = -1", "rate = 1,5", "rate = .5", "rate = 5.", "rate = 5.5.5", "rate = 1e2",
            "rate = 5/s", "rate = 1.0000001", "rate = nan", "rate = inf",
            "rate =", "rate = 99999999999999999999"};

    (void)state;
    assert_rate("rate = 0.1", 0.1);
    assert_rate("rate = 9", 9);
    assert_rate("rate = 9.000001", 9.000001);
    assert_rate("rate = 1000", 1000);
    assert_rate("rate = 1000.000000", 1000);
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
        assert_value_refused("quota", bad[index], "rate: it must be a number of calls a second");
}

static void a_name_has_no_character_that_could_leave_its_place(void **state)
{
    (void)state;
    assert_value_refused("cloud", "region = cn-shanghai.evil.example", "region: it may hold");
    assert_value_refused("cloud", "region = cn shanghai", "region: it may hold letters, digits");
    assert_value_refused("cloud", "region = CN-Shanghai", "in lower case");
    assert_value_refused("cloud", "region = cn_shanghai", "region: it may hold letters, digits");
    assert_value_refused("cloud", "region =", "region: a value must follow the =");
    assert_value_refused("cloud", "instance-id = a/b", "instance-id: it may hold letters, digits");
    assert_value_refused("cloud", "instance-id =", "instance-id: a value must follow the =");
    assert_value_refused("credentials", "source = cli profile", "source: it may hold letters");
    assert_value_refused("credentials", "profile =", "profile: a value must follow the =");
    assert_value_refused("cloud", "proxy =", "proxy: a value must follow the =");
    assert_value_refused("cloud", "ca-file =", "ca-file: a value must follow the =");
    assert_value_refused("trace", "file =", "file: a value must follow the =");
}

static void a_word_is_one_of_the_known_ones(void **state)
{
    (void)state;
    assert_number("cloud", "signature = acs3", signature, SIGNATURE_ACS3);
    assert_number("cloud", "signature = rpc", signature, SIGNATURE_RPC);
    assert_number("trace", "level = off", trace_level, TRACE_OFF);
    assert_number("trace", "level = error", trace_level, TRACE_ERROR);
    assert_number("trace", "level = info", trace_level, TRACE_INFO);
    assert_number("trace", "level = debug", trace_level, TRACE_DEBUG);
    assert_value_refused("cloud", "signature = ACS3", "signature: it must be acs3 or rpc");
    assert_value_refused("cloud", "signature = md5", "signature: it must be acs3 or rpc");
    assert_value_refused("cloud", "signature =", "signature: it must be acs3 or rpc");
    assert_value_refused("trace", "level = Debug", "level: it must be off, error, info or debug");
    assert_value_refused("trace", "level = 3", "level: it must be off, error, info or debug");
}

static void assert_endpoint(const char *value, const char *expected)
{
    char text[256];
    struct settings *settings;

    snprintf(text, sizeof(text), "[cloud]\nendpoint = %s\n[credentials]\nsts-endpoint = %s\n",
            value, value);
    settings = load_text(text);
    assert_string_equal(settings->endpoint, expected);
    assert_string_equal(settings->sts_endpoint, expected);
    settings_free(settings);
}

static void an_endpoint_is_https_and_a_host_alone(void **state)
{
    static const char *const more_than_a_host[] = {"https://", "https:///", "https://h/path",
            "https://h//", "https://h?q", "https://h#f", "https://user@h", "https://user:pw@h",
            "https://h%2e", "https://h\\x", "https://h h", "https://h,i", "https://:8443",
            "https://h:", "https://h:x", "https://h:0", "https://h:65536", "https://h:1:2",
            "https://a[b]", "https://[::1", "https://[]", "https://[::1]x"};
    char line[128];

    (void)state;
    assert_endpoint("https://iot.example.com", "https://iot.example.com");
    assert_endpoint("https://iot.example.com/", "https://iot.example.com");
    assert_endpoint("https://127.0.0.1:8443", "https://127.0.0.1:8443");
    assert_endpoint("https://[::1]:8443/", "https://[::1]:8443");
    assert_endpoint("https://[::1]", "https://[::1]");
    /* libcurl leaves the usual port out of Host, which the signature covers. */
    assert_endpoint("https://iot.example.com:443", "https://iot.example.com");
    assert_endpoint("https://iot.example.com:8443", "https://iot.example.com:8443");

    assert_value_refused("cloud", "endpoint = http://iot.example.com",
            "endpoint: it must be https://, since the answer holds a private key");
    assert_value_refused("credentials", "sts-endpoint = http://sts.example.com",
            "sts-endpoint: it must be https://");
    assert_value_refused("cloud", "endpoint = iot.example.com", "must be https://HOST or");
    assert_value_refused("cloud", "endpoint = ftp://iot.example.com", "must be https://HOST or");
    assert_value_refused("cloud", "endpoint =", "must be https://HOST or");
    for (size_t index = 0; index < sizeof(more_than_a_host) / sizeof(char *); index++) {
        snprintf(line, sizeof(line), "endpoint = %s", more_than_a_host[index]);
        assert_value_refused("cloud", line, "without path, query or user");
    }
    assert_value_refused("credentials", "metadata-endpoint = https://100.100.100.200",
            "metadata-endpoint: it must be http://HOST");
}

static void the_metadata_endpoint_is_http_and_a_host_alone(void **state)
{
    struct settings *settings = load_text("[credentials]\nmetadata-endpoint = http://h:80/\n");

    (void)state;
    assert_string_equal(settings->metadata_endpoint, "http://h");
    settings_free(settings);
    assert_value_refused("credentials", "metadata-endpoint = https://h", "it must be http://HOST");
    assert_value_refused("credentials", "metadata-endpoint = http://h/p", "without path, query");
    assert_value_refused("credentials", "metadata-endpoint = http://u@h", "without path, query");
}

static void a_relative_path_is_meant_from_the_folder_of_the_file(void **state)
{
    char expected[128];
    struct settings *settings =
            load_text("[cloud]\nca-file = ca/bundle.pem\n[trace]\nfile = trace.log\n");

    (void)state;
    snprintf(expected, sizeof(expected), "%s/ca/bundle.pem", folder);
    assert_string_equal(settings->ca_file, expected);
    snprintf(expected, sizeof(expected), "%s/trace.log", folder);
    assert_string_equal(settings->trace_file, expected);
    settings_free(settings);

    write_text(file, "[cloud]\nca-file = ca.pem\n");
    assert_int_equal(0, chdir(folder));
    settings = load(strrchr(file, '/') + 1);
    assert_string_equal(settings->ca_file, "ca.pem");
    settings_free(settings);
    assert_int_equal(0, chdir("/"));
}

static void a_trace_file_alone_switches_the_trace_on(void **state)
{
    struct settings *settings = load_text("[trace]\nfile = stderr\n");

    (void)state;
    assert_string_equal(settings->trace_file, "stderr");
    assert_int_equal(settings->trace_level, TRACE_INFO);
    settings_free(settings);
    settings = load_text("[trace]\nlevel = off\nfile = /tmp/trace\n");
    assert_int_equal(settings->trace_level, TRACE_OFF);
    settings_free(settings);
}

static void an_unknown_section_or_key_is_named_with_its_line(void **state)
{
    (void)state;
    assert_refused("[cloud]\n\n[clouds]\n", ":3: clouds: this section is unknown");
    assert_refused("# [aws]\n[aws]\nkey = 1\n", ":2: aws: this section is unknown");
    assert_refused("#\n[ clouds\t]\n", ":2: clouds: this section is unknown");
    assert_refused("[Cloud]\nregion = cn-shanghai\n", ":1: Cloud: this section is unknown");
    assert_refused("[cloud]\n# one\nregio = x\n", ":3: regio: this key is unknown");
    assert_refused("[cloud]\nRegion = x\n", ":2: Region: this key is unknown");
    assert_refused("[cache]\nregion = x\n", ":2: region: this key is unknown in its section");
    assert_refused("[cloud]\nca_file = x\n", ":2: ca_file: this key is unknown");
}

static void a_repeated_key_or_section_is_refused(void **state)
{
    (void)state;
    assert_refused("[cloud]\nregion = a\nregion = a\n", "line 3");
    assert_refused("[cloud]\nregion = a\n[cache]\n[cloud]\ntimeout = 1s\n", "line 4");
    assert_refused("[cloud]\nregion = a\n[cache]\nttl = 1s\n[cloud]\nregion = b\n", "line 5");
}

static void a_key_before_any_section_is_refused(void **state)
{
    (void)state;
    assert_refused("region = a\n", ":1: region: a key must follow a [section]");
    assert_refused("# one\n;two\n \n  region = a\nb = c\n[cloud]\n", ":4: region: ");
    assert_refused("# one\r\n\r\nregion=a\r\n", ":3: region: a key must follow a [section]");
    assert_refused("[default]\nregion = a\n", ":1: default: this section is unknown");
}

static void a_line_that_is_no_setting_is_refused_with_its_number(void **state)
{
    (void)state;
    assert_refused("[cloud]\nregion\n", "line 2");
    assert_refused("[cloud]\n= a\n", "line 2");
    assert_refused("[cloud]\n\n[cache\n", "line 3");
    assert_refused("[]\n", "line 1");
}

static void an_indented_line_is_not_the_rest_of_the_one_before(void **state)
{
    struct settings *settings = load_text("[cloud]\nregion = a\n  timeout = 1s\n");

    (void)state;
    assert_string_equal(settings->region, "a");
    assert_int_equal(settings->timeout_ms, SECOND_MS);
    settings_free(settings);
    assert_refused("[cloud]\nregion = cn-\n  shanghai\n", "line 3");
    assert_refused("[cloud]\nca-file =\n\t/etc/ca.pem\n", "line 3");
    assert_refused("[cloud]\nca-file = /a\n\tb = c\n", ":3: b: this key is unknown");
    assert_refused("[cloud]\nca-file = /a\\\nb = c\n", ":3: b: this key is unknown");
}

static void a_comment_is_a_line_that_begins_with_a_number_sign_or_a_semicolon(void **state)
{
    (void)state;
    settings_free(load_text("#[clouds]\n;[clouds]\n[cloud]\n#regio = a\n;regio = a\n#"));
    assert_refused("[cloud]\n/* a comment of C's */\n", "line 2");
    assert_refused("[cloud]\n// another\n", "line 2");
    assert_refused("[cloud]\nregion = a # what follows\n", ":2: region: it may hold letters");
}

static void the_file_may_have_windows_line_ends_and_none_at_its_end(void **state)
{
    struct settings *settings = load_text("\xef\xbb\xbf[cloud]\r\nregion = a\r\ntimeout = 1s");

    (void)state;
    assert_string_equal(settings->region, "a");
    assert_int_equal(settings->timeout_ms, SECOND_MS);
    settings_free(settings);
}

static void text_that_is_not_utf_8_is_refused(void **state)
{
    (void)state;
    assert_refused("[cloud]\nproxy = \xff\xfe\n", "it is not UTF-8 text");
    assert_refused("[cloud]\nproxy = caf\xe9\n", "it is not UTF-8 text");
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "[cloud]\nregion = a\0b\n";

    (void)state;
    write_bytes(file, text, sizeof(text) - 1);
    assert_file_refused("NUL byte");
    write_bytes(file, "", 1);
    assert_file_refused("NUL byte");
}

static void control_characters_of_the_file_do_not_reach_the_message(void **state)
{
    static const char *const texts[] = {
            "[cloud]\n\x1b[31mregion = a\n", "[cl\x1b[31moud]\n", "[cloud]\nre\x07gion = a\n"};

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        struct aliyun_iot_error *error = NULL;

        write_text(file, texts[index]);
        assert_null(settings_load(file, &error));
        for (const char *place = aliyun_iot_error_message(error); *place; place++)
            assert_between(*place, ' ', '~');
        aliyun_iot_error_free(error);
    }
}

static void a_file_that_is_missing_or_no_file_is_named(void **state)
{
    (void)state;
    assert_file_refused("No such file");
    assert_int_equal(0, mkdir(file, 0700));
    assert_file_refused("not a regular file");
    assert_int_equal(0, rmdir(file));
    /* Nobody writes to it: whoever opened it as usual would wait for ever. */
    assert_int_equal(0, mkfifo(file, 0600));
    alarm(300);
    assert_file_refused("not a regular file");
    alarm(0);
    assert_int_equal(0, unlink(file));
    assert_int_equal(0, symlink("/dev/zero", file));
    assert_file_refused("not a regular file");
}

static void a_file_of_more_than_64_kilobytes_is_refused(void **state)
{
    size_t size = 64 * 1024 + 1;
    char *text = malloc(size);

    (void)state;
    memset(text, '\n', size);
    write_bytes(file, text, size);
    assert_file_refused("File too large");
    write_bytes(file, text, size - 1);
    settings_free(load(file));
    free(text);
}

static void what_a_message_repeats_of_the_file_is_short(void **state)
{
    char text[2000] = "[cloud]\n", shown[64];

    (void)state;
    memset(text + strlen(text), 'k', 500);
    strcat(text, " = 1\n");
    memset(shown, 'k', sizeof(shown));
    strcpy(shown + 60, ": ");
    assert_refused(text, shown);
    assert_refused(text + strlen("[cloud]\n"), shown);
}

/* Makes folder/name and the folders on the way. */
static void make_settings(const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    write_text(path, text);
}

static void set_path(const char *variable, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(0, setenv(variable, path, 1));
}

static void assert_searched(const char *region)
{
    struct settings *settings = load(NULL);

    assert_string_equal(settings->region, region);
    settings_free(settings);
}

static void the_environment_names_the_file_before_the_users_folders(void **state)
{
    struct settings *settings;

    (void)state;
    skip_with_system_file();
    assert_searched("cn-shanghai");
    make_settings("home/.config/aliyun-iot/aliyun-iot.conf", "[cloud]\nregion = of-home\n");
    assert_searched("of-home");
    set_path("XDG_CONFIG_HOME", "xdg");
    assert_searched("cn-shanghai");
    make_settings("xdg/aliyun-iot/aliyun-iot.conf", "[cloud]\nregion = of-xdg\n");
    assert_searched("of-xdg");
    setenv("XDG_CONFIG_HOME", "relative/is/ignored", 1);
    assert_searched("of-home");
    make_settings("named.conf", "[cloud]\nregion = of-the-environment\n");
    set_path("ALIYUN_IOT_CONFIG", "named.conf");
    assert_searched("of-the-environment");
    setenv("ALIYUN_IOT_CONFIG", "", 1);
    assert_searched("of-home");

    set_path("ALIYUN_IOT_CONFIG", "named.conf");
    settings = load_text("[cloud]\nregion = of-the-call\n");
    assert_string_equal(settings->region, "of-the-call");
    settings_free(settings);
}

static void a_file_that_the_environment_names_must_be_there(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    make_settings("home/.config/aliyun-iot/aliyun-iot.conf", "[cloud]\nregion = of-home\n");
    set_path("ALIYUN_IOT_CONFIG", "absent.conf");
    assert_null(settings_load(NULL, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "/absent.conf: No such file");
    error = NULL;
    assert_null(settings_load(NULL, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "; ALIYUN_IOT_CONFIG names this file");
    error = NULL;
    assert_null(settings_load("/absent.conf", &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "; the program, or config in openssl.cnf");
}

/* As a daemon that was started by root, with HOME=/root, and gave up root. */
static void a_home_that_may_not_be_entered_is_passed_over(void **state)
{
    char home[128];
    bool is_root = geteuid() == 0;

    (void)state;
    skip_with_system_file();
    make_settings("home/.config/aliyun-iot/aliyun-iot.conf", "[cloud]\nregion = of-home\n");
    snprintf(home, sizeof(home), "%s/home", folder);
    assert_int_equal(0, chmod(folder, 0755));
    assert_int_equal(0, chmod(home, 0));
    if (is_root)
        assert_int_equal(0, seteuid(65534));
    assert_searched("cn-shanghai");
    if (is_root)
        assert_int_equal(0, seteuid(0));
    assert_int_equal(0, chmod(home, 0700));
    assert_searched("of-home");
}

/* The user would otherwise believe that the file counts. */
static void a_file_of_the_user_that_cannot_be_read_is_an_error(void **state)
{
    struct aliyun_iot_error *error = NULL;
    char path[256];
    bool is_root = geteuid() == 0;

    (void)state;
    make_settings("home/.config/aliyun-iot/aliyun-iot.conf", "[cloud]\nregion = of-home\n");
    snprintf(path, sizeof(path), "%s/home", folder);
    assert_int_equal(0, chmod(folder, 0755));
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(0, chmod(path, 0755));
        strcat(path, (const char *[]){"/.config", "/aliyun-iot", "/aliyun-iot.conf"}[index]);
    }
    assert_int_equal(0, chmod(path, 0));
    if (is_root)
        assert_int_equal(0, seteuid(65534));
    assert_null(settings_load(NULL, &error));
    if (is_root)
        assert_int_equal(0, seteuid(0));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "Permission denied; let this user read the file, or name another one in "
            "ALIYUN_IOT_CONFIG");
}

static void the_path_is_told_without_reading_the_file(void **state)
{
    struct aliyun_iot_error *error = NULL;
    char *path = settings_path("/absent/file", &error);

    (void)state;
    assert_string_equal(path, "/absent/file");
    free(path);
    set_path("ALIYUN_IOT_CONFIG", "absent.conf");
    path = settings_path(NULL, &error);
    assert_string_equal(path, getenv("ALIYUN_IOT_CONFIG"));
    free(path);
    assert_null(error);
}

static void the_environment_switches_the_trace_on(void **state)
{
    struct settings *settings;

    (void)state;
    setenv("ALIYUN_IOT_TRACE", "", 1);
    settings = load_text("");
    assert_null(settings->trace_file);
    settings_free(settings);

    setenv("ALIYUN_IOT_TRACE", "/tmp/trace.log", 1);
    settings = load_text("");
    assert_string_equal(settings->trace_file, "/tmp/trace.log");
    assert_int_equal(settings->trace_level, TRACE_INFO);
    settings_free(settings);

    settings = load_text("[trace]\nfile = /tmp/other.log\nlevel = debug\n");
    assert_string_equal(settings->trace_file, "/tmp/trace.log");
    assert_int_equal(settings->trace_level, TRACE_DEBUG);
    settings_free(settings);
}

static int make_folder(void **state)
{
    static const char *const variables[] = {
            "ALIYUN_IOT_CONFIG", "ALIYUN_IOT_TRACE", "XDG_CONFIG_HOME"};

    (void)state;
    for (size_t index = 0; index < sizeof(variables) / sizeof(variables[0]); index++)
        unsetenv(variables[index]);
    strcpy(folder, "/tmp/test-settings-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/aliyun-iot.conf", folder);
    set_path("HOME", "home");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(without_a_file_all_settings_are_the_defaults),
            TEST(a_file_without_a_key_leaves_the_defaults),
            TEST(every_key_is_read),
            TEST(the_sample_is_accepted_with_all_its_settings),
            TEST(a_time_has_a_unit_and_bounds),
            TEST(a_number_has_bounds),
            TEST(a_rate_is_a_decimal_with_a_point),
            TEST(a_name_has_no_character_that_could_leave_its_place),
            TEST(a_word_is_one_of_the_known_ones),
            TEST(an_endpoint_is_https_and_a_host_alone),
            TEST(the_metadata_endpoint_is_http_and_a_host_alone),
            TEST(a_relative_path_is_meant_from_the_folder_of_the_file),
            TEST(a_trace_file_alone_switches_the_trace_on),
            TEST(an_unknown_section_or_key_is_named_with_its_line),
            TEST(a_repeated_key_or_section_is_refused),
            TEST(a_key_before_any_section_is_refused),
            TEST(a_line_that_is_no_setting_is_refused_with_its_number),
            TEST(an_indented_line_is_not_the_rest_of_the_one_before),
            TEST(a_comment_is_a_line_that_begins_with_a_number_sign_or_a_semicolon),
            TEST(the_file_may_have_windows_line_ends_and_none_at_its_end),
            TEST(text_that_is_not_utf_8_is_refused),
            TEST(a_nul_byte_is_refused),
            TEST(control_characters_of_the_file_do_not_reach_the_message),
            TEST(a_file_that_is_missing_or_no_file_is_named),
            TEST(a_file_of_more_than_64_kilobytes_is_refused),
            TEST(what_a_message_repeats_of_the_file_is_short),
            TEST(the_environment_names_the_file_before_the_users_folders),
            TEST(a_file_that_the_environment_names_must_be_there),
            TEST(a_home_that_may_not_be_entered_is_passed_over),
            TEST(a_file_of_the_user_that_cannot_be_read_is_an_error),
            TEST(the_path_is_told_without_reading_the_file),
            TEST(the_environment_switches_the_trace_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
