/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module is a part of the library in a file of its own, because it needs libraries that most
 * processes can do without. fetch/modules.c loads it.
 *
 * A module has copies of the functions of base/ that it uses, so libaliyun-iot exports nothing for
 * modules and no program can put its own function in the place of one. Only process.c and
 * cryptography.c have state that must exist once in a process. They are in libaliyun-iot alone, and
 * a module calls them through struct core_functions.
 */
#ifndef MODULE_H
#define MODULE_H

#include "base/cryptography.h"
#include "base/key_wrapper.h"
#include "base/process.h"
#include "base/settings.h"
#include "base/source.h"

/* A module that needs another function adds it here and in module_core.c. */
#define CORE_FUNCTIONS(FUNCTION)                                                                   \
    FUNCTION(cryptography_context)                                                                 \
    FUNCTION(process_register)                                                                     \
    FUNCTION(process_unregister)                                                                   \
    FUNCTION(process_leave_gate)                                                                   \
    FUNCTION(process_enter_gate)                                                                   \
    FUNCTION(process_hold_exit)                                                                    \
    FUNCTION(process_release_exit)                                                                 \
    FUNCTION(process_renew_exit_handler)                                                           \
    FUNCTION(process_lacks_threads)                                                                \
    FUNCTION(process_sleep)

struct core_functions {
#define FUNCTION(name) __typeof__(&(name)) name;
    CORE_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

struct module {
    /* The project's version. If it is not libaliyun-iot's own, nothing after it may be used. */
    const char *version;
    /* Called before anything else: see module_use_core(). */
    void (*use_core)(const struct core_functions *core);
    /*
     * Makes the module's source. settings and upstream must outlive it; upstream is where it
     * fetches what it does not have, if it needs that. NULL with *error set. Several threads may
     * call this at once. NULL: it is no module with a source.
     */
    struct source *(*source_new)(const struct settings *settings, struct source *upstream,
            struct aliyun_iot_error **error);
    const struct key_wrapper *key_wrapper; /* NULL: it is no module for tokens */
};

/* Each module defines it, and exports nothing else. */
extern const struct module aliyun_iot_module;

/* In a module: the functions of core are called from now on. */
void module_use_core(const struct core_functions *core);

#endif
