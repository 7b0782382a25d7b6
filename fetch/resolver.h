/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver: from a URI to an identity, by the settings of one file. There is one for each
 * settings file in the process, shared by all provider instances, library contexts and threads,
 * and never taken down: an identity fetched for one is there for all.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "settings.h"
#include "uri.h"

struct resolver;

/*
 * The process's resolver for a settings file (see settings_load()), made at the first use.
 * NULL with *error set; that is not remembered, so a settings file that was mended is read again.
 */
struct resolver *resolver_find(const char *settings_file, struct aliyun_iot_error **error);

/* Returns a reference to the identity; or NULL with *error set. Blocks for timeout at most. */
struct aliyun_iot_identity *resolver_resolve(
        struct resolver *resolver, const struct uri *uri, struct aliyun_iot_error **error);

#endif
