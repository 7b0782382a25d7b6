/* SPDX-License-Identifier: Apache-2.0 */
/* ~/.aliyun/config.json, the file of the aliyun command line. */
#include "credentials_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../read_file.h"
#include "json.h"

enum { PROFILE_FILE_MAX = 1024 * 1024 };

DEFINE_CLEANUP(char *, free);

/* The profile that the settings, the environment or the file itself names. */
static const char *profile_name(const struct settings *settings, const cJSON *file)
{
    const char *name = settings->credentials_profile;

    if (!name)
        name = credentials_environment("ALIBABA_CLOUD_PROFILE");
    if (!name)
        name = json_string(file, "current");
    return name && *name ? name : "default";
}

static const cJSON *find_profile(const cJSON *file, const char *name)
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

static struct credentials *read_profile(
        const cJSON *profile, const char *place, struct aliyun_iot_error **error)
{
    const char *mode = json_string(profile, "mode");
    const char *id = json_string(profile, "access_key_id");
    const char *secret = json_string(profile, "access_key_secret");
    const char *token = json_string(profile, "sts_token");

    if (!mode || strcasecmp(mode, "AK") == 0)
        return credentials_new(id, secret, NULL, 0, place, error);
    if (strcasecmp(mode, "StsToken") != 0)
        return credentials_refuse(error, place, "mode %.40s is not supported", mode);
    if (!token || !*token)
        return credentials_refuse(error, place, "mode StsToken needs sts_token");
    return credentials_new(id, secret, token, 0, place, error);
}

static struct credentials *read_profiles(const struct credentials_search *search, const char *path,
        const cJSON *file, struct aliyun_iot_error **error)
{
    const char *name = profile_name(search->settings, file);
    const cJSON *profile = find_profile(file, name);
    CLEANUP(free) char *place = NULL;

    if (asprintf(&place, "CLI profile %.64s (%s)", name, path) < 0) {
        place = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!profile)
        return credentials_refuse(error, place, "there is no such profile");
    return read_profile(profile, place, error);
}

struct credentials *credentials_from_cli_profile(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    const char *disabled = credentials_environment("ALIBABA_CLOUD_CLI_PROFILE_DISABLED");
    CLEANUP(free) char *path = credentials_file("ALIBABA_CLOUD_CONFIG_FILE", ".aliyun/config.json");
    CLEANUP(BUF_MEM_free) BUF_MEM *text = NULL;
    CLEANUP(json_free) cJSON *file = NULL;
    const char *problem = NULL;

    if (disabled && strcasecmp(disabled, "true") == 0)
        return credentials_refuse(
                error, "CLI profile", "ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true");
    if (!path)
        return credentials_refuse(error, "CLI profile", "there is no home folder");
    text = read_file(path, PROFILE_FILE_MAX, ALIYUN_IOT_REASON_NO_CREDENTIALS, error);
    if (!text)
        return NULL;
    file = json_parse(text->data, text->length, &problem);
    if (!file)
        return credentials_refuse(error, path, "%s", problem);
    return read_profiles(search, path, file, error);
}
