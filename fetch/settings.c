/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ini.h"
#include "read_file.h"

enum {
    SETTINGS_MAX = 64 * 1024, /* bytes of the file */
    VALUE_SHOWN_MAX = 60      /* bytes of a value that an error message repeats */
};

static const char system_file[] = "/etc/aliyun-iot/aliyun-iot.conf";
static const char user_file[] = "aliyun-iot/aliyun-iot.conf";

DEFINE_CLEANUP(char *, free);

static inline void list_free(char **list)
{
    ini_free_attribute_list(list);
}
DEFINE_CLEANUP(char **, list_free);

struct key;
/* Puts a value in its place. Returns NULL; or what would have been right. */
typedef const char *set_value(
        const struct key *key, const char *value, struct settings *settings, void *place);

struct key {
    const char *section, *name;
    set_value *set;
    size_t offset;
    int64_t least, most; /* of a number; of a time in milliseconds */
};

static const char *copy_text(void *place, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return "there was no memory to read it";
    free(*(char **)place);
    *(char **)place = copy;
    return NULL;
}

static const char *set_text(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    (void)key;
    (void)settings;
    return *value ? copy_text(place, value) : "a value must follow the =";
}

static const char *set_name(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    if (value[strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")])
        return "it may hold letters, digits, _ and - only";
    return set_text(key, value, settings, place);
}

/* It becomes a part of a host's name. */
static const char *set_region(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    if (value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return "it may hold letters, digits and - only, in lower case";
    return set_text(key, value, settings, place);
}

/* A relative path is meant from the folder of the settings file. */
static const char *set_path(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    const char *slash = settings->file ? strrchr(settings->file, '/') : NULL;
    CLEANUP(free) char *path = NULL;

    if (*value == '/' || !*value || !slash)
        return set_text(key, value, settings, place);
    if (asprintf(&path, "%.*s/%s", (int)(slash - settings->file), settings->file, value) < 0) {
        path = NULL;
        return "there was no memory to read it";
    }
    return copy_text(place, path);
}

static const char *set_trace_file(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    if (settings->trace_level == TRACE_OFF)
        settings->trace_level = TRACE_INFO;
    return strcmp(value, "stderr") == 0 ? copy_text(place, value)
                                        : set_path(key, value, settings, place);
}

/* HOST or HOST:PORT, and nothing that would make it name anything else. */
static bool is_authority(const char *text)
{
    const char *port;
    size_t size, digits;
    long number;

    if (*text == '[')
        size = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.") + 1;
    else
        size = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");
    if (size == 0 || (*text == '[' && (size < 4 || text[size - 1] != ']')))
        return false;
    if (!text[size])
        return true;
    port = text + size + 1;
    digits = strspn(port, "0123456789");
    number = digits > 0 && digits <= 5 ? strtol(port, NULL, 10) : 0;
    return text[size] == ':' && !port[digits] && number > 0 && number <= 65535;
}

/*
 * What follows the scheme, of scheme_size bytes, must be a host alone. The scheme's own port is
 * dropped: libcurl leaves it out of Host, and the signature covers Host.
 */
static const char *set_host(const char *value, size_t scheme_size, const char *own_port,
        const char *problem, void *place)
{
    CLEANUP(free) char *endpoint = strdup(value);
    size_t size, port_size = strlen(own_port);

    if (!endpoint)
        return "there was no memory to read it";
    size = strlen(endpoint);
    if (size > scheme_size && endpoint[size - 1] == '/')
        endpoint[--size] = '\0';
    if (!is_authority(endpoint + scheme_size))
        return problem;
    if (size > port_size && strcmp(endpoint + size - port_size, own_port) == 0)
        endpoint[size - port_size] = '\0';
    return copy_text(place, endpoint);
}

static const char *set_https_endpoint(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    (void)key;
    (void)settings;
    if (strncmp(value, "http:", 5) == 0)
        return "it must be https://, since the answer holds a private key";
    if (strncmp(value, "https://", 8) != 0)
        return "it must be https://HOST or https://HOST:PORT";
    return set_host(value, 8, ":443",
            "it must be https://HOST or https://HOST:PORT, without path, query or user", place);
}

static const char *set_metadata_endpoint(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    (void)key;
    (void)settings;
    if (strncmp(value, "http://", 7) != 0)
        return "it must be http://HOST or http://HOST:PORT";
    return set_host(value, 7, ":80",
            "it must be http://HOST or http://HOST:PORT, without path, query or user", place);
}

/* Digits only: strtoll() would take blanks and signs. */
static bool read_digits(const char **text, int64_t *number)
{
    const char *begin = *text;

    *number = 0;
    for (; isdigit((unsigned char)**text); (*text)++) {
        if (*number > (INT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (**text - '0');
    }
    return *text > begin;
}

static const char *set_number(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    int64_t number;

    (void)settings;
    if (!read_digits(&value, &number) || *value || number < key->least || number > key->most)
        return "it must be a whole number in the range that aliyun-iot.conf(5) gives";
    *(int64_t *)place = number;
    return NULL;
}

/* Decimal, with a point whatever the locale. */
static const char *set_rate(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    static const char problem[] = "it must be a number of calls a second, from 0.1 to 1000";
    int64_t whole, fraction = 0, scale = 1;
    double rate;

    (void)key;
    (void)settings;
    if (!read_digits(&value, &whole) || whole > 1000)
        return problem;
    if (*value == '.') {
        const char *digits = ++value;

        if (!read_digits(&value, &fraction) || value - digits > 6)
            return problem;
        for (ptrdiff_t count = value - digits; count > 0; count--)
            scale *= 10;
    }
    rate = (double)whole + (double)fraction / (double)scale;
    if (*value || rate < 0.1 || rate > 1000)
        return problem;
    *(double *)place = rate;
    return NULL;
}

static const char *set_time(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    static const struct {
        const char *name;
        int64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t number;

    (void)settings;
    if (!read_digits(&value, &number))
        return "it must be a number with a unit: 500ms, 10s, 15m, 1h, 2d";
    for (size_t index = 0; index < sizeof(units) / sizeof(units[0]); index++) {
        if (strcmp(value, units[index].name) != 0 && !(number == 0 && !*value))
            continue;
        if (number > key->most / units[index].milliseconds ||
                number * units[index].milliseconds < key->least)
            return "it is outside of the range that aliyun-iot.conf(5) gives";
        *(int64_t *)place = number * units[index].milliseconds;
        return NULL;
    }
    return "it must be a number with a unit: 500ms, 10s, 15m, 1h, 2d";
}

static const char *set_signature(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    (void)key;
    (void)settings;
    if (strcmp(value, "acs3") == 0)
        *(enum signature_kind *)place = SIGNATURE_ACS3;
    else if (strcmp(value, "rpc") == 0)
        *(enum signature_kind *)place = SIGNATURE_RPC;
    else
        return "it must be acs3 or rpc";
    return NULL;
}

static const char *set_level(
        const struct key *key, const char *value, struct settings *settings, void *place)
{
    static const char *const names[] = {"off", "error", "info", "debug"};

    (void)key;
    (void)settings;
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        if (strcmp(value, names[index]) == 0) {
            *(enum trace_level *)place = (enum trace_level)index;
            return NULL;
        }
    }
    return "it must be off, error, info or debug";
}

#define SECOND INT64_C(1000)
#define DAY (86400 * SECOND)
#define AT(field) offsetof(struct settings, field)

/* Read in this order, so that trace level has the last word over what trace file implies. */
static const struct key keys[] = {
        {"cloud", "region", set_region, AT(region), 0, 0},
        {"cloud", "endpoint", set_https_endpoint, AT(endpoint), 0, 0},
        {"cloud", "instance-id", set_name, AT(instance_id), 0, 0},
        {"cloud", "signature", set_signature, AT(signature), 0, 0},
        {"cloud", "timeout", set_time, AT(timeout), 100, 3600 * SECOND},
        {"cloud", "connect-timeout", set_time, AT(connect_timeout), 100, 3600 * SECOND},
        {"cloud", "ca-file", set_path, AT(ca_file), 0, 0},
        {"cloud", "proxy", set_text, AT(proxy), 0, 0},
        {"credentials", "source", set_name, AT(credentials_source), 0, 0},
        {"credentials", "profile", set_text, AT(credentials_profile), 0, 0},
        {"credentials", "sts-endpoint", set_https_endpoint, AT(sts_endpoint), 0, 0},
        {"credentials", "metadata-endpoint", set_metadata_endpoint, AT(metadata_endpoint), 0, 0},
        {"quota", "rate", set_rate, AT(quota_rate), 0, 0},
        {"quota", "burst", set_number, AT(quota_burst), 1, 100},
        {"cache", "ttl", set_time, AT(cache_ttl), 0, 365 * DAY},
        {"cache", "max-stale", set_time, AT(cache_max_stale), 0, 365 * DAY},
        {"cache", "entries", set_number, AT(cache_entries), 1, 10000000},
        {"trace", "file", set_trace_file, AT(trace_file), 0, 0},
        {"trace", "level", set_level, AT(trace_level), 0, 0},
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

static int bad_settings(struct aliyun_iot_error **error, const char *file, int line,
        const char *name, const char *problem)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%.300s:%d: %.*s: %s", file, line,
            VALUE_SHOWN_MAX, name, problem);
}

/* Whether the text begins with the word, and after blanks goes on with that character. */
static bool has_word(const char *text, const char *word, char end)
{
    size_t size = strlen(word);

    return strncasecmp(text, word, size) == 0 && text[size + strspn(text + size, " \t")] == end;
}

/*
 * The line of a key in its section, or of the section for a key that is NULL; 0: nowhere. Not all
 * versions of libini_config tell.
 */
static int line_of(const char *text, const char *section, const char *name)
{
    bool within = false;

    for (int line = 1; *text; line++) {
        const char *place = text + strspn(text, " \t");

        if (*place == '[') {
            within = has_word(place + 1 + strspn(place + 1, " \t"), section, ']');
            if (within && !name)
                return line;
        } else if (within && name && has_word(place, name, '=')) {
            return line;
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return 0;
}

static const struct key *find_key(const char *section, const char *name)
{
    for (size_t index = 0; index < KEY_COUNT; index++)
        if (strcmp(keys[index].section, section) == 0 &&
                (!name || strcmp(keys[index].name, name) == 0))
            return &keys[index];
    return NULL;
}

/* Keys before any section are in one named default, whose first key libini_config does not list. */
static int refuse_key_without_section(
        const char *file, const char *text, struct aliyun_iot_error **error)
{
    size_t size;
    int line = 1;

    for (; *text && strchr("#;\r\n", text[strspn(text, " \t")]); line++) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    text += strspn(text, " \t");
    size = strcspn(text, "= \t\r\n");
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "%.300s:%d: %.*s: a key must follow a [section]", file, line,
            (int)(size < VALUE_SHOWN_MAX ? size : VALUE_SHOWN_MAX), text);
}

static int check_section(const char *file, const char *text, struct ini_cfgobj *config,
        const char *section, struct aliyun_iot_error **error)
{
    CLEANUP(list_free) char **names = NULL;
    int line = line_of(text, section, NULL);

    if (line == 0 && strcmp(section, INI_DEFAULT_SECTION) == 0)
        return refuse_key_without_section(file, text, error);
    if (!find_key(section, NULL))
        return bad_settings(error, file, line, section, "this section is unknown");
    names = ini_get_attribute_list(config, section, NULL, NULL);
    for (char **name = names; name && *name; name++)
        if (!find_key(section, *name))
            return bad_settings(error, file, line_of(text, section, *name), *name,
                    "this key is unknown in its section");
    return 1;
}

static int apply(const char *file, const char *text, struct ini_cfgobj *config,
        const struct key *key, struct settings *settings, struct aliyun_iot_error **error)
{
    struct value_obj *value = config_value(config, key->section, key->name);
    const char *chosen, *problem;

    if (!value)
        return 1;
    chosen = ini_get_const_string_config_value(value, NULL);
    problem = key->set(key, chosen ? chosen : "", settings, (char *)settings + key->offset);
    return problem ? bad_settings(error, file, line_of(text, key->section, key->name), key->name,
                             problem)
                   : 1;
}

/* The first problem that libini_config found, which names the line itself. */
static int explain_syntax(
        const char *file, struct ini_cfgobj *config, struct aliyun_iot_error **error)
{
    char **problems = NULL;

    ini_config_get_errors(config, &problems);
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%.300s: %s", file,
            problems && problems[0]
                    ? problems[0]
                    : "it cannot be parsed: a [section] or a key has an odd character");
    ini_config_free_errors(problems);
    return 0;
}

static int parse(
        const char *file, BUF_MEM *text, struct settings *settings, struct aliyun_iot_error **error)
{
    CLEANUP(config_file_destroy) struct ini_cfgfile *source = NULL;
    CLEANUP(config_destroy) struct ini_cfgobj *config = NULL;
    CLEANUP(list_free) char **sections = NULL;
    int problem;

    if (text->length == 0)
        return 1;
    problem = ini_config_file_from_mem(text->data, (uint32_t)text->length, &source);
    if (problem != 0 && problem != ENOMEM)
        return error_set(
                error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%.300s: it is not UTF-8 text", file);
    if (problem != 0 || ini_config_create(&config) != 0)
        return error_set_out_of_memory(error);
    /* No wrapping: an indented line is a line of its own, and not the rest of the one before. */
    if (ini_config_parse(source, INI_STOP_ON_ANY, INI_MV1S_ERROR | INI_MV2S_ERROR | INI_MS_ERROR,
                INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, config) != 0)
        return explain_syntax(file, config, error);
    sections = ini_get_section_list(config, NULL, NULL);
    for (char **section = sections; section && *section; section++)
        if (!check_section(file, text->data, config, *section, error))
            return 0;
    for (size_t index = 0; index < KEY_COUNT; index++)
        if (!apply(file, text->data, config, &keys[index], settings, error))
            return 0;
    return 1;
}

static bool set_defaults(struct settings *settings)
{
    *settings = (struct settings){
            .region = strdup("cn-shanghai"),
            .metadata_endpoint = strdup("http://100.100.100.200"),
            .timeout = 10 * SECOND,
            .connect_timeout = 5 * SECOND,
            .quota_rate = 9,
            .quota_burst = 1,
            .cache_ttl = 3600 * SECOND,
            .cache_max_stale = DAY,
            .cache_entries = 100000,
    };
    return settings->region && settings->metadata_endpoint;
}

/* The environment can switch the trace on without a settings file. */
static const char *apply_environment(struct settings *settings)
{
    const char *file = secure_getenv("ALIYUN_IOT_TRACE");

    if (!file || !*file)
        return NULL;
    if (settings->trace_level == TRACE_OFF)
        settings->trace_level = TRACE_INFO;
    return copy_text(&settings->trace_file, file);
}

struct settings *settings_load(const char *file, struct aliyun_iot_error **error)
{
    CLEANUP(settings_free) struct settings *settings = calloc(1, sizeof(*settings));
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(BUF_MEM_free) BUF_MEM *text = NULL;
    CLEANUP(free) char *path = settings_path(file, &problem);

    if (problem) {
        if (error)
            *error = take(problem);
        return NULL;
    }
    if (!settings || !set_defaults(settings)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    settings->file = take(path);
    if (settings->file) {
        text = read_file(settings->file, SETTINGS_MAX, ALIYUN_IOT_REASON_BAD_SETTINGS, error);
        if (!text || !parse(settings->file, text, settings, error))
            return NULL;
    }
    if (apply_environment(settings)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return take(settings);
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    free(settings->file);
    free(settings->region);
    free(settings->endpoint);
    free(settings->instance_id);
    free(settings->ca_file);
    free(settings->proxy);
    free(settings->credentials_source);
    free(settings->credentials_profile);
    free(settings->sts_endpoint);
    free(settings->metadata_endpoint);
    free(settings->trace_file);
    free(settings);
}

static bool exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

char *settings_home(void)
{
    const char *home = secure_getenv("HOME");
    struct passwd entry, *found = NULL;
    char names[4096];

    if (home && *home == '/')
        return strdup(home);
    if (getpwuid_r(geteuid(), &entry, names, sizeof(names), &found) != 0 || !found)
        return NULL;
    return strdup(entry.pw_dir);
}

/* NULL: none there, or no memory to say so. */
static char *find_user_file(void)
{
    const char *folder = secure_getenv("XDG_CONFIG_HOME");
    CLEANUP(free) char *home = NULL;
    CLEANUP(free) char *path = NULL;
    int size = -1;

    if (folder && *folder == '/')
        size = asprintf(&path, "%s/%s", folder, user_file);
    else if ((home = settings_home()))
        size = asprintf(&path, "%s/.config/%s", home, user_file);
    if (size < 0) {
        path = NULL;
        return NULL;
    }
    return exists(path) ? take(path) : NULL;
}

char *settings_path(const char *file, struct aliyun_iot_error **error)
{
    const char *named = file ? file : secure_getenv("ALIYUN_IOT_CONFIG");
    char *path;

    if (!named || !*named) {
        path = find_user_file();
        if (path || !exists(system_file))
            return path;
        named = system_file;
    }
    path = strdup(named);
    if (!path)
        error_set_out_of_memory(error);
    return path;
}
