/* SPDX-License-Identifier: Apache-2.0 */
/* The module cloud.so. */
#include "base/module.h"

#include "base/export.h"
#include "cloud/source.h"

static struct source *source_new(
        const struct settings *settings, struct source *upstream, struct aliyun_iot_error **error)
{
    (void)upstream;
    return cloud_source_new(settings, error);
}

EXPORT const struct module aliyun_iot_module = {VERSION, module_use_core, source_new, NULL};
