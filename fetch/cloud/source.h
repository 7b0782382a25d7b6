/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud as a source: credentials, the quota and QueryDeviceCert together. */
#ifndef CLOUD_SOURCE_H
#define CLOUD_SOURCE_H

#include "base/settings.h"
#include "base/source.h"

/* settings must outlive the source. NULL with *error set. */
struct source *cloud_source_new(const struct settings *settings, struct aliyun_iot_error **error);

#endif
