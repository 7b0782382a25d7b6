/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

#include "export.h"

EXPORT const struct functions aliyun_iot_functions = {.size = sizeof(aliyun_iot_functions),
#define FUNCTION(name) .name = aliyun_iot_##name,
        FUNCTIONS(FUNCTION)
#undef FUNCTION
};
