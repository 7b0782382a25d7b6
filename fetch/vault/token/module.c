/* SPDX-License-Identifier: Apache-2.0 */
/* The module token.so. */
#include "base/module.h"

#include "base/export.h"
#include "vault/token/token_source.h"
#include "vault/token/wrapping.h"

EXPORT const struct module aliyun_iot_module = {
        VERSION, module_use_core, token_source_new, &wrapping};
