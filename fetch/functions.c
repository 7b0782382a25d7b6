/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

__attribute__((visibility("default")))
const struct functions aliyun_iot_functions = {.size = sizeof(aliyun_iot_functions),
#define FUNCTION(name) .name = aliyun_iot_##name,
        FUNCTIONS(FUNCTION)
#undef FUNCTION
};
