/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings_values.h"

#include <ctype.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/pattern.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/url.h"

const char settings_out_of_memory[] = "out of memory";

static const char *store_text(const struct settings_value *value, char *text)
{
    if (!text)
        return settings_out_of_memory;
    free(*(char **)value->place);
    *(char **)value->place = text;
    return NULL;
}

const char *settings_read_text(const struct settings_value *value)
{
    return *value->text ? store_text(value, strdup(value->text)) : "a value must follow the =";
}

const char *settings_read_name(const struct settings_value *value)
{
    if (value->text[strspn(value->text, ALPHANUMERIC "_-")])
        return "it may hold letters, digits, _ and - only";
    return settings_read_text(value);
}

const char *settings_read_region(const struct settings_value *value)
{
    if (value->text[strspn(value->text, LOWER_CASE DIGITS "-")])
        return "it may hold letters, digits and - only, in lower case";
    return settings_read_text(value);
}

/* A relative path starts from the folder of the settings file. */
const char *settings_read_path(const struct settings_value *value)
{
    const char *slash = value->file ? strrchr(value->file, '/') : NULL;
    char *path;

    if (*value->text == '/' || !*value->text || !slash)
        return settings_read_text(value);
    if (asprintf(&path, "%.*s/%s", (int)(slash - value->file), value->file, value->text) < 0)
        return settings_out_of_memory;
    return store_text(value, path);
}

static const char secret_expected[] = "expected file:PATH or systemd:NAME";

const char *settings_read_secret(const struct settings_value *value)
{
    static const char file[] = "file:", systemd[] = "systemd:";
    const char *problem, *name = value->text + strlen(systemd);
    struct settings_value path = *value;
    char *absolute = NULL, *source;

    if (strncmp(value->text, systemd, strlen(systemd)) == 0)
        return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0
                       ? settings_read_text(value)
                       : "systemd: must be followed by the name of a credential";
    if (strncmp(value->text, file, strlen(file)) != 0)
        return secret_expected;
    path.text += strlen(file);
    path.place = &absolute;
    problem = settings_read_path(&path);
    if (problem)
        return problem;
    if (asprintf(&source, "%s%s", file, absolute) < 0)
        source = NULL;
    free(absolute);
    return store_text(value, source);
}

const char *settings_read_sealing_key(const struct settings_value *value)
{
    const char *problem;

    if (strncmp(value->text, "pkcs11:", strlen("pkcs11:")) == 0)
        return settings_read_text(value);
    problem = settings_read_secret(value);
    return problem == secret_expected ? "expected file:PATH, systemd:NAME or a pkcs11: URI"
                                      : problem;
}

const char *settings_read_pkcs11_uri(const struct settings_value *value)
{
    return strncmp(value->text, "pkcs11:", strlen("pkcs11:")) == 0 ? settings_read_text(value)
                                                                   : "expected a pkcs11: URI";
}

const char *settings_read_patterns(const struct settings_value *value)
{
    return patterns_are_valid(value->text) ? settings_read_text(value)
                                           : "expected patterns of devices, such as a1B2c3D4e5F/*, "
                                             "with commas between them";
}

const char *settings_read_trace_file(const struct settings_value *value)
{
    return strcmp(value->text, "stderr") == 0 ? settings_read_text(value)
                                              : settings_read_path(value);
}

/*
 * The URL must have a host and nothing after it. The scheme's default port is dropped, because
 * libcurl leaves it out of the Host header, which is signed.
 */
static const char *store_endpoint(const struct settings_value *value, const struct url *url,
        const char *usual_port, const char *problem)
{
    size_t size = (size_t)(url->rest - url->scheme);
    char *endpoint;

    if (url->has_user || !url_has_valid_host(url) || (*url->rest && strcmp(url->rest, "/") != 0))
        return problem;
    endpoint = strndup(url->scheme, size);
    if (endpoint && url->port && strlen(usual_port) == url->port_size &&
            memcmp(url->port, usual_port, url->port_size) == 0)
        endpoint[url->port - 1 - url->scheme] = '\0';
    return store_text(value, endpoint);
}

const char *settings_read_https_endpoint(const struct settings_value *value)
{
    static const char problem[] =
            "it must be https://HOST or https://HOST:PORT, without path, query or user";
    struct url url;

    if (strncmp(value->text, "http:", 5) == 0)
        return "it must be https://, since the answer holds a private key";
    if (strncmp(value->text, "https://", 8) != 0)
        return "it must be https://HOST or https://HOST:PORT";
    return url_split(value->text, &url) ? store_endpoint(value, &url, "443", problem) : problem;
}

const char *settings_read_metadata_endpoint(const struct settings_value *value)
{
    static const char problem[] =
            "it must be http://HOST or http://HOST:PORT, without path, query or user";
    struct url url;

    if (strncmp(value->text, "http://", 7) != 0)
        return "it must be http://HOST or http://HOST:PORT";
    return url_split(value->text, &url) ? store_endpoint(value, &url, "80", problem) : problem;
}

/* Reads digits and moves *text behind them. Unlike strtoll(), it accepts no blanks and no sign. */
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

const char *settings_read_number(const struct settings_value *value)
{
    const char *text = value->text;
    int64_t number;

    if (!read_digits(&text, &number) || *text || number < value->least || number > value->most)
        return "it must be a whole number in the range that the manual page gives";
    *(int64_t *)value->place = number;
    return NULL;
}

const char *settings_read_owner(const struct settings_value *value)
{
    static const char problem[] = "it must be the name of a user, #UID, or any";
    struct passwd entry, *found = NULL;
    const char *text = value->text;
    int64_t *place = value->place;
    char names[4096];
    uint32_t uid;

    if (strcmp(text, "any") == 0) {
        *place = SETTINGS_OWNER_ANY;
    } else if (*text == '#') {
        if (!text_read_id(text, &uid))
            return problem;
        *place = uid;
    } else {
        if (getpwnam_r(text, &entry, names, sizeof(names), &found) != 0 || !found)
            return "there is no such user; it must be the name of a user, #UID, or any";
        *place = entry.pw_uid;
    }
    return NULL;
}

/* Not strtod(): the decimal mark must be a point in every locale. */
const char *settings_read_rate(const struct settings_value *value)
{
    static const char problem[] = "it must be a number of calls a second, from 0.1 to 1000";
    const char *text = value->text;
    int64_t whole, fraction = 0, scale = 1;
    double rate;

    if (!read_digits(&text, &whole) || whole > 1000)
        return problem;
    if (*text == '.') {
        const char *digits = ++text;

        if (!read_digits(&text, &fraction) || text - digits > 6)
            return problem;
        for (; digits < text; digits++)
            scale *= 10;
    }
    rate = (double)whole + (double)fraction / (double)scale;
    if (*text || rate < 0.1 || rate > 1000)
        return problem;
    *(double *)value->place = rate;
    return NULL;
}

const char *settings_read_time(const struct settings_value *value)
{
    static const char problem[] = "it must be a number with a unit: 500ms, 10s, 15m, 1h, 2d";
    static const struct {
        const char *name;
        int64_t size_ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const char *unit = value->text;
    int64_t number;

    if (!read_digits(&unit, &number))
        return problem;
    for (size_t index = 0; index < sizeof(units) / sizeof(units[0]); index++) {
        if (strcmp(unit, units[index].name) != 0 && !(number == 0 && !*unit))
            continue;
        if (number > value->most / units[index].size_ms ||
                number * units[index].size_ms < value->least)
            return "it is outside of the range that the manual page gives";
        *(int64_t *)value->place = number * units[index].size_ms;
        return NULL;
    }
    return problem;
}

const char *settings_read_signature(const struct settings_value *value)
{
    if (strcmp(value->text, "acs3") == 0)
        *(enum signature_kind *)value->place = SIGNATURE_ACS3;
    else if (strcmp(value->text, "rpc") == 0)
        *(enum signature_kind *)value->place = SIGNATURE_RPC;
    else
        return "it must be acs3 or rpc";
    return NULL;
}

const char *settings_read_level(const struct settings_value *value)
{
    static const char *const names[] = {
            [TRACE_OFF] = "off",
            [TRACE_ERROR] = "error",
            [TRACE_INFO] = "info",
            [TRACE_DEBUG] = "debug",
    };

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        if (strcmp(value->text, names[index]) == 0) {
            *(enum trace_level *)value->place = (enum trace_level)index;
            return NULL;
        }
    }
    return "it must be off, error, info or debug";
}

const char *settings_read_yes_or_no(const struct settings_value *value)
{
    bool is_yes = strcmp(value->text, "yes") == 0;

    if (!is_yes && strcmp(value->text, "no") != 0)
        return "it must be yes or no";
    *(bool *)value->place = is_yes;
    return NULL;
}

const char *settings_read_sync(const struct settings_value *value)
{
    bool is_always = strcmp(value->text, "always") == 0;

    if (!is_always && strcmp(value->text, "1s") != 0)
        return "it must be 1s or always";
    *(bool *)value->place = is_always;
    return NULL;
}
