/* SPDX-License-Identifier: Apache-2.0 */
/* What a source of credentials is: one function, in a file of its own. */
#ifndef CREDENTIALS_SEARCH_H
#define CREDENTIALS_SEARCH_H

#include <openssl/buffer.h>

#include "base/settings.h"
#include "cloud/credentials/credentials.h"

struct http_client;

enum { PROFILE_FILE_MAX_BYTES = 1024 * 1024 };

/* What a source may use. */
struct credentials_search {
    const struct settings *settings;
    struct http_client *http;
    const char *profile; /* chosen by name, in the settings or the environment; NULL: none */
    /* What the service rejected, so that a source does not return its own copy of it; or NULL. */
    const struct credentials *rejected;
    int64_t deadline;
};

/*
 * Looks in one place. Returns new credentials; or NULL with *error set and a message that says
 * what was looked for: of class NOT_FOUND if the place (variable, file or profile chosen by name)
 * does not exist or is switched off, of another class if it exists and cannot be used.
 */
typedef struct credentials *credentials_source(
        const struct credentials_search *search, struct aliyun_iot_error **error);

credentials_source credentials_from_environment;
credentials_source credentials_from_oidc;
credentials_source credentials_from_cli_profile;
credentials_source credentials_from_ini_profile;
credentials_source credentials_from_ecs_metadata;
credentials_source credentials_from_uri;

/* "place: problem", of class NO_CREDENTIALS. Returns NULL, for return statements. */
struct credentials *credentials_refuse(struct aliyun_iot_error **error, const char *place,
        const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "place: problem", of class NOT_FOUND. Returns NULL, for return statements. */
struct credentials *credentials_absent(
        struct aliyun_iot_error **error, const char *place, const char *problem);

/* The value of an environment variable that is set and not empty; else NULL. */
const char *credentials_environment(const char *name);

/* Whether an environment variable is "true", in any case of letters. */
bool credentials_environment_is_true(const char *name);

/* Whether ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids the CLI's modes External and
 * CredentialsURI. */
bool credentials_external_is_disabled(void);

/* value, unless it is NULL or empty: then that environment variable's; NULL if neither is set. */
const char *credentials_or_environment(const char *value, const char *name);

/*
 * The path that an environment variable names, or the one of that name in the user's home; to be
 * freed by the caller. NULL when there is no memory, or no home.
 */
char *credentials_file(const char *variable, const char *path_in_home);

/*
 * Reads a file of secrets, as read_file() does, and traces a warning if group or others may read
 * it. NULL with *error set: of class NOT_FOUND if there is no such file.
 */
BUF_MEM *credentials_read_file(
        const struct settings *settings, const char *path, struct aliyun_iot_error **error);

#endif
