/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AccessKeys, found as the ecosystem's default chain finds them, a file for each source
 * (credentials_*.c) and one line for each in the table of credentials.c.
 */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include <stdint.h>

#include "../error.h"
#include "../settings.h"
#include "http.h"

/* Immutable and reference counted. */
struct credentials {
    char *access_key_id;
    char *access_key_secret;
    char *security_token; /* NULL: a permanent key */
    int64_t expiration;   /* seconds since 1970; 0: never */
    char *source;         /* for messages: "environment", "CLI profile default (/path)", ... */
    int references;       /* atomic */
};

/*
 * A place where credentials are kept for one settings file: found at the first use, refreshed
 * ahead of their expiry, and kept while they are valid even if a refresh fails. Thread-safe.
 */
struct credentials_store;

/* settings and http must outlive the store. NULL when out of memory. */
struct credentials_store *credentials_store_new(
        const struct settings *settings, struct http_client *http);
void credentials_store_free(struct credentials_store *store);
DEFINE_CLEANUP(struct credentials_store *, credentials_store_free);

/*
 * The credentials to sign with, to be given back by credentials_free(); or NULL with *error set
 * (NO_CREDENTIALS with every source tried and why it failed, TIMEOUT, ...). Network sources end
 * by the deadline.
 */
struct credentials *credentials_get(
        struct credentials_store *store, int64_t deadline, struct aliyun_iot_error **error);

/*
 * The service rejected these credentials as expired or unknown: if they are still the newest, the
 * next credentials_get() asks their source again.
 */
void credentials_reject(struct credentials_store *store, const struct credentials *credentials);

/* For pthread_atfork(); forked in the child, which holds the lock. */
void credentials_store_lock(struct credentials_store *store);
void credentials_store_unlock(struct credentials_store *store);
void credentials_store_forked(struct credentials_store *store);

/* Gives back a reference; the last one cleanses. NULL is ignored. */
void credentials_free(struct credentials *credentials);
DEFINE_CLEANUP(struct credentials *, credentials_free);

#endif
