/* SPDX-License-Identifier: Apache-2.0 */
/* Some devices come from one source, and all others from another. */
#ifndef DEVICES_SOURCE_H
#define DEVICES_SOURCE_H

#include "base/source.h"

/*
 * patterns: of the devices that come from some (see base/pattern.h); they must outlive the source.
 * Both sources become the new one's, and some is freed first; or both are freed, if there is none.
 * NULL with *error set.
 */
struct source *devices_source_new(const char *patterns, struct source *some, struct source *others,
        struct aliyun_iot_error **error);

#endif
