/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/service.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/text.h"
#include "vault/lock.h"

static const char default_policy[] = "/etc/aliyun-iot/policy.conf";

/* What a reload replaces, all or nothing. */
struct configuration {
    struct resolver *resolver;
    struct policy *policy;         /* NULL: there is none */
    struct vault_lock *vault_lock; /* NULL: there is no vault, or it is shared */
};

struct service {
    char *settings_file; /* NULL: the user's aliyun-iot.conf */
    bool is_private;
    struct signing_keys *signing_keys;
    struct limits *limits;
    struct audit_log *audit_log;
    struct counters counters;
    time_t started;
    pthread_mutex_t reload_lock; /* held by the one thread that reads the files again */
    pthread_mutex_t lock;        /* for what follows, which only a reload changes */
    struct configuration present;
    struct aliyun_iot_error *reload_error; /* NULL: the last one did not fail */
};

static void configuration_release(struct configuration *configuration)
{
    resolver_free(configuration->resolver);
    policy_free(configuration->policy);
    vault_lock_free(configuration->vault_lock);
    *configuration = (struct configuration){.resolver = NULL};
}

/* The policy's file; NULL: there is none, and need not be. */
static const char *policy_file(const struct service *service, const struct settings *settings)
{
    if (service->is_private)
        return NULL;
    if (settings->policy_file)
        return settings->policy_file;
    /* A policy that was in force and is gone is a mistake, not a wish. */
    return service->present.policy || access(default_policy, F_OK) == 0 || errno != ENOENT
                   ? default_policy
                   : NULL;
}

static struct policy *load_policy(const char *file, struct aliyun_iot_error **error)
{
    struct problems problems = {.count = 0};
    struct policy *policy = policy_load(file, geteuid(), &problems);
    char *text = problems.text ? problems.text->data : NULL;
    char *end = text ? strchr(text, '\n') : NULL;

    if (end)
        *end = '\0';
    if (!policy)
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the policy has %zu problem%s, the first of which is: %s; aliyun-iot policy check "
                "shows all",
                problems.count, problems.count == 1 ? "" : "s", text ? text : "out of memory");
    problems_release(&problems);
    return policy;
}

/* A private agent uses its user's vault as the user's programs do: it shares it. */
static int lock_vault(
        struct service *service, struct configuration *made, struct aliyun_iot_error **error)
{
    const char *path = resolver_settings(made->resolver)->vault_path;

    if (!path || service->is_private)
        return 1;
    made->vault_lock = vault_lock_take(path, service->present.vault_lock, error);
    return made->vault_lock != NULL;
}

/* The log comes last, since it does not go back to what it was. */
static int load_all(
        struct service *service, struct configuration *made, struct aliyun_iot_error **error)
{
    struct settings *settings = settings_load_for_agent(service->settings_file, error);
    const char *file;

    made->resolver = settings ? resolver_new(settings, error) : NULL;
    if (!made->resolver || !lock_vault(service, made, error))
        return 0;
    file = policy_file(service, resolver_settings(made->resolver));
    if (file)
        made->policy = load_policy(file, error);
    return (!file || made->policy) &&
           audit_log_configure(service->audit_log, resolver_settings(made->resolver), error);
}

/* Returns 1 with *made, to be released; or 0 with *error set. */
static int load(
        struct service *service, struct configuration *made, struct aliyun_iot_error **error)
{
    *made = (struct configuration){.resolver = NULL};
    if (load_all(service, made, error))
        return 1;
    configuration_release(made);
    return 0;
}

void service_free(struct service *service)
{
    if (!service)
        return;
    signing_keys_free(service->signing_keys);
    limits_free(service->limits);
    audit_log_free(service->audit_log);
    configuration_release(&service->present);
    aliyun_iot_error_free(service->reload_error);
    free(service->settings_file);
    pthread_mutex_destroy(&service->lock);
    pthread_mutex_destroy(&service->reload_lock);
    free(service);
}

struct service *service_new(
        const char *settings_file, bool is_private, struct aliyun_iot_error **error)
{
    CLEANUP(service_free) struct service *service = calloc(1, sizeof(*service));

    if (!service) {
        error_set_out_of_memory(error);
        return NULL;
    }
    pthread_mutex_init(&service->reload_lock, NULL);
    pthread_mutex_init(&service->lock, NULL);
    service->started = time(NULL);
    service->is_private = is_private;
    service->settings_file = settings_file ? strdup(settings_file) : NULL;
    service->signing_keys = signing_keys_new();
    service->limits = limits_new();
    service->audit_log = audit_log_new();
    if (!service->signing_keys || !service->limits || !service->audit_log ||
            (settings_file && !service->settings_file)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return load(service, &service->present, error) ? take(service) : NULL;
}

/* With reload_lock held. */
static int replace(struct service *service, struct aliyun_iot_error **error)
{
    struct configuration old = service->present, fresh;
    struct aliyun_iot_error *old_error;

    if (!load(service, &fresh, error)) {
        syslog(LOG_DAEMON | LOG_ERR, "reload failed: %s", aliyun_iot_error_message(*error));
        pthread_mutex_lock(&service->lock);
        old_error = service->reload_error;
        service->reload_error = error_copy(*error);
        pthread_mutex_unlock(&service->lock);
        aliyun_iot_error_free(old_error);
        return 0;
    }
    resolver_inherit(fresh.resolver, old.resolver);
    pthread_mutex_lock(&service->lock);
    service->present = fresh;
    old_error = take(service->reload_error);
    pthread_mutex_unlock(&service->lock);
    aliyun_iot_error_free(old_error);
    configuration_release(&old);
    return 1;
}

int service_reload(struct service *service, struct aliyun_iot_error **error)
{
    int done;

    pthread_mutex_lock(&service->reload_lock);
    done = replace(service, error);
    pthread_mutex_unlock(&service->reload_lock);
    return done;
}

struct resolver *service_resolver(struct service *service)
{
    struct resolver *resolver;

    pthread_mutex_lock(&service->lock);
    resolver = resolver_reference(service->present.resolver);
    pthread_mutex_unlock(&service->lock);
    return resolver;
}

struct policy *service_policy(struct service *service)
{
    struct policy *policy;

    pthread_mutex_lock(&service->lock);
    policy = policy_reference(service->present.policy);
    pthread_mutex_unlock(&service->lock);
    return policy;
}

struct aliyun_iot_error *service_reload_error(struct service *service)
{
    struct aliyun_iot_error *error;

    pthread_mutex_lock(&service->lock);
    error = service->reload_error ? error_copy(service->reload_error) : NULL;
    pthread_mutex_unlock(&service->lock);
    return error;
}

struct signing_keys *service_signing_keys(struct service *service)
{
    return service->signing_keys;
}

struct limits *service_limits(struct service *service)
{
    return service->limits;
}

struct audit_log *service_audit_log(struct service *service)
{
    return service->audit_log;
}

struct counters *service_counters(struct service *service)
{
    return &service->counters;
}

time_t service_started(const struct service *service)
{
    return service->started;
}
