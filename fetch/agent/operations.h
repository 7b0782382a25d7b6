/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent does for a request, and answers. Nothing here waits for the network. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "agent/metrics.h"
#include "agent/request.h"
#include "agent/service.h"

/* Answers a request that names no device. */
void operation_answer(struct service *service, const struct request *request,
        const struct server_counts *counts, BUF_MEM *answer);

/* Answers a request that names a device, now that its identity is here. */
void operation_answer_with(struct service *service, const struct request *request,
        struct aliyun_iot_identity *identity, BUF_MEM *answer);

#endif
