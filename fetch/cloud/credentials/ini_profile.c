/* SPDX-License-Identifier: Apache-2.0 */
/* ~/.alibabacloud/credentials, the file of the Alibaba Cloud SDKs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/text.h"
#include "cloud/credentials/ini_file.h"
#include "cloud/credentials/temporary.h"

/* What a profile is read with. */
struct ini_reading {
    const struct credentials_search *search;
    const struct ini_file *file;
    const char *section;
    const char *place;
};

static const char *value_of(const struct ini_reading *reading, const char *key)
{
    return ini_file_value(reading->file, reading->section, key);
}

static struct role_request role_of(const struct ini_reading *reading)
{
    return (struct role_request){
            .role_arn = value_of(reading, "role_arn"),
            .session_name = value_of(reading, "role_session_name"),
            .policy = value_of(reading, "policy"),
    };
}

static struct credentials *read_keys(
        const struct ini_reading *reading, struct aliyun_iot_error **error)
{
    return credentials_new(value_of(reading, "access_key_id"),
            value_of(reading, "access_key_secret"), NULL, 0, reading->place, error);
}

static struct credentials *read_role(
        const struct ini_reading *reading, struct aliyun_iot_error **error)
{
    CLEANUP(credentials_free) struct credentials *base = read_keys(reading, error);
    const struct role_request role = role_of(reading);

    return base ? credentials_assume_role(reading->search, base, &role, reading->place, error)
                : NULL;
}

static struct credentials *read_oidc(
        const struct ini_reading *reading, struct aliyun_iot_error **error)
{
    const struct role_request role = role_of(reading);

    return credentials_assume_role_with_oidc(reading->search, &role,
            value_of(reading, "oidc_provider_arn"), value_of(reading, "oidc_token_file_path"),
            reading->place, error);
}

static struct credentials *read_machine(
        const struct ini_reading *reading, struct aliyun_iot_error **error)
{
    return credentials_of_machine(reading->search, value_of(reading, "role_name"), error);
}

static struct credentials *read_unusable(
        const struct ini_reading *reading, struct aliyun_iot_error **error)
{
    return credentials_refuse(error, reading->place,
            "type %s holds no AccessKey, so it cannot call QueryDeviceCert; choose another profile",
            value_of(reading, "type"));
}

static const struct {
    const char *type;
    struct credentials *(*read)(const struct ini_reading *reading, struct aliyun_iot_error **error);
} types[] = {
        {"access_key", read_keys},
        {"ram_role_arn", read_role},
        {"oidc_role_arn", read_oidc},
        {"ecs_ram_role", read_machine},
        {"rsa_key_pair", read_unusable},
        {"bearer", read_unusable},
};

static struct credentials *read_profile(
        const struct ini_reading *reading, struct aliyun_iot_error **error)
{
    const char *type = value_of(reading, "type");

    if (!ini_file_has_section(reading->file, reading->section))
        return credentials_absent(error, reading->place, "there is no such section");
    if (!type || !*type)
        return credentials_refuse(error, reading->place, "it has no type");
    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++)
        if (strcmp(type, types[index].type) == 0)
            return types[index].read(reading, error);
    return credentials_refuse(error, reading->place, "type %.40s is not supported", type);
}

/* Python's and Java's SDKs have another name for the file; it counts if it is the only one. */
static char *find_file(void)
{
    static const char variable[] = "ALIBABA_CLOUD_CREDENTIALS_FILE";
    CLEANUP(free) char *path = credentials_file(variable, ".alibabacloud/credentials");
    CLEANUP(free) char *other = credentials_file(variable, ".alibabacloud/credentials.ini");

    if (path && other && access(path, F_OK) != 0 && access(other, F_OK) == 0)
        return take(other);
    return take(path);
}

struct credentials *credentials_from_ini_profile(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    const char *section = search->profile ? search->profile : "default";
    CLEANUP(free) char *path = find_file();
    CLEANUP(BUF_MEM_free) BUF_MEM *text = NULL;
    __attribute__((cleanup(ini_file_release))) struct ini_file file = {0};
    CLEANUP(free) char *place = NULL;

    if (!path)
        return credentials_absent(error, "INI profile", "there is no home folder");
    text = credentials_read_file(search->settings, path, error);
    if (!text)
        return NULL;
    if (asprintf(&place, "INI profile %.64s (%s)", section, path) < 0)
        place = NULL;
    if (!place || !ini_file_parse(&file, text->data)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return read_profile(&(struct ini_reading){search, &file, section, place}, error);
}
