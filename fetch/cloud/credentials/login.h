/* SPDX-License-Identifier: Apache-2.0 */
/* What the CLI's two modes that need a login, OAuth and CloudSSO, have in common. */
#ifndef CREDENTIALS_LOGIN_H
#define CREDENTIALS_LOGIN_H

#include "cloud/credentials/temporary.h"

enum { LOGIN_CODE_SIZE = 48 }; /* bytes of an error code, with the NUL */

/* A POST to a login service. */
struct login_request {
    const char *url;
    const char *content_type;
    const char *bearer; /* the access token; NULL: none is sent */
    const char *body;   /* may be empty */
    const char *secret; /* another token of the body, which no message may show; or NULL */
    int64_t deadline;
    bool once;                  /* it must not be sent twice */
    int64_t connect_timeout_ms; /* 0: the settings' */
};

/*
 * Returns the object that came with HTTP status 200, to be freed by json_free(). Otherwise NULL
 * with *error set to what happened, and the service's error code in code, or "".
 */
cJSON *login_ask(struct http_client *http, const struct login_request *request,
        char code[LOGIN_CODE_SIZE], struct aliyun_iot_error **error);

/* Whether the code says that the token is not, or no longer, valid. */
bool login_is_over(const char *code);

/* The profile needs a new login: an error that names the CLI's command for it. Returns NULL. */
struct credentials *login_required(const struct login_profile *profile, const char *mode,
        const char *problem, struct aliyun_iot_error **error);

/*
 * The temporary AccessKey that the CLI, or this library, keeps in the profile, if it lives longer
 * than the store's refresh takes and is not what the service rejected. NULL: there is none.
 */
struct credentials *login_cached(
        const struct credentials_search *search, const cJSON *profile, const char *place);

/* The integer of that name; 0: there is none. */
int64_t login_integer(const cJSON *object, const char *name);

#endif
