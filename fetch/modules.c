/* SPDX-License-Identifier: Apache-2.0 */
#include "modules.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/module.h"
#include "base/text.h"
#include "base/trace.h"

struct module_file {
    const char *name;
    const char *package; /* of Debian, that has the file */
};

static const struct module_file files[] = {
        [MODULE_CLOUD] = {"cloud.so", "aliyun-iot-cloud"},
        [MODULE_TOKEN] = {"token.so", "aliyun-iot-token"},
};

static const struct core_functions core = {
#define FUNCTION(name) .name = (name),
        CORE_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

struct module_source {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const struct module_file *file;
    const struct settings *settings;
    struct source *upstream; /* NULL: it needs none */
    char *path;
    struct source *_Atomic opened; /* the module's own source; NULL before the first fetch */
};

/* The path of a module, to be freed by the caller; NULL when out of memory. */
static char *find_path(const struct module_file *file)
{
    const char *folder = secure_getenv("ALIYUN_IOT_MODULES");
    char *path;

    if (!folder || !*folder)
        folder = MODULES_FOLDER;
    return asprintf(&path, "%s/%s", folder, file->name) < 0 ? NULL : path;
}

static int report_failed_load(
        const char *path, const char *package, const char *cause, struct aliyun_iot_error **error)
{
    if (access(path, F_OK) != 0)
        return error_set(error, ALIYUN_IOT_REASON_LIBRARY,
                "%s is missing; install it (on Debian: package %s)", path, package);
    return error_set(error, ALIYUN_IOT_REASON_LIBRARY,
            "%s cannot be loaded: %s; install again what it needs (on Debian: package %s)", path,
            cause ? cause : "no cause given", package);
}

/*
 * LAZY: most functions of the libraries that come with a module are never called, and binding them
 * all takes millions of instructions. The module itself is linked with -z now.
 * NODELETE: a module is not unloaded, not even one of another version, because the libraries that
 * came with it may have registered exit handlers.
 */
static const struct module *load(
        const char *path, const char *package, struct aliyun_iot_error **error)
{
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    const struct module *module;

    if (!handle) {
        report_failed_load(path, package, dlerror(), error);
        return NULL;
    }
    module = dlsym(handle, "aliyun_iot_module");
    if (!module) {
        error_set(error, ALIYUN_IOT_REASON_LIBRARY,
                "%s is no module of aliyun-iot; install it again (on Debian: package %s)", path,
                package);
        return NULL;
    }
    if (strcmp(module->version, VERSION) != 0) {
        error_set(error, ALIYUN_IOT_REASON_LIBRARY,
                "%s has version %.32s, but the libaliyun-iot of this process has version %s; "
                "restart the program, or install both of one version",
                path, module->version, VERSION);
        return NULL;
    }
    module->use_core(&core);
    return module;
}

/*
 * There is no lock, which a fork() could leave held in the child. If several threads come at the
 * same time, each makes a source and all but one are freed again.
 */
static struct source *open_source(struct module_source *source, struct aliyun_iot_error **error)
{
    struct source *opened = source->opened;
    const struct module *module;
    struct source *made;

    if (opened)
        return opened;
    module = load(source->path, source->file->package, error);
    made = module ? module->source_new(source->settings, source->upstream, error) : NULL;
    if (!made)
        return NULL;
    if (!atomic_compare_exchange_strong(&source->opened, &opened, made)) {
        source_free(made);
        return opened;
    }
    trace(source->settings, TRACE_DEBUG, "loaded module=%s", source->path);
    return made;
}

static struct aliyun_iot_identity *module_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct source *opened = open_source((struct module_source *)source, error);

    return opened ? opened->fetch(opened, device, background, deadline, error) : NULL;
}

static void module_free(struct source *source)
{
    struct module_source *module_source = (struct module_source *)source;

    source_free(module_source->opened);
    free(module_source->path);
    free(module_source);
}

struct source *module_source_new(enum module_id id, const struct settings *settings,
        struct source *upstream, struct aliyun_iot_error **error)
{
    struct module_source *source = calloc(1, sizeof(*source));

    if (source)
        source->path = find_path(&files[id]);
    if (!source || !source->path) {
        free(source);
        error_set_out_of_memory(error);
        return NULL;
    }
    source->source = (struct source){module_fetch, module_free};
    source->file = &files[id];
    source->settings = settings;
    source->upstream = upstream;
    return &source->source;
}

/* NULL with *error set. */
static const struct key_wrapper *load_key_wrapper(struct aliyun_iot_error **error)
{
    const struct module_file *file = &files[MODULE_TOKEN];
    CLEANUP(free) char *path = find_path(file);
    const struct module *module = path ? load(path, file->package, error) : NULL;

    if (!path)
        error_set_out_of_memory(error);
    return module ? module->key_wrapper : NULL;
}

static int wrap(const struct settings *settings, const char *uri, struct bytes key,
        BUF_MEM *wrapped, struct aliyun_iot_error **error)
{
    const struct key_wrapper *wrapper = load_key_wrapper(error);

    return wrapper ? wrapper->wrap(settings, uri, key, wrapped, error) : 0;
}

static int unwrap(const struct settings *settings, const char *uri, struct bytes wrapped,
        BUF_MEM *key, struct aliyun_iot_error **error)
{
    const struct key_wrapper *wrapper = load_key_wrapper(error);

    return wrapper ? wrapper->unwrap(settings, uri, wrapped, key, error) : 0;
}

const struct key_wrapper module_key_wrapper = {wrap, unwrap};
