/* SPDX-License-Identifier: Apache-2.0 */
/* An AccessKey with what belongs to it: what a call is signed with. */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Immutable and reference counted. */
struct credentials {
    char *access_key_id;
    char *access_key_secret;
    char *security_token; /* NULL: a permanent key */
    int64_t expiration_s; /* seconds since 1970; 0: never */
    char *source;         /* for messages: "environment", "CLI profile default (/path)", ... */
    int references;       /* atomic */
};

/*
 * Copies the parts into new credentials after checking that they can stand in a header.
 * token may be NULL or empty: a permanent key. expiration: seconds since 1970, 0: never.
 * place: for messages, as in "environment". NULL with *error set, of class NO_CREDENTIALS.
 */
struct credentials *credentials_new(const char *access_key_id, const char *access_key_secret,
        const char *token, int64_t expiration_s, const char *place,
        struct aliyun_iot_error **error);

/* Adds a reference. Returns credentials. */
struct credentials *credentials_reference(struct credentials *credentials);

/* Whether both sign alike: the same AccessKey id, secret and token. */
bool credentials_equal(const struct credentials *left, const struct credentials *right);

/* Gives back a reference; the last one cleanses. NULL is ignored. */
void credentials_free(struct credentials *credentials);
DEFINE_CLEANUP(struct credentials *, credentials_free);

#endif
