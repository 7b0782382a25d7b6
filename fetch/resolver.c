/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/settings_table.h"
#include "base/text.h"
#include "cache/recent.h"
#include "devices_source.h"
#include "modules.h"
#include "remote/source.h"
#include "vault/vault.h"

struct resolver {
    atomic_int references;
    uint64_t number; /* no other resolver of the process has it, or will have it */
    struct settings *settings;
    struct source *source;
    struct memory_cache *memory; /* NULL: the source is an agent, which has the memory */
};

static void destroy(void *context)
{
    struct resolver *resolver = context;

    memory_cache_free(resolver->memory);
    source_free(resolver->source);
    settings_free(resolver->settings);
    free(resolver);
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver || atomic_fetch_sub(&resolver->references, 1) > 1)
        return;
    if (resolver->memory)
        memory_cache_end(resolver->memory, destroy, resolver);
    else
        destroy(resolver);
}

struct resolver *resolver_reference(struct resolver *resolver)
{
    atomic_fetch_add(&resolver->references, 1);
    return resolver;
}

/* The vault, if there is one, over the cloud; but keys that a token has are in no vault. */
static struct source *make_source(const struct settings *settings, struct aliyun_iot_error **error)
{
    struct source *cloud = module_source_new(MODULE_CLOUD, settings, NULL, error);
    struct source *source = cloud, *token;

    if (source && settings->vault_path)
        source = vault_source_new(settings, cloud, &module_key_wrapper, error);
    if (!source || !settings->token_uri)
        return source;
    token = module_source_new(MODULE_TOKEN, settings, cloud, error);
    if (token)
        return devices_source_new(settings->token_devices, token, source, error);
    source_free(source);
    return NULL;
}

struct resolver *resolver_new(struct settings *settings, struct aliyun_iot_error **error)
{
    static atomic_uint_fast64_t number;
    CLEANUP(resolver_free) struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver) {
        settings_free(settings);
        error_set_out_of_memory(error);
        return NULL;
    }
    resolver->references = 1;
    resolver->number = ++number;
    resolver->settings = settings;
    if (settings->agent_socket) {
        resolver->source = agent_source_new(settings, error);
        return resolver->source ? take(resolver) : NULL;
    }
    resolver->source = make_source(settings, error);
    if (!resolver->source)
        return NULL;
    resolver->memory = memory_cache_new(resolver->settings, resolver->source);
    if (!resolver->memory) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return take(resolver);
}

const struct settings *resolver_settings(const struct resolver *resolver)
{
    return resolver->settings;
}

/*
 * Where the device is is for the agent to know, unless the URI or these settings say it. Settings
 * that repeat the default say nothing.
 */
static struct device *make_device_for_agent(
        const struct settings *settings, const struct uri *uri, struct aliyun_iot_error **error)
{
    const char *usual_region = settings_table_find(SETTINGS_PROGRAM, "cloud", "region")->initial;
    struct device device = {
            .region = uri->region                                   ? uri->region
                      : strcmp(settings->region, usual_region) != 0 ? settings->region
                                                                    : "",
            .endpoint = "",
            .product_key = uri->product_key,
            .device_name = uri->device_name,
            .instance_id = uri->instance_id ? uri->instance_id : settings->instance_id,
    };
    struct device *copy = device_copy(&device);

    if (!copy)
        error_set_out_of_memory(error);
    return copy;
}

/* Each region has an endpoint of its own, unless the settings name the one endpoint. */
static struct device *make_device(
        const struct settings *settings, const struct uri *uri, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *regions_own = NULL;
    struct device *copy;
    struct device device = {
            .region = uri->region ? uri->region : settings->region,
            .endpoint = settings->endpoint,
            .product_key = uri->product_key,
            .device_name = uri->device_name,
            .instance_id = uri->instance_id ? uri->instance_id : settings->instance_id,
    };

    if (!device.endpoint) {
        if (asprintf(&regions_own, "https://iot.%s.aliyuncs.com", device.region) < 0)
            regions_own = NULL;
        device.endpoint = regions_own;
    }
    copy = device.endpoint ? device_copy(&device) : NULL;
    if (!copy)
        error_set_out_of_memory(error);
    return copy;
}

struct device *resolver_device(
        const struct resolver *resolver, const struct uri *uri, struct aliyun_iot_error **error)
{
    const struct settings *settings = resolver->settings;

    if (settings->agent_socket)
        return make_device_for_agent(settings, uri, error);
    if (settings->endpoint && uri->region && strcmp(uri->region, settings->region) != 0) {
        error_set(error, ALIYUN_IOT_REASON_BAD_URI,
                "the URI asks for region %s, but %s sets endpoint %s for region %s; leave out one "
                "of them",
                uri->region, settings->file, settings->endpoint, settings->region);
        return NULL;
    }
    return make_device(settings, uri, error);
}

void resolver_request(
        struct resolver *resolver, const struct device *device, struct memory_waiter *waiter)
{
    memory_cache_request(resolver->memory, device, waiter);
}

bool resolver_cancel(struct resolver *resolver, struct memory_waiter *waiter)
{
    return memory_cache_cancel(resolver->memory, waiter);
}

struct memory_counts resolver_counts(const struct resolver *resolver)
{
    return memory_cache_counts(resolver->memory);
}

void resolver_visit(const struct resolver *resolver,
        bool (*visit)(void *context, const struct memory_item *item), void *context)
{
    memory_cache_visit(resolver->memory, visit, context);
}

int64_t resolver_evict(struct resolver *resolver,
        bool (*matches)(void *context, const struct device *device), void *context)
{
    return memory_cache_evict(resolver->memory, matches, context);
}

static bool is_same_text(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}

/* Whether devices have their keys where they had them. */
static bool has_same_token(const struct settings *left, const struct settings *right)
{
    return is_same_text(left->token_uri, right->token_uri) &&
           is_same_text(left->token_devices, right->token_devices) &&
           is_same_text(left->token_module_path, right->token_module_path) &&
           is_same_text(left->token_pin_source, right->token_pin_source);
}

void resolver_inherit(struct resolver *resolver, struct resolver *older)
{
    if (has_same_token(resolver->settings, older->settings))
        memory_cache_inherit(resolver->memory, older->memory);
}

struct aliyun_iot_identity *resolver_resolve(
        struct resolver *resolver, const struct uri *uri, struct aliyun_iot_error **error)
{
    int64_t deadline = monotonic_milliseconds() + resolver->settings->timeout_ms;
    struct aliyun_iot_identity *identity;
    CLEANUP(device_free) struct device *device = NULL;

    /* libcurl's TLS may be told by openssl.cnf to load a URI. */
    if (process_is_own_thread()) {
        error_set(error, ALIYUN_IOT_REASON_REENTRANT,
                "this URI is needed to reach the cloud that it would be fetched from; take the "
                "client certificate out of the system-wide openssl.cnf, or give it to the program "
                "alone");
        return NULL;
    }
    device = resolver_device(resolver, uri, error);
    if (!device)
        return NULL;
    identity = recent_find(resolver->number, device);
    if (!identity && !resolver->memory)
        identity = resolver->source->fetch(resolver->source, device, false, deadline, error);
    else if (!identity)
        identity = memory_cache_get(resolver->memory, device, deadline, error);
    if (identity)
        recent_remember(resolver->number, device, identity);
    return identity;
}
