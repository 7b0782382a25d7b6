/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "background.h"
#include "buffer.h"
#include "cache/memory.h"
#include "cache/quota.h"
#include "cloud/credentials.h"
#include "cloud/query_device_cert.h"
#include "deadline.h"
#include "export.h"
#include "identity.h"
#include "recent.h"
#include "trace.h"

struct resolver {
    struct resolver *next;
    struct settings *settings;
    struct http_client *http;
    struct credentials_store *credentials;
    struct memory_cache *memory;
};

/* What a caller named, and the resolver that it led to. */
struct alias {
    struct alias *next;
    char *settings_file; /* NULL: the search */
    struct resolver *resolver;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct resolver *resolvers;
static struct alias *aliases;

/* Set on a thread that fetches: libcurl's TLS there may be told by openssl.cnf to load a URI. */
static _Thread_local bool fetching;

DEFINE_CLEANUP(char *, free);

/* One fetch under way, as the hooks see it. */
struct errand {
    struct resolver *resolver;
    const char *endpoint;
    bool background;
};

static struct credentials *give_credentials(
        void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    struct errand *errand = context;

    return credentials_get(errand->resolver->credentials, deadline, error);
}

static void reject_credentials(void *context, const struct credentials *credentials)
{
    struct errand *errand = context;

    credentials_reject(errand->resolver->credentials, credentials);
}

/* A temporary AccessKey has a new id each time: its account is known by where it comes from. */
static struct quota *open_quota(const struct errand *errand, const struct credentials *credentials)
{
    return quota_open(errand->resolver->settings,
            credentials->security_token ? credentials->source : credentials->access_key_id,
            errand->endpoint);
}

static int admit(void *context, const struct credentials *credentials, int64_t deadline,
        struct aliyun_iot_error **error)
{
    struct errand *errand = context;
    CLEANUP(quota_free) struct quota *quota = open_quota(errand, credentials);

    return quota ? quota_wait(quota, errand->background, deadline, error)
                 : error_set_out_of_memory(error);
}

static void throttled(void *context, const struct credentials *credentials)
{
    CLEANUP(quota_free) struct quota *quota = open_quota(context, credentials);

    if (quota)
        quota_throttled(quota);
}

/*
 * A cache key is what is asked, in full: endpoint, product key, device name and instance ID, each
 * ended by a blank, which none of them can hold.
 */
static char *make_key(const char *endpoint, const struct uri *uri, const char *instance_id)
{
    char *key;

    if (asprintf(&key, "%s %s %s %s ", endpoint, uri->product_key, uri->device_name,
                instance_id ? instance_id : "") < 0)
        return NULL;
    return key;
}

/* Cuts a copy of a key at its blanks into the query. */
static struct device_query split_key(char *key, int64_t deadline)
{
    const char *parts[4];

    for (size_t index = 0; index < 4; index++) {
        parts[index] = key;
        key += strcspn(key, " ");
        *key++ = '\0';
    }
    return (struct device_query){
            parts[0], parts[1], parts[2], *parts[3] ? parts[3] : NULL, deadline};
}

/* The cache's way to the cloud, on one of its threads. */
static struct aliyun_iot_identity *fetch(void *context, const char *key, bool background,
        int64_t deadline, struct aliyun_iot_error **error)
{
    struct resolver *resolver = context;
    struct errand errand = {.resolver = resolver, .background = background};
    const struct openapi_hooks hooks = {
            &errand, give_credentials, reject_credentials, admit, throttled};
    CLEANUP(free) char *copy = strdup(key);
    struct aliyun_iot_identity *identity;
    int64_t begun = monotonic_milliseconds();
    struct device_query query;

    if (!copy) {
        error_set_out_of_memory(error);
        return NULL;
    }
    query = split_key(copy, deadline);
    errand.endpoint = query.endpoint;
    fetching = true;
    identity = query_device_cert(resolver->http, resolver->settings, &hooks, &query, error);
    fetching = false;
    trace(resolver->settings, TRACE_INFO,
            "fetch product=%s device=%s result=%s request_id=%s ms=%lld", query.product_key,
            query.device_name, identity ? "ok" : "failed",
            identity ? aliyun_iot_identity_request_id(identity) : "-",
            (long long)(monotonic_milliseconds() - begun));
    return identity;
}

static void resolver_free(struct resolver *resolver)
{
    memory_cache_free(resolver->memory);
    credentials_store_free(resolver->credentials);
    http_client_free(resolver->http);
    settings_free(resolver->settings);
    free(resolver);
}
DEFINE_CLEANUP(struct resolver *, resolver_free);

static struct resolver *resolver_new(const char *path, struct aliyun_iot_error **error)
{
    CLEANUP(resolver_free) struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver) {
        error_set_out_of_memory(error);
        return NULL;
    }
    resolver->settings = settings_load(path, error);
    if (!resolver->settings)
        return NULL;
    resolver->http = http_client_new(resolver->settings);
    resolver->credentials =
            resolver->http ? credentials_store_new(resolver->settings, resolver->http) : NULL;
    resolver->memory = memory_cache_new(resolver->settings, fetch, resolver);
    if (!resolver->credentials || !resolver->memory) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return take(resolver);
}

static bool same_text(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}

/* Locks in the order in which they are ever held together. */
static void before_fork(void)
{
    background_close_gate();
    pthread_mutex_lock(&registry_lock);
    for (struct resolver *resolver = resolvers; resolver; resolver = resolver->next) {
        memory_cache_lock(resolver->memory);
        credentials_store_lock(resolver->credentials);
        http_client_lock(resolver->http);
    }
    background_lock();
}

static void unlock_all(void)
{
    background_unlock();
    for (struct resolver *resolver = resolvers; resolver; resolver = resolver->next) {
        http_client_unlock(resolver->http);
        credentials_store_unlock(resolver->credentials);
        memory_cache_unlock(resolver->memory);
    }
    pthread_mutex_unlock(&registry_lock);
    background_open_gate();
}

static void after_fork_in_child(void)
{
    background_forked();
    for (struct resolver *resolver = resolvers; resolver; resolver = resolver->next) {
        http_client_forked(resolver->http);
        credentials_store_forked(resolver->credentials);
        memory_cache_forked(resolver->memory);
    }
    unlock_all();
}

static void register_fork_handlers(void)
{
    pthread_atfork(before_fork, unlock_all, after_fork_in_child);
}

/* The resolver for a path, new or known. The registry is locked. */
static struct resolver *find_by_path(const char *path, struct aliyun_iot_error **error)
{
    struct resolver *resolver;

    for (resolver = resolvers; resolver; resolver = resolver->next)
        if (same_text(resolver->settings->file, path))
            return resolver;
    resolver = resolver_new(path, error);
    if (resolver) {
        resolver->next = resolvers;
        resolvers = resolver;
    }
    return resolver;
}

static struct resolver *find_and_remember(
        const char *settings_file, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(free) char *path = settings_path(settings_file, &problem);
    struct resolver *resolver;
    struct alias *alias;

    if (problem) {
        if (error)
            *error = take(problem);
        return NULL;
    }
    resolver = find_by_path(path, error);
    alias = resolver ? calloc(1, sizeof(*alias)) : NULL;
    /* Without the alias the path is only searched again next time. */
    if (alias) {
        alias->settings_file = settings_file ? strdup(settings_file) : NULL;
        if (settings_file && !alias->settings_file) {
            free(alias);
            return resolver;
        }
        alias->resolver = resolver;
        alias->next = aliases;
        aliases = alias;
    }
    return resolver;
}

struct resolver *resolver_find(const char *settings_file, struct aliyun_iot_error **error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct resolver *resolver = NULL;

    pthread_once(&once, register_fork_handlers);
    pthread_mutex_lock(&registry_lock);
    for (struct alias *alias = aliases; alias && !resolver; alias = alias->next)
        if (same_text(alias->settings_file, settings_file))
            resolver = alias->resolver;
    if (!resolver)
        resolver = find_and_remember(settings_file, error);
    pthread_mutex_unlock(&registry_lock);
    return resolver;
}

/* The URI's region has an endpoint of its own, unless the settings name the one endpoint. */
static char *choose_endpoint(
        const struct settings *settings, const struct uri *uri, struct aliyun_iot_error **error)
{
    const char *region = uri->region ? uri->region : settings->region;
    char *endpoint;

    if (settings->endpoint && uri->region && strcmp(uri->region, settings->region) != 0) {
        error_set(error, ALIYUN_IOT_REASON_BAD_URI,
                "the URI asks for region %s, but %s sets endpoint %s for region %s; leave out one "
                "of them",
                uri->region, settings->file, settings->endpoint, settings->region);
        return NULL;
    }
    if ((settings->endpoint ? asprintf(&endpoint, "%s", settings->endpoint)
                            : asprintf(&endpoint, "https://iot.%s.aliyuncs.com", region)) < 0) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return endpoint;
}

struct aliyun_iot_identity *resolver_resolve(
        struct resolver *resolver, const struct uri *uri, struct aliyun_iot_error **error)
{
    const struct settings *settings = resolver->settings;
    const char *instance_id = uri->instance_id ? uri->instance_id : settings->instance_id;
    int64_t deadline = monotonic_milliseconds() + settings->timeout;
    struct aliyun_iot_identity *identity;
    CLEANUP(free) char *endpoint = NULL;
    CLEANUP(free) char *key = NULL;

    if (fetching) {
        error_set(error, ALIYUN_IOT_REASON_REENTRANT,
                "this URI is needed to reach the cloud that it would be fetched from; take the "
                "client certificate out of the system-wide openssl.cnf, or give it to the program "
                "alone");
        return NULL;
    }
    endpoint = choose_endpoint(settings, uri, error);
    if (!endpoint)
        return NULL;
    key = make_key(endpoint, uri, instance_id);
    if (!key) {
        error_set_out_of_memory(error);
        return NULL;
    }
    identity = recent_find(resolver, key);
    if (!identity)
        identity = memory_cache_get(resolver->memory, key, deadline, error);
    if (identity)
        recent_remember(resolver, key, identity);
    return identity;
}

static struct aliyun_iot_identity *resolve(const char *settings_file, const char *text,
        enum aliyun_iot_object *object, struct aliyun_iot_error **error)
{
    CLEANUP(uri_free) struct uri *uri = uri_parse(text, error);
    struct aliyun_iot_identity *identity;
    struct resolver *resolver;

    if (!uri)
        return NULL;
    if (object)
        *object = uri->object;
    resolver = resolver_find(settings_file, error);
    identity = resolver ? resolver_resolve(resolver, uri, error) : NULL;
    if (!identity)
        error_prefix(error, "aliyun-iot:%s/%s: ", uri->product_key, uri->device_name);
    return identity;
}

EXPORT void aliyun_iot_error_trace(const char *settings_file, const char *message)
{
    struct resolver *resolver = resolver_find(settings_file, NULL);
    /* Settings that cannot be read name no file, but the environment may. */
    const struct settings environment = {
            .trace_file = secure_getenv("ALIYUN_IOT_TRACE"),
            .trace_level = TRACE_ERROR,
    };

    trace(resolver ? resolver->settings : &environment, TRACE_ERROR, "failed error=%s", message);
}

EXPORT int aliyun_iot_identity_resolve(const char *settings_file, const char *uri,
        struct aliyun_iot_identity **identity, enum aliyun_iot_object *object,
        struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    int before = errno;

    if (!error)
        error = &problem;
    *error = NULL;
    /* What fails underneath and is mended or explained here is nothing to the caller's queue. */
    ERR_set_mark();
    *identity = resolve(settings_file, uri, object, error);
    if (!*identity)
        aliyun_iot_error_trace(settings_file, aliyun_iot_error_message(*error));
    ERR_pop_to_mark();
    errno = before;
    return *identity != NULL;
}
