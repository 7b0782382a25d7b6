/* SPDX-License-Identifier: Apache-2.0 */
#include "library.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY_NAME "libaliyun-iot.so.0"

/*
 * One for the process. There is no lock, which a fork() could leave held in the child: threads that
 * come at the same time all load, find the same and store the same.
 */
static const struct functions *_Atomic library;

/*
 * NODELETE: it keeps a cache for all instances, and threads may be inside. LOCAL: the program's own
 * symbols are no business of ours.
 */
static void *open_library(void)
{
    int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    void *handle = dlopen(LIBRARY_NAME, flags);

    /* haproxy has a dlopen() of its own, under which the run path of this module does not count. */
    return handle ? handle : dlopen(LIBRARY_FOLDER "/" LIBRARY_NAME, flags);
}

static const struct functions *load_library(const struct provider *provider)
{
    const struct functions *loaded = atomic_load_explicit(&library, memory_order_acquire);
    void *handle;

    if (loaded)
        return loaded;
    handle = open_library();
    if (!handle) {
        const char *cause = dlerror();

        provider_raise(provider, ALIYUN_IOT_REASON_LIBRARY,
                "%s could not be loaded: %s; install it, or run ldconfig if it is installed "
                "elsewhere",
                LIBRARY_NAME, cause ? cause : "no cause given");
        return NULL;
    }
    loaded = dlsym(handle, "aliyun_iot_functions");
    if (!loaded || loaded->size < sizeof(*loaded)) {
        provider_raise(provider, ALIYUN_IOT_REASON_LIBRARY,
                "%s is older than this provider module (%s); install both of the same version",
                LIBRARY_NAME, VERSION);
        dlclose(handle);
        return NULL;
    }
    atomic_store_explicit(&library, loaded, memory_order_release);
    return loaded;
}

int library_resolve(const struct provider *provider, const char *uri, struct resolved *resolved)
{
    struct aliyun_iot_error *error = NULL;

    memset(resolved, 0, sizeof(*resolved));
    if (provider->wrong_setting)
        return library_refuse(
                provider, ALIYUN_IOT_REASON_BAD_SETTINGS, "%s: %s", uri, provider->wrong_setting);
    resolved->library = load_library(provider);
    if (!resolved->library)
        return 0;
    if (resolved->library->identity_resolve(
                provider->settings_file, uri, &resolved->identity, &resolved->object, &error))
        return 1;
    provider_raise(provider, resolved->library->error_reason(error), "%s",
            resolved->library->error_message(error));
    resolved->library->error_free(error);
    return 0;
}

int library_refuse(
        const struct provider *provider, enum aliyun_iot_reason reason, const char *format, ...)
{
    const struct functions *loaded = load_library(provider);
    va_list arguments;
    char *message;

    if (!loaded)
        return 0;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    if (message)
        loaded->error_trace(provider->settings_file, message);
    provider_raise(provider, reason, "%s", message ? message : "");
    free(message);
    return 0;
}

void resolved_clear(struct resolved *resolved)
{
    if (resolved->identity)
        resolved->library->identity_free(resolved->identity);
    memset(resolved, 0, sizeof(*resolved));
}
