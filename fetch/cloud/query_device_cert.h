/* SPDX-License-Identifier: Apache-2.0 */
/* QueryDeviceCert, version 2018-01-20: from a device's names to its identity. */
#ifndef QUERY_DEVICE_CERT_H
#define QUERY_DEVICE_CERT_H

#include "../identity.h"
#include "openapi.h"

struct device_query {
    const char *endpoint; /* "https://host[:port]" */
    const char *product_key;
    const char *device_name;
    const char *instance_id; /* NULL: the public instance */
    int64_t deadline;
};

/*
 * Asks the service, and again while it is still generating the certificate, until the deadline.
 * Returns the identity's first reference; or NULL with *error set, the RequestId in its message.
 */
struct aliyun_iot_identity *query_device_cert(struct http_client *http,
        const struct settings *settings, const struct openapi_hooks *hooks,
        const struct device_query *query, struct aliyun_iot_error **error);

#endif
