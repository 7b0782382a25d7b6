/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolvers of the process: one for each settings file, shared by all provider instances,
 * library contexts and threads, so that an identity fetched for one is there for all.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "resolver.h"

/*
 * The resolver for a settings file (see settings_load()), made at the first use. Returns a
 * reference; or NULL with *error set. A failure is not remembered: a settings file that was mended
 * is read again.
 */
struct resolver *registry_find(const char *settings_file, struct aliyun_iot_error **error);

/*
 * Reads the settings file again and replaces its resolver. What is under way with the old one ends
 * with the old one. Returns 1; or 0 with *error set, and the old one stays.
 */
int registry_reload(const char *settings_file, struct aliyun_iot_error **error);

#endif
