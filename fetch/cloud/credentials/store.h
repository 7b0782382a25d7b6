/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of one settings file, found when they are needed and kept. */
#ifndef CREDENTIALS_STORE_H
#define CREDENTIALS_STORE_H

#include "base/settings.h"
#include "cloud/credentials/credentials.h"

struct http_client;

/*
 * Keeps the credentials of one settings file: found at the first use, refreshed ahead of their
 * expiry, and kept while they are valid even if a refresh fails. Thread-safe.
 */
struct credentials_store;

/* settings and http must outlive the store. NULL when out of memory. */
struct credentials_store *credentials_store_new(
        const struct settings *settings, struct http_client *http);
void credentials_store_free(struct credentials_store *store);
DEFINE_CLEANUP(struct credentials_store *, credentials_store_free);

/*
 * The credentials to sign with, to be given back by credentials_free(); or NULL with *error set
 * (NO_CREDENTIALS with every source tried and why it failed, BAD_SETTINGS, OUT_OF_MEMORY). Network
 * sources end by the deadline.
 */
struct credentials *credentials_get(
        struct credentials_store *store, int64_t deadline, struct aliyun_iot_error **error);

/*
 * The service called the security token of these credentials expired or wrong: if they are still
 * the newest, the next credentials_get() asks their source again.
 */
void credentials_reject(struct credentials_store *store, const struct credentials *credentials);

/*
 * The service does not know the AccessKey id, or the secret does not fit it: reads the source
 * again, in case somebody corrected or rotated the key there, but at most every few seconds.
 * Returns whether credentials_get() now gives other credentials than these.
 */
bool credentials_reread(
        struct credentials_store *store, const struct credentials *credentials, int64_t deadline);

#endif
