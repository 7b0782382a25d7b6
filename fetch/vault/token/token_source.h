/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices whose keys live in a token. The first time, a device's key and certificates come from
 * another source, and are imported; from then on the token signs, and nobody is asked.
 */
#ifndef TOKEN_SOURCE_H
#define TOKEN_SOURCE_H

#include "base/settings.h"
#include "base/source.h"

/*
 * settings, which name a token, and upstream must outlive the source. NULL with *error set.
 */
struct source *token_source_new(
        const struct settings *settings, struct source *upstream, struct aliyun_iot_error **error);

#endif
