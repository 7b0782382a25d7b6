/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of mode OAuth in config.json, which other processes change too. */
#ifndef OAUTH_PROFILE_H
#define OAUTH_PROFILE_H

#include <stdbool.h>

#include "cloud/credentials/config_file.h"
#include "cloud/credentials/json_edit.h"
#include "cloud/credentials/login.h"

/* The service of a site, and the public application as which the CLI logs in there. */
struct oauth_site {
    const char *name;
    const char *token_url;
    const char *exchange_url;
    const char *client_id;
};

/* Starts with search and given alone. */
struct oauth_profile {
    const struct credentials_search *search;
    const struct login_profile *given;
    struct config_file *file; /* locked; NULL: it cannot be changed */
    BUF_MEM *text;            /* of the whole file, as read last */
    cJSON *root;              /* of text */
    const cJSON *entry;       /* the profile in root */
    const struct oauth_site *site;
};

void oauth_profile_close(struct oauth_profile *profile);

/* Reads the file again. Returns 1; or 0 with *error set. */
int oauth_profile_read(struct oauth_profile *profile, struct aliyun_iot_error **error);

/* The text of that key, as read last; NULL: there is none, or it is empty. */
const char *oauth_profile_value(const struct oauth_profile *profile, const char *key);

/* Whether the key has that text. */
bool oauth_profile_has(const struct oauth_profile *profile, const char *key, const char *text);

/* Makes sure that the file can be changed, whatever an answer adds to it. Needs the lock. */
int oauth_profile_prepare(struct oauth_profile *profile, struct aliyun_iot_error **error);

/*
 * After oauth_profile_prepare(): reads the file again, changes these keys and nothing else, and
 * reads what it wrote. If key no longer has the expected text, somebody has logged in anew: nothing
 * is written. Returns 1; or 0 with *error set.
 */
int oauth_profile_save(struct oauth_profile *profile, const char *key, const char *expected,
        const struct json_change *changes, size_t count, struct aliyun_iot_error **error);

#endif
