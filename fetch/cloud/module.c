/* SPDX-License-Identifier: Apache-2.0 */
/* The module cloud.so. */
#include "base/module.h"

#include "base/export.h"
#include "cloud/source.h"

static struct source *source_new(const struct core_functions *core, const struct settings *settings,
        struct aliyun_iot_error **error)
{
    module_use_core(core);
    return cloud_source_new(settings, error);
}

EXPORT const struct module aliyun_iot_module = {VERSION, source_new};
