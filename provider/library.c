/* SPDX-License-Identifier: Apache-2.0 */
#include "library.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY_NAME "libaliyun-iot.so.0"

/*
 * One for the process. There is no lock, which a fork() could leave held in the child: threads that
 * come at the same time all load, find the same and store the same.
 */
static struct library library;
static atomic_bool library_is_loaded;

static bool find(const struct provider *provider, void *handle, const char *name, void **symbol)
{
    *symbol = dlsym(handle, name);
    if (!*symbol)
        provider_raise(provider, ALIYUN_IOT_REASON_LIBRARY,
                "%s has no function %s: it is older than this provider module (%s); install both "
                "of the same version",
                LIBRARY_NAME, name, VERSION);
    return *symbol != NULL;
}

static bool find_all(const struct provider *provider, void *handle)
{
    void *symbol;

    /* memcpy(), since ISO C converts no pointer to an object into one to a function. */
#define FUNCTION(name)                                                                             \
    {                                                                                              \
        __typeof__(&aliyun_iot_##name) function;                                                   \
                                                                                                   \
        if (!find(provider, handle, "aliyun_iot_" #name, &symbol))                                 \
            return false;                                                                          \
        memcpy(&function, &symbol, sizeof(function));                                              \
        atomic_store_explicit(&library.name, function, memory_order_relaxed);                      \
    }
    LIBRARY_FUNCTIONS(FUNCTION)
#undef FUNCTION
    return true;
}

static const struct library *load(const struct provider *provider)
{
    void *handle;

    if (atomic_load_explicit(&library_is_loaded, memory_order_acquire))
        return &library;
    /*
     * NODELETE: it keeps a cache for all instances, and threads may be inside. LOCAL: the
     * program's own symbols are no business of ours.
     */
    handle = dlopen(LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *cause = dlerror();

        provider_raise(provider, ALIYUN_IOT_REASON_LIBRARY,
                "%s could not be loaded: %s; install it, or run ldconfig if it is installed",
                LIBRARY_NAME, cause ? cause : "no cause given");
        return NULL;
    }
    if (!find_all(provider, handle)) {
        dlclose(handle);
        return NULL;
    }
    atomic_store_explicit(&library_is_loaded, true, memory_order_release);
    return &library;
}

int library_resolve(const struct provider *provider, const char *uri, struct resolved *resolved)
{
    struct aliyun_iot_error *error = NULL;

    memset(resolved, 0, sizeof(*resolved));
    resolved->library = load(provider);
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
    const struct library *traced = load(provider);
    va_list arguments;
    char *message;

    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    if (message && traced)
        traced->error_trace(provider->settings_file, message);
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
