/* SPDX-License-Identifier: Apache-2.0 */
#include "provider.h"

#include <stdarg.h>

void provider_raise_at(const struct provider *provider, const char *file, int line,
        const char *function, enum aliyun_iot_reason reason, const char *format, ...)
{
    va_list arguments;

    provider->new_error(provider->core);
    provider->set_error_debug(provider->core, file, line, function);
    va_start(arguments, format);
    provider->vset_error(provider->core, reason, format, arguments);
    va_end(arguments);
}
