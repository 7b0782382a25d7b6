/* SPDX-License-Identifier: Apache-2.0 */
/* libaliyun-iot, which the provider loads at the first URI. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include "private/functions.h"
#include "provider.h"

/* What a URI names, with the library that it came from. All NULL: nothing. */
struct resolved {
    const struct functions *library;
    struct aliyun_iot_identity *identity;
    enum aliyun_iot_object object;
};

/*
 * Resolves a URI with the settings of this instance of the provider. It may block. It loads the
 * library if necessary; the library then stays in the process, even if this module is unloaded. If
 * the library cannot be loaded, the next call tries again.
 * Returns 1, and *resolved is to be given to resolved_clear(); or 0 with one error raised.
 */
int library_resolve(const struct provider *provider, const char *uri, struct resolved *resolved);

/*
 * Raises an error that this module has found, and writes it to the library's trace. If the library
 * cannot be loaded, raises that error instead. Returns 0.
 */
int library_refuse(const struct provider *provider, enum aliyun_iot_reason reason,
        const char *format, ...) __attribute__((format(printf, 3, 4)));

void resolved_clear(struct resolved *resolved);

#endif
