/* SPDX-License-Identifier: Apache-2.0 */
/* ~/.alibabacloud/credentials, the file of the Alibaba Cloud SDKs. */
#include "credentials_temporary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ini.h"
#include "../read_file.h"

enum { PROFILE_FILE_MAX = 1024 * 1024 };

DEFINE_CLEANUP(char *, free);

/* Owned by the configuration; NULL: not there. */
static const char *value_of(struct ini_cfgobj *config, const char *section, const char *name)
{
    struct value_obj *value = config_value(config, section, name);

    return value ? ini_get_const_string_config_value(value, NULL) : NULL;
}

static struct credentials *read_keys(struct ini_cfgobj *config, const char *section,
        const char *place, struct aliyun_iot_error **error)
{
    return credentials_new(value_of(config, section, "access_key_id"),
            value_of(config, section, "access_key_secret"), NULL, 0, place, error);
}

static struct credentials *read_role(const struct credentials_search *search,
        struct ini_cfgobj *config, const char *section, const char *place,
        struct aliyun_iot_error **error)
{
    CLEANUP(credentials_free)
    struct credentials *base = read_keys(config, section, place, error);
    const struct role_request role = {
            .role_arn = value_of(config, section, "role_arn"),
            .session_name = value_of(config, section, "role_session_name"),
            .policy = value_of(config, section, "policy"),
    };

    return base ? credentials_assume_role(search, base, &role, place, error) : NULL;
}

static struct credentials *read_profile(const struct credentials_search *search,
        struct ini_cfgobj *config, const char *section, const char *place,
        struct aliyun_iot_error **error)
{
    const char *type = value_of(config, section, "type");

    if (!type)
        return credentials_refuse(error, place, "there is no such section, or it has no type");
    if (strcmp(type, "access_key") == 0)
        return read_keys(config, section, place, error);
    if (strcmp(type, "ram_role_arn") == 0)
        return read_role(search, config, section, place, error);
    if (strcmp(type, "ecs_ram_role") == 0)
        return credentials_of_machine(search, value_of(config, section, "role_name"), error);
    return credentials_refuse(error, place, "type %.40s is not supported", type);
}

/*
 * The documented form of the file has comments after a [section] and after values, which
 * libini_config takes for a mistake and for a part of the value.
 */
static void blank_comments(BUF_MEM *text)
{
    bool in_comment = false;

    for (size_t index = 0; index < text->length; index++) {
        char *byte = &text->data[index];

        if (*byte == '\n')
            in_comment = false;
        else if (!in_comment && (*byte == '#' || *byte == ';'))
            in_comment = index > 0 && (byte[-1] == ' ' || byte[-1] == '\t');
        if (in_comment)
            *byte = ' ';
    }
}

static struct credentials *parse(const struct credentials_search *search, const char *path,
        BUF_MEM *text, struct aliyun_iot_error **error)
{
    const char *section = search->settings->credentials_profile;
    CLEANUP(config_file_destroy) struct ini_cfgfile *source = NULL;
    CLEANUP(config_destroy) struct ini_cfgobj *config = NULL;
    CLEANUP(free) char *place = NULL;
    int problem;

    if (!section)
        section = credentials_environment("ALIBABA_CLOUD_PROFILE");
    if (!section)
        section = "default";
    if (asprintf(&place, "INI profile %.64s (%s)", section, path) < 0) {
        place = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    if (text->length == 0)
        return credentials_refuse(error, place, "the file is empty");
    blank_comments(text);
    problem = ini_config_file_from_mem(text->data, (uint32_t)text->length, &source);
    if (problem != 0 && problem != ENOMEM)
        return credentials_refuse(error, place, "the file is not UTF-8 text");
    if (problem != 0 || ini_config_create(&config) != 0) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (ini_config_parse(source, INI_STOP_ON_ANY, INI_MV1S_ERROR, INI_PARSE_NOWRAP, config) != 0)
        return credentials_refuse(error, place, "the file cannot be parsed");
    return read_profile(search, config, section, place, error);
}

struct credentials *credentials_from_ini_profile(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    CLEANUP(free)
    char *path = credentials_file("ALIBABA_CLOUD_CREDENTIALS_FILE", ".alibabacloud/credentials");
    CLEANUP(BUF_MEM_free) BUF_MEM *text = NULL;

    if (!path)
        return credentials_refuse(error, "INI profile", "there is no home folder");
    text = read_file(path, PROFILE_FILE_MAX, ALIYUN_IOT_REASON_NO_CREDENTIALS, error);
    if (!text)
        return NULL;
    credentials_warn_if_shared(search->settings, path);
    return parse(search, path, text, error);
}
