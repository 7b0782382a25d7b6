/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/answers.h"
#include "agent/metrics.h"
#include "base/base64.h"
#include "base/pattern.h"

enum {
    LIST_PAGE_MAX = 500,     /* identities, which fit into a packet */
    DEVICE_NAME_SIZE = 1100, /* longer than a URI may be */
    TIME_SIZE = sizeof("2026-01-01T00:00:00Z")
};

/* RFC 3339 in UTC. */
static void format_time(int64_t seconds, char text[TIME_SIZE])
{
    time_t moment = (time_t)seconds;
    struct tm broken;

    if (!gmtime_r(&moment, &broken) ||
            strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &broken) == 0)
        *text = '\0';
}

static bool add_time(cJSON *object, const char *name, int64_t seconds)
{
    char text[TIME_SIZE];

    format_time(seconds, text);
    return cJSON_AddStringToObject(object, name, text);
}

/* Writes the object, which was filled completely if filled is true. */
static void write_if(bool filled, const cJSON *object, BUF_MEM *answer)
{
    if (filled)
        answer_write(answer, object);
    else
        answer_refuse(answer, "OUT_OF_MEMORY", NULL, "out of memory");
}

/* For all: why a reload failed is for operators, since it may quote the policy. */
static void answer_health(struct service *service, BUF_MEM *answer)
{
    CLEANUP(aliyun_iot_error_free)
    struct aliyun_iot_error *reload_error = service_reload_error(service);
    CLEANUP(json_free) cJSON *object = answer_begin();
    cJSON *features;
    bool filled = cJSON_AddStringToObject(object, "product_version", VERSION) &&
                  cJSON_AddBoolToObject(object, "reload_failed", reload_error != NULL) &&
                  (features = cJSON_AddArrayToObject(object, "features"));

    for (int index = 0; filled && index < OPERATION_COUNT; index++)
        filled = cJSON_AddItemToArray(
                features, cJSON_CreateString(operation_name((enum operation)index)));
    write_if(filled, object, answer);
}

static bool add_policy(cJSON *object, const struct policy *policy)
{
    if (!policy)
        return cJSON_AddStringToObject(object, "policy", "");
    return cJSON_AddStringToObject(object, "policy", policy->hash) &&
           cJSON_AddNumberToObject(object, "rules", (double)policy->count) &&
           add_time(object, "policy_loaded", policy->loaded);
}

static void answer_status(
        struct service *service, const struct server_counts *counts, BUF_MEM *answer)
{
    CLEANUP(resolver_free) struct resolver *resolver = service_resolver(service);
    CLEANUP(policy_free) struct policy *policy = service_policy(service);
    CLEANUP(aliyun_iot_error_free)
    struct aliyun_iot_error *reload_error = service_reload_error(service);
    CLEANUP(json_free) cJSON *object = answer_begin();
    const char *file = resolver_settings(resolver)->file;
    struct memory_counts memory = resolver_counts(resolver);
    bool filled = cJSON_AddStringToObject(object, "product_version", VERSION) &&
                  add_time(object, "started", service_started(service)) &&
                  cJSON_AddStringToObject(object, "settings", file ? file : "") &&
                  add_policy(object, policy) &&
                  cJSON_AddStringToObject(object, "reload_error",
                          reload_error ? aliyun_iot_error_message(reload_error) : "") &&
                  cJSON_AddNumberToObject(object, "connections", counts->connections) &&
                  cJSON_AddNumberToObject(object, "requests", counts->requests) &&
                  cJSON_AddNumberToObject(object, "identities", (double)memory.identities) &&
                  cJSON_AddNumberToObject(object, "failures", (double)memory.failures) &&
                  cJSON_AddNumberToObject(object, "calls", memory.calls);

    write_if(filled, object, answer);
}

/* A page of the list that is being written. */
struct page {
    cJSON *identities;
    int64_t before; /* identities of the pages before, which come first */
    int count;
    bool filled, is_full;
};

static bool add_device(const struct memory_item *item, cJSON *identities)
{
    const struct device *device = item->device;
    const char *instance = device->instance_id ? device->instance_id : "";
    cJSON *object = cJSON_CreateObject();
    char name[DEVICE_NAME_SIZE];

    if (!cJSON_AddItemToArray(identities, object)) {
        cJSON_Delete(object);
        return false;
    }
    snprintf(name, sizeof(name), "%s/%s", device->product_key, device->device_name);
    return cJSON_AddStringToObject(object, "device", name) &&
           cJSON_AddStringToObject(object, "instance", instance) &&
           cJSON_AddStringToObject(object, "region", device->region) &&
           cJSON_AddStringToObject(
                   object, "serial_number", aliyun_iot_identity_serial_number(item->identity)) &&
           add_time(object, "not_after", identity_not_after(item->identity)) &&
           add_time(object, "fetched", item->fetched);
}

static bool add_to_page(void *context, const struct memory_item *item)
{
    struct page *page = context;

    if (page->before > 0) {
        page->before--;
        return true;
    }
    page->is_full = page->count == LIST_PAGE_MAX;
    if (page->is_full)
        return false;
    page->filled = add_device(item, page->identities);
    page->count++;
    return page->filled;
}

static void answer_list(struct service *service, const struct request *request, BUF_MEM *answer)
{
    CLEANUP(resolver_free) struct resolver *resolver = service_resolver(service);
    CLEANUP(json_free) cJSON *object = answer_begin();
    struct page page = {.identities = cJSON_AddArrayToObject(object, "identities"),
            .before = request->after,
            .filled = true};

    if (page.identities)
        resolver_visit(resolver, add_to_page, &page);
    if (page.is_full &&
            !cJSON_AddNumberToObject(object, "next", (double)(request->after + page.count)))
        page.filled = false;
    write_if(page.identities && page.filled, object, answer);
}

static void answer_metrics(
        struct service *service, const struct server_counts *counts, BUF_MEM *answer)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    CLEANUP(json_free) cJSON *object = answer_begin();

    write_if(text && metrics_write(service, counts, text) &&
                     cJSON_AddStringToObject(object, "text", text->data),
            object, answer);
}

static bool matches(void *context, const struct device *device)
{
    char name[DEVICE_NAME_SIZE];

    snprintf(name, sizeof(name), "%s/%s", device->product_key, device->device_name);
    return pattern_matches(context, name);
}

static void answer_evict(struct service *service, const struct request *request, BUF_MEM *answer)
{
    CLEANUP(resolver_free) struct resolver *resolver = service_resolver(service);
    CLEANUP(json_free) cJSON *object = answer_begin();
    int64_t count = resolver_evict(resolver, matches, request->pattern);

    signing_keys_clear(service_signing_keys(service));
    write_if(cJSON_AddNumberToObject(object, "evicted", (double)count), object, answer);
}

static void answer_reload(struct service *service, BUF_MEM *answer)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    CLEANUP(json_free) cJSON *object = NULL;

    if (!service_reload(service, &error)) {
        answer_error(answer, error);
        return;
    }
    object = answer_begin();
    write_if(object != NULL, object, answer);
}

void operation_answer(struct service *service, const struct request *request,
        const struct server_counts *counts, BUF_MEM *answer)
{
    switch (request->operation) {
    case OPERATION_HEALTH:
        answer_health(service, answer);
        return;
    case OPERATION_STATUS:
        answer_status(service, counts, answer);
        return;
    case OPERATION_LIST:
        answer_list(service, request, answer);
        return;
    case OPERATION_METRICS:
        answer_metrics(service, counts, answer);
        return;
    case OPERATION_EVICT:
        answer_evict(service, request, answer);
        return;
    case OPERATION_RELOAD:
        answer_reload(service, answer);
        return;
    case OPERATION_IDENTITY:
    case OPERATION_SIGN:
    case OPERATION_EXPORT:
        break;
    }
    abort();
}

static bool add_base64(cJSON *object, const char *name, const void *bytes, size_t size)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();

    return text && base64_append(text, bytes, size) &&
           cJSON_AddStringToObject(object, name, text->data);
}

static bool add_certificates(cJSON *object, const struct aliyun_iot_identity *identity)
{
    size_t count = aliyun_iot_identity_certificate_count(identity);
    cJSON *certificates = cJSON_AddArrayToObject(object, "certificates");

    for (size_t index = 0; certificates && index < count; index++) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);
        CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();

        if (!text || !base64_append(text, der, size) ||
                !cJSON_AddItemToArray(certificates, cJSON_CreateString(text->data)))
            return false;
    }
    return certificates != NULL;
}

static bool add_schemes(cJSON *object, const char *key_type)
{
    cJSON *schemes = cJSON_AddArrayToObject(object, "schemes");
    bool filled = schemes != NULL;

    for (enum key_scheme scheme = 0; filled && agent_scheme_name(scheme); scheme++)
        if (strcmp(agent_scheme_key_type(scheme), key_type) == 0)
            filled = cJSON_AddItemToArray(schemes, cJSON_CreateString(agent_scheme_name(scheme)));
    return filled;
}

static void answer_identity(
        const struct aliyun_iot_identity *identity, const struct signing_key *key, BUF_MEM *answer)
{
    const char *key_type = aliyun_iot_identity_key_type(identity);
    CLEANUP(json_free) cJSON *object = answer_begin();
    bool filled =
            add_certificates(object, identity) &&
            cJSON_AddStringToObject(object, "key", key->hash) &&
            cJSON_AddStringToObject(object, "key_type", key_type) &&
            add_schemes(object, key_type) &&
            cJSON_AddStringToObject(
                    object, "serial_number", aliyun_iot_identity_serial_number(identity)) &&
            add_time(object, "not_before", identity_not_before(identity)) &&
            add_time(object, "not_after", identity_not_after(identity)) &&
            cJSON_AddStringToObject(object, "request_id", aliyun_iot_identity_request_id(identity));

    write_if(filled, object, answer);
}

static void answer_sign(const struct request *request, const struct aliyun_iot_identity *identity,
        const struct signing_key *key, BUF_MEM *answer)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    CLEANUP(BUF_MEM_free) BUF_MEM *signature = BUF_MEM_new();
    CLEANUP(json_free) cJSON *object = answer_begin();

    if (strcmp(request->key, key->hash) != 0)
        answer_refuse(answer, "CHANGED", NULL,
                "the device has another key now; open its URI again, so that the certificate fits "
                "the key");
    else if (strcmp(agent_scheme_key_type(request->scheme),
                     aliyun_iot_identity_key_type(identity)) != 0)
        answer_refuse(answer, "BAD_SCHEME", NULL, "the scheme does not fit the type of the key");
    else if (!signature)
        answer_refuse(answer, "OUT_OF_MEMORY", NULL, "out of memory");
    else if (!signing_key_sign(key, request->scheme, request->message, signature, &error))
        answer_error(answer, error);
    else
        write_if(add_base64(object, "signature", signature->data, signature->length), object,
                answer);
}

/* In a buffer, which cleanses what it frees: what cJSON prints into is not cleansed. */
static void answer_export(
        const struct aliyun_iot_identity *identity, const struct signing_key *key, BUF_MEM *answer)
{
    size_t size;
    const unsigned char *pkcs8 = aliyun_iot_identity_key(identity, &size);

    if (!pkcs8) {
        answer_refuse(answer, "TOKEN", NULL,
                "the device's key is in a token, which does not give it away");
        return;
    }
    answer->length = 0;
    if (!buffer_append_format(answer, "{\"version\":%d,\"ok\":true,\"key\":\"%s\",\"pkcs8\":\"",
                AGENT_PROTOCOL_VERSION, key->hash) ||
            !base64_append(answer, pkcs8, size) || !buffer_append_text(answer, "\"}"))
        answer_refuse(answer, "OUT_OF_MEMORY", NULL, "out of memory");
}

void operation_answer_with(struct service *service, const struct request *request,
        struct aliyun_iot_identity *identity, BUF_MEM *answer)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    CLEANUP(signing_key_free)
    const struct signing_key *key =
            signing_keys_get(service_signing_keys(service), identity, &error);

    if (!key)
        answer_error(answer, error);
    else if (request->operation == OPERATION_SIGN)
        answer_sign(request, identity, key, answer);
    else if (request->operation == OPERATION_EXPORT)
        answer_export(identity, key, answer);
    else
        answer_identity(identity, key, answer);
}
