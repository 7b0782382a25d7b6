/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as a source: certificates come from it, and it signs. No private key comes here. */
#ifndef AGENT_SOURCE_H
#define AGENT_SOURCE_H

#include "base/settings.h"
#include "base/source.h"

/* settings, which name the agent's socket, must outlive it. NULL with *error set. */
struct source *agent_source_new(const struct settings *settings, struct aliyun_iot_error **error);

#endif
