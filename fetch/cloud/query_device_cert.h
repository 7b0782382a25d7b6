/* SPDX-License-Identifier: Apache-2.0 */
/* QueryDeviceCert, version 2018-01-20: from a device's names to its identity. */
#ifndef QUERY_DEVICE_CERT_H
#define QUERY_DEVICE_CERT_H

#include "base/device.h"
#include "base/identity.h"
#include "cloud/openapi.h"

/*
 * Calls the service, and calls it again while it is still generating the certificate, until the
 * deadline. Returns the identity's first reference; or NULL with *error set, whose message has the
 * RequestId.
 */
struct aliyun_iot_identity *query_device_cert(struct http_client *http,
        const struct settings *settings, const struct openapi_hooks *hooks,
        const struct device *device, int64_t deadline, struct aliyun_iot_error **error);

#endif
