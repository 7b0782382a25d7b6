/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for credentials where Alibaba Cloud's own tools look: a file for each source, and one
 * line for each in the table of chain.c.
 */
#ifndef CREDENTIALS_CHAIN_H
#define CREDENTIALS_CHAIN_H

#include "base/settings.h"
#include "cloud/credentials/credentials.h"

struct http_client;
struct chain_source;

/*
 * Asks the sources in order, until one has credentials. *kept: the source that worked before, which
 * alone is asked; NULL: none yet; receives the one that worked. rejected: what the service did not
 * take; or NULL. Returns the credentials, or NULL with *error set: NO_CREDENTIALS with every source
 * tried and why it failed, or BAD_SETTINGS.
 */
struct credentials *chain_search(const struct settings *settings, struct http_client *http,
        const struct chain_source **kept, const struct credentials *rejected, int64_t deadline,
        struct aliyun_iot_error **error);

#endif
