/* SPDX-License-Identifier: Apache-2.0 */
/* What a source of credentials is: one function, in a file of its own. */
#ifndef CREDENTIALS_SOURCE_H
#define CREDENTIALS_SOURCE_H

#include <stdbool.h>

#include "credentials.h"

/* What a source may use. */
struct credentials_search {
    const struct settings *settings;
    struct http_client *http;
    int64_t deadline;
};

/*
 * Looks in one place. Returns new credentials; or NULL with *error set, of class NO_CREDENTIALS
 * when the place does not exist, and with a message that says what was looked for.
 */
typedef struct credentials *credentials_source(
        const struct credentials_search *search, struct aliyun_iot_error **error);

credentials_source credentials_from_environment;
credentials_source credentials_from_oidc;
credentials_source credentials_from_cli_profile;
credentials_source credentials_from_ini_profile;
credentials_source credentials_from_ecs_metadata;
credentials_source credentials_from_uri;

/* One more reference. Returns credentials. */
struct credentials *credentials_reference(struct credentials *credentials);

/*
 * Copies the parts into new credentials after checking that they can stand in a header.
 * token may be NULL or empty: a permanent key. expiration: seconds since 1970, 0: never.
 * place: for messages, as in "environment". NULL with *error set.
 */
struct credentials *credentials_new(const char *access_key_id, const char *access_key_secret,
        const char *token, int64_t expiration, const char *place, struct aliyun_iot_error **error);

/* "place: problem", of class NO_CREDENTIALS. Returns NULL, for return statements. */
struct credentials *credentials_refuse(struct aliyun_iot_error **error, const char *place,
        const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The value of an environment variable that is set and not empty; else NULL. */
const char *credentials_environment(const char *name);

/*
 * The path that an environment variable names, or the one of that name in the user's home; to be
 * freed by the caller. NULL when there is no memory, or no home.
 */
char *credentials_file(const char *variable, const char *path_in_home);

/* Traces a warning when group or others may read a file of secrets; the ecosystem takes it. */
void credentials_warn_if_shared(const struct settings *settings, const char *path);

#endif
