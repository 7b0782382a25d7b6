/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/oauth_profile.h"

#include <string.h>
#include <strings.h>

#include "base/process.h"
#include "base/read_file.h"
#include "cloud/http.h"

enum {
    ANSWER_ROOM_BYTES = HTTP_ANSWER_MAX_BYTES + 4096, /* an answer cannot add more to the file */
    READS_MAX = 20,
    READ_PAUSE_MS = 50
};

static const struct oauth_site sites[] = {
        {"CN", "https://oauth.aliyun.com/v1/token", "https://oauth.aliyun.com/v1/exchange",
                "4038181954557748008"},
        {"INTL", "https://oauth.alibabacloud.com/v1/token",
                "https://oauth.alibabacloud.com/v1/exchange", "4103531455503354461"},
};

void oauth_profile_close(struct oauth_profile *profile)
{
    config_file_free(profile->file);
    BUF_MEM_free(profile->text);
    json_free(profile->root);
}

const char *oauth_profile_value(const struct oauth_profile *profile, const char *key)
{
    const char *text = json_string(profile->entry, key);

    return text && *text ? text : NULL;
}

bool oauth_profile_has(const struct oauth_profile *profile, const char *key, const char *text)
{
    const char *now = oauth_profile_value(profile, key);

    return now && strcmp(now, text) == 0;
}

/* Python's client takes CN where there is none. */
static const struct oauth_site *find_site(const cJSON *entry)
{
    const char *name = json_string(entry, "oauth_site_type");

    for (size_t index = 0; index < sizeof(sites) / sizeof(sites[0]); index++)
        if (strcasecmp(name ? name : "CN", sites[index].name) == 0)
            return &sites[index];
    return NULL;
}

static int refuse_profile(
        const struct oauth_profile *profile, const char *problem, struct aliyun_iot_error **error)
{
    credentials_refuse(error, profile->given->place, "%s", problem);
    return 0;
}

int oauth_profile_read(struct oauth_profile *profile, struct aliyun_iot_error **error)
{
    const cJSON *given = profile->given->profile;
    const char *problem = NULL;

    BUF_MEM_free(profile->text);
    json_free(profile->root);
    profile->root = NULL;
    profile->entry = NULL;
    profile->text = read_file(
            profile->given->path, PROFILE_FILE_MAX_BYTES, ALIYUN_IOT_REASON_NO_CREDENTIALS, error);
    if (!profile->text)
        return 0;
    profile->root = json_parse_file(profile->text->data, profile->text->length, &problem);
    if (!profile->root)
        return refuse_profile(profile, problem, error);
    profile->entry = cli_profile_find(profile->root, json_string(given, "name"));
    if (!profile->entry || !oauth_profile_has(profile, "mode", json_string(given, "mode")))
        return refuse_profile(profile, "the profile has just been changed", error);
    profile->site = find_site(profile->entry);
    return profile->site ? 1 : refuse_profile(profile, "oauth_site_type must be CN or INTL", error);
}

int oauth_profile_prepare(struct oauth_profile *profile, struct aliyun_iot_error **error)
{
    return config_file_prepare(profile->file, profile->text->length + ANSWER_ROOM_BYTES, error);
}

/* Other clients write the file in place: what is read may be a part. */
static int read_whole(struct oauth_profile *profile, struct aliyun_iot_error **error)
{
    for (int count = 1; count < READS_MAX; count++) {
        if (oauth_profile_read(profile, NULL))
            return 1;
        process_sleep(READ_PAUSE_MS);
    }
    return oauth_profile_read(profile, error);
}

int oauth_profile_save(struct oauth_profile *profile, const char *key, const char *expected,
        const struct json_change *changes, size_t count, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *edited = NULL;

    if (!read_whole(profile, error))
        return 0;
    if (!oauth_profile_has(profile, key, expected))
        return 1;
    edited = json_edit(profile->text, profile->root, profile->entry, changes, count);
    if (!edited)
        return error_set_out_of_memory(error);
    return config_file_replace(profile->file, edited, error) && oauth_profile_read(profile, error);
}
