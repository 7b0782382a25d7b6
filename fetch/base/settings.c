/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/read_file.h"
#include "base/settings_table.h"
#include "base/text.h"
#include "base/trace.h"

enum {
    FILE_SIZE_MAX_BYTES = 64 * 1024,
    NAME_SHOWN_MAX_BYTES = 60 /* bytes of a section or key that an error message repeats */
};

/* A settings file that is being read. */
struct reading {
    struct settings *settings;
    enum settings_files kind;
    const char *text;
    struct ini_cfgobj *config;
};

/* "FILE:LINE: NAME: PROBLEM" */
static int bad_settings(struct aliyun_iot_error **error, const char *file, int line,
        const char *name, const char *problem)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "settings file %.300s:%d: %.*s: %s",
            file, line, NAME_SHOWN_MAX_BYTES, name, problem);
}

/*
 * libini_config puts keys before the first [section] into a section named "default", but does not
 * list the first of them. So this looks for it in the text.
 */
static int refuse_key_without_section(
        const char *file, const char *text, struct aliyun_iot_error **error)
{
    char name[NAME_SHOWN_MAX_BYTES + 1];
    size_t size;
    int line = 1;

    for (; *text && strchr("#;\r\n", text[strspn(text, " \t")]); line++) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    text += strspn(text, " \t");
    size = strcspn(text, "= \t\r\n");
    if (size > NAME_SHOWN_MAX_BYTES)
        size = NAME_SHOWN_MAX_BYTES;
    memcpy(name, text, size);
    name[size] = '\0';
    return bad_settings(error, file, line, name, "a key must follow a [section]");
}

static int check_names(
        const struct reading *reading, const char *section, struct aliyun_iot_error **error)
{
    const char *file = reading->settings->file, *text = reading->text;
    bool is_agents = reading->kind == SETTINGS_AGENT;
    CLEANUP(config_names_free) char **names = NULL;
    int line = config_line(text, section, NULL);

    if (line == 0 && strcmp(section, INI_DEFAULT_SECTION) == 0)
        return refuse_key_without_section(file, text, error);
    if (is_agents && strncmp(section, SETTINGS_SOCKET_PREFIX, strlen(SETTINGS_SOCKET_PREFIX)) == 0)
        return 1;
    if (!settings_table_find(reading->kind, section, NULL))
        return bad_settings(error, file, line, section,
                is_agents ? "this section is unknown; agent.conf(5) lists the sections"
                          : "this section is unknown; aliyun-iot.conf(5) lists the sections");
    names = ini_get_attribute_list(reading->config, section, NULL, NULL);
    for (char **name = names; name && *name; name++)
        if (!settings_table_find(reading->kind, section, *name))
            return bad_settings(error, file, config_line(text, section, *name), *name,
                    is_agents ? "this key is unknown in its section; agent.conf(5) lists the keys"
                              : "this key is unknown in its section; aliyun-iot.conf(5) lists the "
                                "keys");
    return 1;
}

/* Returns NULL; or what is wrong with the text. */
static const char *set(struct settings *settings, const struct settings_key *key, const char *text)
{
    const struct settings_value value = {
            .text = text,
            .file = settings->file,
            .least = key->least,
            .most = key->most,
            .place = (char *)settings + key->offset,
    };

    return key->read(&value);
}

static int set_from_file(const struct reading *reading, const struct settings_key *key,
        struct aliyun_iot_error **error)
{
    struct value_obj *value = config_value(reading->config, key->section, key->name);
    const char *chosen, *problem;

    if (!value)
        return 1;
    chosen = ini_get_const_string_config_value(value, NULL);
    problem = set(reading->settings, key, chosen ? chosen : "");
    if (problem == settings_out_of_memory)
        return error_set_out_of_memory(error);
    return problem ? bad_settings(error, reading->settings->file,
                             config_line(reading->text, key->section, key->name), key->name,
                             problem)
                   : 1;
}

static int set_defaults(struct settings *settings, struct aliyun_iot_error **error)
{
    for (const struct settings_key *key = settings_table; key->section; key++)
        if (key->initial && set(settings, key, key->initial))
            return error_set_out_of_memory(error);
    return 1;
}

static int read_settings_file(struct settings *settings, enum settings_files kind,
        const char *advice, struct aliyun_iot_error **error)
{
    struct reading reading = {.settings = settings, .kind = kind};
    CLEANUP(BUF_MEM_free)
    BUF_MEM *text =
            read_file(settings->file, FILE_SIZE_MAX_BYTES, ALIYUN_IOT_REASON_BAD_SETTINGS, error);
    CLEANUP(config_destroy) struct ini_cfgobj *config = NULL;
    CLEANUP(config_names_free) char **sections = NULL;

    if (!text) {
        error_prefix(error, "settings file ");
        return error_append(error, "; %s", advice);
    }
    config = config_parse(text, error);
    if (!config)
        return error_prefix(error, "settings file %.300s: ", settings->file);
    sections = ini_get_section_list(config, NULL, NULL);
    reading.text = text->data;
    reading.config = config;
    for (char **section = sections; section && *section; section++)
        if (!check_names(&reading, *section, error))
            return 0;
    for (const struct settings_key *key = settings_table; key->section; key++)
        if (settings_key_is_in(key, kind) && !set_from_file(&reading, key, error))
            return 0;
    return 1;
}

/* Replaces a text by the value of an environment variable that is set. */
static int replace_by_environment(char **text, const char *name, struct aliyun_iot_error **error)
{
    const char *value = secure_getenv(name);
    char *copy;

    if (!value || !*value)
        return 1;
    copy = strdup(value);
    if (!copy)
        return error_set_out_of_memory(error);
    free(*text);
    *text = copy;
    return 1;
}

/* The environment overrides what the file says about the trace and the agent. */
static int set_from_environment(struct settings *settings, struct aliyun_iot_error **error)
{
    const char *agent = secure_getenv("ALIYUN_IOT_AGENT");
    const char *trace_file = settings->trace_file;

    if (!replace_by_environment(&settings->trace_file, "ALIYUN_IOT_TRACE", error) ||
            !replace_by_environment(&settings->agent_socket, "ALIYUN_IOT_AGENT", error))
        return 0;
    if (settings->trace_file != trace_file && settings->trace_level == TRACE_OFF)
        settings->trace_level = TRACE_INFO;
    /* The settings trust anybody at the path that they name themselves. */
    if (agent && *agent && settings->agent_owner_uid == SETTINGS_OWNER_ANY)
        settings->agent_owner_uid = SETTINGS_OWNER_SELF;
    return 1;
}

static int check_pair(const struct settings *settings, const char *section, const char *names[2],
        const char *const values[2], struct aliyun_iot_error **error)
{
    if (!values[0] == !values[1])
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "settings file %.300s: section [%s] has no %s; %s and %s belong together",
            settings->file, section, names[values[0] ? 1 : 0], names[0], names[1]);
}

static int check_pairs(const struct settings *settings, struct aliyun_iot_error **error)
{
    const char *vault[2] = {"path", "key"}, *token[2] = {"uri", "devices"};

    return check_pair(settings, "vault", vault,
                   (const char *const[]){settings->vault_path, settings->vault_key}, error) &&
           check_pair(settings, "token", token,
                   (const char *const[]){settings->token_uri, settings->token_devices}, error);
}

/* path: becomes the settings'; NULL: no file, all defaults. */
static struct settings *load(
        char *path, enum settings_files kind, const char *advice, struct aliyun_iot_error **error)
{
    CLEANUP(settings_free) struct settings *settings = calloc(1, sizeof(*settings));

    if (!settings) {
        free(path);
        error_set_out_of_memory(error);
        return NULL;
    }
    settings->file = path;
    settings->agent_owner_uid = SETTINGS_OWNER_SELF;
    if (!set_defaults(settings, error) ||
            (path && !read_settings_file(settings, kind, advice, error)) ||
            !check_pairs(settings, error) || !set_from_environment(settings, error))
        return NULL;
    if (settings->try_timeout_ms == 0)
        settings->try_timeout_ms = settings->timeout_ms / 3;
    if (settings->trace_file)
        settings->trace_output = trace_output_new();
    return take(settings);
}

struct settings *settings_load(const char *file, struct aliyun_iot_error **error)
{
    struct aliyun_iot_error *problem = NULL;
    char *path = settings_path(file, &problem);

    if (!problem)
        return load(path, SETTINGS_PROGRAM, settings_path_advice(file), error);
    if (error)
        *error = problem;
    else
        aliyun_iot_error_free(problem);
    return NULL;
}

struct settings *settings_load_for_agent(const char *file, struct aliyun_iot_error **error)
{
    struct settings *settings;
    char *path;

    if (!file) {
        settings = settings_load(NULL, error);
    } else {
        path = strdup(file);
        if (!path) {
            error_set_out_of_memory(error);
            return NULL;
        }
        settings = load(path, SETTINGS_AGENT, "correct its name, or let this user read it", error);
    }
    if (settings) {
        free(settings->agent_socket);
        settings->agent_socket = NULL;
    }
    return settings;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (const struct settings_key *key = settings_table; key->section; key++)
        if (key->is_string)
            free(*(char **)((char *)settings + key->offset));
    trace_output_free(settings->trace_output);
    free(settings->file);
    free(settings);
}
