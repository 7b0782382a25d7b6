/* SPDX-License-Identifier: Apache-2.0 */
/* In place of fetch/modules.c, for programs that are linked with the whole library. */
#include "cloud/source.h"
#include "modules.h"

struct source *module_source_new(enum module_id id, const struct settings *settings,
        struct source *upstream, struct aliyun_iot_error **error)
{
    (void)id;
    (void)upstream;
    return cloud_source_new(settings, error);
}

const struct key_wrapper module_key_wrapper;
