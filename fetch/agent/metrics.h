/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's metrics, as Prometheus reads them. */
#ifndef METRICS_H
#define METRICS_H

#include "agent/service.h"

/* What the server has at the moment. */
struct server_counts {
    int connections, requests;
};

/* Appends the text and a NUL. Returns false when out of memory. */
bool metrics_write(struct service *service, const struct server_counts *counts, BUF_MEM *text);

/* Replaces the file that the settings name, if they do. Returns 1; or 0 with *error set. */
int metrics_write_file(struct service *service, const struct server_counts *counts,
        struct aliyun_iot_error **error);

enum { METRICS_FILE_PAUSE_MS = 10 * 1000 };

#endif
