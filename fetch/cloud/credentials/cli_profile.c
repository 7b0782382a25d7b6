/* SPDX-License-Identifier: Apache-2.0 */
/* ~/.aliyun/config.json, the file of the aliyun command line. */
#include "cloud/credentials/temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/text.h"

enum { CHAIN_MAX = 8 /* source profiles behind each other */ };

/* The profile that was chosen by name, or the file's own choice. */
static const char *profile_name(const struct credentials_search *search, const cJSON *file)
{
    const char *name = search->profile ? search->profile : json_string(file, "current");

    return name && *name ? name : "default";
}

const cJSON *cli_profile_find(const cJSON *file, const char *name)
{
    const cJSON *profile;

    cJSON_ArrayForEach(profile, cJSON_GetObjectItemCaseSensitive(file, "profiles"))
    {
        const char *its_name = json_string(profile, "name");

        if (its_name && strcmp(its_name, name) == 0)
            return profile;
    }
    return NULL;
}

/* What a profile is read with. */
struct cli_reading {
    const struct credentials_search *search;
    const cJSON *file;
    const char *place;
    int depth; /* of source profiles */
    const char *path;
};

static struct credentials *read_profile(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error);

/* Node's SDK reads duration_seconds. A duration may be written as a number or as a string. */
static void format_duration(const cJSON *profile, char text[24])
{
    const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(profile, "expired_seconds");

    if (!seconds)
        seconds = cJSON_GetObjectItemCaseSensitive(profile, "duration_seconds");
    text[0] = '\0';
    if (cJSON_IsNumber(seconds) && seconds->valuedouble != 0)
        snprintf(text, 24, "%d", seconds->valueint);
    else if (cJSON_IsString(seconds))
        snprintf(text, 24, "%.23s", seconds->valuestring);
}

/* duration must live as long as what is returned. */
static struct role_request role_of(const cJSON *profile, char duration[24])
{
    format_duration(profile, duration);
    return (struct role_request){
            .role_arn = json_string(profile, "ram_role_arn"),
            .session_name = json_string(profile, "ram_session_name"),
            .duration = duration,
            .policy = json_string(profile, "policy"),
            .external_id = json_string(profile, "external_id"),
            .endpoint = json_string(profile, "sts_endpoint"),
            .region = json_string(profile, "sts_region"),
            .vpc = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(profile, "enable_vpc")),
    };
}

static struct credentials *assume_role(const struct cli_reading *reading, const cJSON *profile,
        struct credentials *base, struct aliyun_iot_error **error)
{
    char duration[24];
    const struct role_request role = role_of(profile, duration);

    return credentials_assume_role(reading->search, base, &role, reading->place, error);
}

static struct credentials *read_static(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_new(json_string(profile, "access_key_id"),
            json_string(profile, "access_key_secret"), json_string(profile, "sts_token"), 0,
            reading->place, error);
}

static struct credentials *read_ak(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_new(json_string(profile, "access_key_id"),
            json_string(profile, "access_key_secret"), NULL, 0, reading->place, error);
}

static struct credentials *read_sts_token(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    const char *token = json_string(profile, "sts_token");

    if (!token || !*token)
        return credentials_refuse(error, reading->place, "mode StsToken needs sts_token");
    return read_static(reading, profile, error);
}

static struct credentials *read_role(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    CLEANUP(credentials_free) struct credentials *base = read_static(reading, profile, error);

    return base ? assume_role(reading, profile, base, error) : NULL;
}

/* A role that the role of the machine may take. */
static struct credentials *read_role_by_machine(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    CLEANUP(credentials_free)
    struct credentials *base =
            credentials_of_machine(reading->search, json_string(profile, "ram_role_name"), error);

    return base ? assume_role(reading, profile, base, error) : NULL;
}

static struct credentials *read_machine(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_of_machine(reading->search, json_string(profile, "ram_role_name"), error);
}

/* A role that another profile may take. */
static struct credentials *read_chain(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    const char *name = json_string(profile, "source_profile");
    const cJSON *source = name ? cli_profile_find(reading->file, name) : NULL;
    struct cli_reading deeper = *reading;
    CLEANUP(credentials_free) struct credentials *base = NULL;

    if (!source)
        return credentials_refuse(error, reading->place, "source_profile names no profile");
    if (++deeper.depth > CHAIN_MAX)
        return credentials_refuse(
                error, reading->place, "the chain of source profiles is a loop, or too long");
    base = read_profile(&deeper, source, error);
    return base ? assume_role(reading, profile, base, error) : NULL;
}

static struct credentials *read_oidc(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    char duration[24];
    const struct role_request role = role_of(profile, duration);

    return credentials_assume_role_with_oidc(reading->search, &role,
            json_string(profile, "oidc_provider_arn"), json_string(profile, "oidc_token_file"),
            reading->place, error);
}

static struct credentials *read_external(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_of_command(
            reading->search, json_string(profile, "process_command"), reading->place, error);
}

static struct credentials *read_uri(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    const char *uri = credentials_or_environment(
            json_string(profile, "credentials_uri"), "ALIBABA_CLOUD_CREDENTIALS_URI");

    if (credentials_external_is_disabled())
        return credentials_refuse(error, reading->place,
                "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids mode CredentialsURI");
    if (!uri)
        return credentials_refuse(error, reading->place, "credentials_uri is missing");
    return credentials_of_uri(reading->search, uri, error);
}

static struct credentials *read_oauth(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_of_oauth(reading->search,
            &(struct login_profile){reading->path, profile, reading->place}, error);
}

static struct credentials *read_cloud_sso(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_of_cloud_sso(reading->search,
            &(struct login_profile){reading->path, profile, reading->place}, error);
}

static struct credentials *read_unusable(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    return credentials_refuse(error, reading->place,
            "mode %s holds no AccessKey, so it cannot call QueryDeviceCert; choose another profile",
            json_string(profile, "mode"));
}

static const struct {
    const char *mode;
    struct credentials *(*read)(const struct cli_reading *reading, const cJSON *profile,
            struct aliyun_iot_error **error);
} modes[] = {
        {"AK", read_ak},
        {"StsToken", read_sts_token},
        {"RamRoleArn", read_role},
        {"RamRoleArnWithRoleName", read_role_by_machine},
        {"ChainableRamRoleArn", read_chain},
        {"EcsRamRole", read_machine},
        {"OIDC", read_oidc},
        {"External", read_external},
        {"CredentialsURI", read_uri},
        {"OAuth", read_oauth},
        {"CloudSSO", read_cloud_sso},
        {"RsaKeyPair", read_unusable},
        {"BearerToken", read_unusable},
        {"Anonymous", read_unusable},
};

static struct credentials *read_profile(
        const struct cli_reading *reading, const cJSON *profile, struct aliyun_iot_error **error)
{
    const char *mode = json_string(profile, "mode");

    if (!mode || !*mode)
        return credentials_refuse(
                error, reading->place, "it has no mode; run \"aliyun configure\" for it");
    for (size_t index = 0; index < sizeof(modes) / sizeof(modes[0]); index++)
        if (strcasecmp(mode, modes[index].mode) == 0)
            return modes[index].read(reading, profile, error);
    return credentials_refuse(error, reading->place, "mode %.40s is not supported", mode);
}

/* A profile that was chosen by name may be one of the other file's; the file's own choice not. */
static struct credentials *read_profiles(const struct credentials_search *search, const char *path,
        const cJSON *file, struct aliyun_iot_error **error)
{
    const char *name = profile_name(search, file);
    const cJSON *profile = cli_profile_find(file, name);
    CLEANUP(free) char *place = NULL;

    if (asprintf(&place, "CLI profile %.64s (%s)", name, path) < 0) {
        place = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!profile && search->profile)
        return credentials_absent(error, place, "there is no such profile");
    if (!profile)
        return credentials_refuse(error, place, "there is no such profile");
    return read_profile(&(struct cli_reading){search, file, place, 0, path}, profile, error);
}

struct credentials *credentials_from_cli_profile(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *path = credentials_file("ALIBABA_CLOUD_CONFIG_FILE", ".aliyun/config.json");
    CLEANUP(BUF_MEM_free) BUF_MEM *text = NULL;
    CLEANUP(json_free) cJSON *file = NULL;
    const char *problem = NULL;

    if (credentials_environment_is_true("ALIBABA_CLOUD_CLI_PROFILE_DISABLED"))
        return credentials_absent(
                error, "CLI profile", "ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true");
    if (!path)
        return credentials_absent(error, "CLI profile", "there is no home folder");
    text = credentials_read_file(search->settings, path, error);
    if (!text)
        return NULL;
    file = json_parse_file(text->data, text->length, &problem);
    if (!file)
        return credentials_refuse(error, path, "%s", problem);
    return read_profiles(search, path, file, error);
}
