/* SPDX-License-Identifier: Apache-2.0 */
/* The module cloud.so. */
#include "base/module.h"

#include "base/export.h"
#include "cloud/source.h"

EXPORT const struct module aliyun_iot_module = {VERSION, module_use_core, cloud_source_new, NULL};
