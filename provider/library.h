/* SPDX-License-Identifier: Apache-2.0 */
/* libaliyun-iot, brought into the process at its first URI and not before. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include "../fetch/functions.h"
#include "provider.h"

/* What a URI names, with the library that it came from. All NULL: nothing. */
struct resolved {
    const struct functions *library;
    struct aliyun_iot_identity *identity;
    enum aliyun_iot_object object;
};

/*
 * Resolves a URI with the settings of this instance of the provider; blocks. Loads the library if
 * it is not there yet; it stays in the process, even if this module goes. What fails is tried
 * again at the next call.
 * Returns 1, and *resolved is to be given to resolved_clear(); or 0 with one error raised.
 */
int library_resolve(const struct provider *provider, const char *uri, struct resolved *resolved);

/*
 * Raises an error that this module found by itself, and traces it as the library does its own; or
 * the one error that there is no library. Returns 0.
 */
int library_refuse(const struct provider *provider, enum aliyun_iot_reason reason,
        const char *format, ...) __attribute__((format(printf, 3, 4)));

void resolved_clear(struct resolved *resolved);

#endif
