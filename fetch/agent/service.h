/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent's operations work on: the resolver by the present settings, the policy, and keys
 * that sign.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <time.h>

#include "agent/audit/audit_log.h"
#include "agent/counters.h"
#include "agent/policy/limits.h"
#include "agent/signing_keys.h"
#include "resolver.h"

struct service;

/*
 * Loads the settings of settings_load_for_agent(settings_file), and the policy, unless the agent is
 * private. Returns the service, to be freed by service_free(); or NULL with *error set.
 */
struct service *service_new(
        const char *settings_file, bool is_private, struct aliyun_iot_error **error);

/* No request may be under way. NULL is ignored. */
void service_free(struct service *service);
DEFINE_CLEANUP(struct service *, service_free);

/*
 * Reads the settings and the policy again. What is in memory stays, if it was fetched from where
 * the new settings would fetch it. Returns 1; or 0 with *error set, and the old settings and the
 * old policy stay, also if the file of the policy is gone. Of two at once, the one that reads the
 * files last also comes last.
 */
int service_reload(struct service *service, struct aliyun_iot_error **error);

/* The resolver by the present settings. Returns a reference. */
struct resolver *service_resolver(struct service *service);

/* The present policy; NULL: there is none. Returns a reference. */
struct policy *service_policy(struct service *service);

/* Why the last reload failed, to be freed; NULL: it did not. */
struct aliyun_iot_error *service_reload_error(struct service *service);

struct signing_keys *service_signing_keys(struct service *service);
struct limits *service_limits(struct service *service);
struct audit_log *service_audit_log(struct service *service);
struct counters *service_counters(struct service *service);

/* When the service was made. */
time_t service_started(const struct service *service);

#endif
