/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/source.h"

#include <stdlib.h>

#include "base/deadline.h"
#include "base/trace.h"
#include "cloud/credentials/store.h"
#include "cloud/query_device_cert.h"
#include "cloud/quota.h"

struct cloud_source {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const struct settings *settings;
    struct http_client *http;             /* for the endpoint */
    struct http_client *credentials_http; /* for STS and the other services that give credentials */
    struct credentials_store *credentials;
};

/* One fetch under way, as the hooks of its call see it. */
struct fetch {
    struct cloud_source *cloud;
    const struct device *device;
    bool background;
};

static struct credentials *give_credentials(
        void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    const struct fetch *fetch = context;

    return credentials_get(fetch->cloud->credentials, deadline, error);
}

static void reject_credentials(void *context, const struct credentials *credentials)
{
    const struct fetch *fetch = context;

    credentials_reject(fetch->cloud->credentials, credentials);
}

static bool reread_credentials(
        void *context, const struct credentials *credentials, int64_t deadline)
{
    const struct fetch *fetch = context;

    return credentials_reread(fetch->cloud->credentials, credentials, deadline);
}

static int admit(void *context, int64_t deadline, struct aliyun_iot_error **error)
{
    const struct fetch *fetch = context;
    CLEANUP(quota_free)
    struct quota *quota = quota_open(fetch->cloud->settings, fetch->device->endpoint);

    return quota ? quota_wait(quota, fetch->background, deadline, error)
                 : error_set_out_of_memory(error);
}

static void throttled(void *context)
{
    const struct fetch *fetch = context;
    CLEANUP(quota_free)
    struct quota *quota = quota_open(fetch->cloud->settings, fetch->device->endpoint);

    if (quota)
        quota_throttled(quota);
}

static struct aliyun_iot_identity *cloud_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct cloud_source *cloud = (struct cloud_source *)source;
    struct fetch fetch = {cloud, device, background};
    const struct openapi_hooks hooks = {
            .context = &fetch,
            .credentials = give_credentials,
            .rejected = reject_credentials,
            .admit = admit,
            .throttled = throttled,
            .reread = reread_credentials,
    };
    int64_t begun_ms = monotonic_milliseconds();
    struct aliyun_iot_identity *identity =
            query_device_cert(cloud->http, cloud->settings, &hooks, device, deadline, error);

    trace(cloud->settings, TRACE_INFO, "fetch product=%s device=%s result=%s request_id=%s ms=%lld",
            device->product_key, device->device_name, identity ? "ok" : "failed",
            identity ? aliyun_iot_identity_request_id(identity) : "-",
            (long long)(monotonic_milliseconds() - begun_ms));
    return identity;
}

static void cloud_free(struct source *source)
{
    struct cloud_source *cloud = (struct cloud_source *)source;

    credentials_store_free(cloud->credentials);
    http_client_free(cloud->credentials_http);
    http_client_free(cloud->http);
    free(cloud);
}

static struct http_client *new_client(const struct settings *settings, const char *ca_file)
{
    const struct http_options options = {
            .ca_file = ca_file,
            .proxy = settings->proxy,
            .connect_timeout_ms = settings->connect_timeout_ms,
            .trace = settings,
    };

    return http_client_new(&options);
}

struct source *cloud_source_new(const struct settings *settings, struct aliyun_iot_error **error)
{
    struct cloud_source *cloud = calloc(1, sizeof(*cloud));

    if (!cloud) {
        error_set_out_of_memory(error);
        return NULL;
    }
    cloud->source = (struct source){cloud_fetch, cloud_free};
    cloud->settings = settings;
    cloud->http = new_client(settings, settings->ca_file);
    cloud->credentials_http = new_client(settings, settings->credentials_ca_file);
    if (cloud->http && cloud->credentials_http)
        cloud->credentials = credentials_store_new(settings, cloud->credentials_http);
    if (!cloud->credentials) {
        cloud_free(&cloud->source);
        error_set_out_of_memory(error);
        return NULL;
    }
    return &cloud->source;
}
