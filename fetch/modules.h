/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads modules (see base/module.h) from one absolute folder, which is set at compile time, or from
 * the folder that ALIYUN_IOT_MODULES names. A module is never unloaded.
 */
#ifndef MODULES_H
#define MODULES_H

#include "base/key_wrapper.h"
#include "base/settings.h"
#include "base/source.h"

enum module_id { MODULE_CLOUD, MODULE_TOKEN };

/*
 * The source of a module. Its first fetch loads the module, so that a process which fetches nothing
 * does not load it. settings and upstream, which may be NULL, must outlive the source. NULL with
 * *error set.
 */
struct source *module_source_new(enum module_id id, const struct settings *settings,
        struct source *upstream, struct aliyun_iot_error **error);

/* That of the module for tokens, which is loaded when one of the functions is called. */
extern const struct key_wrapper module_key_wrapper;

#endif
