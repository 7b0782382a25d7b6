/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "base/text.h"

/* The resolver of a settings file. */
struct slot {
    struct slot *next;
    char *path; /* NULL: no file, all defaults */
    struct resolver *resolver;
};

/* What a caller named, and what the search for it led to. */
struct alias {
    struct alias *next;
    char *settings_file; /* NULL: the search */
    struct slot *slot;
};

/*
 * Protects the two lists, to which entries are only added, and the resolvers of the slots. What
 * changes them holds making_lock too.
 */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot *slots;
static struct alias *aliases;

/*
 * Held by the one thread that makes a resolver; only that thread adds to the lists. It reads files
 * and asks the user database, which may take longer than fork() may wait.
 */
static pthread_mutex_t making_lock = PTHREAD_MUTEX_INITIALIZER;

static bool same_text(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}

/* The thread that was making a resolver is not in the child. */
static void forget_making(void *unused)
{
    (void)unused;
    pthread_mutex_init(&making_lock, NULL);
}

static void register_registry(void)
{
    static struct fork_participant participant = {
            .lock = &registry_lock, .reset_in_child = forget_making};

    process_register(&participant);
}

/* Before either lock is taken: a child forked meanwhile could not take it any more. */
static void take_part_in_fork(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_registry);
}

/* For a thread that holds one of the two locks. */
static struct slot *find_by_alias(const char *settings_file)
{
    for (struct alias *alias = aliases; alias; alias = alias->next)
        if (same_text(alias->settings_file, settings_file))
            return alias->slot;
    return NULL;
}

/* A reference to the resolver of a file that was searched for before; else NULL. */
static struct resolver *find_known(const char *settings_file)
{
    struct resolver *resolver = NULL;
    struct slot *slot;

    pthread_mutex_lock(&registry_lock);
    slot = find_by_alias(settings_file);
    if (slot)
        resolver = resolver_reference(slot->resolver);
    pthread_mutex_unlock(&registry_lock);
    return resolver;
}

static struct resolver *load_resolver(const char *path, struct aliyun_iot_error **error)
{
    struct settings *settings = settings_load(path, error);

    return settings ? resolver_new(settings, error) : NULL;
}

/* Takes path. For the thread that holds making_lock. */
static struct slot *find_or_make_slot(char *path, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *owned = path;
    struct slot *slot;

    for (slot = slots; slot; slot = slot->next)
        if (same_text(slot->path, path))
            return slot;
    slot = calloc(1, sizeof(*slot));
    if (!slot) {
        error_set_out_of_memory(error);
        return NULL;
    }
    slot->resolver = load_resolver(path, error);
    if (!slot->resolver) {
        free(slot);
        return NULL;
    }
    slot->path = take(owned);
    pthread_mutex_lock(&registry_lock);
    slot->next = slots;
    slots = slot;
    pthread_mutex_unlock(&registry_lock);
    return slot;
}

/* Without memory for it nothing is lost: the path is searched again next time. */
static void remember(const char *settings_file, struct slot *slot)
{
    struct alias *alias = calloc(1, sizeof(*alias));

    if (!alias)
        return;
    alias->settings_file = settings_file ? strdup(settings_file) : NULL;
    if (settings_file && !alias->settings_file) {
        free(alias);
        return;
    }
    alias->slot = slot;
    pthread_mutex_lock(&registry_lock);
    alias->next = aliases;
    aliases = alias;
    pthread_mutex_unlock(&registry_lock);
}

/* For the thread that holds making_lock. */
static struct slot *search(const char *settings_file, struct aliyun_iot_error **error)
{
    /* Another thread may have found it before this one had the lock. */
    struct slot *slot = find_by_alias(settings_file);
    struct aliyun_iot_error *problem = NULL;
    char *path;

    if (slot)
        return slot;
    path = settings_path(settings_file, &problem);
    if (problem) {
        if (error)
            *error = problem;
        else
            aliyun_iot_error_free(problem);
        return NULL;
    }
    slot = find_or_make_slot(path, error);
    if (slot)
        remember(settings_file, slot);
    return slot;
}

struct resolver *registry_find(const char *settings_file, struct aliyun_iot_error **error)
{
    struct resolver *resolver;
    struct slot *slot;

    take_part_in_fork();
    resolver = find_known(settings_file);
    if (resolver)
        return resolver;
    pthread_mutex_lock(&making_lock);
    slot = search(settings_file, error);
    if (slot)
        resolver = resolver_reference(slot->resolver);
    pthread_mutex_unlock(&making_lock);
    return resolver;
}

/* Returns what the slot had; or NULL with *error set. For the thread that holds making_lock. */
static struct resolver *replace_resolver(struct slot *slot, struct aliyun_iot_error **error)
{
    struct resolver *fresh = load_resolver(slot->path, error);
    struct resolver *old;

    if (!fresh)
        return NULL;
    pthread_mutex_lock(&registry_lock);
    old = slot->resolver;
    slot->resolver = fresh;
    pthread_mutex_unlock(&registry_lock);
    return old;
}

/* Of two reloads at once, the one that reads the file last also comes last. */
int registry_reload(const char *settings_file, struct aliyun_iot_error **error)
{
    struct resolver *old = NULL;
    struct slot *slot;

    take_part_in_fork();
    pthread_mutex_lock(&making_lock);
    slot = search(settings_file, error);
    if (slot)
        old = replace_resolver(slot, error);
    pthread_mutex_unlock(&making_lock);
    resolver_free(old);
    return old != NULL;
}
