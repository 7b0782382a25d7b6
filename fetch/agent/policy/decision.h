/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says of a request. */
#ifndef DECISION_H
#define DECISION_H

#include "agent/handshake/handshake.h"
#include "agent/policy/policy.h"
#include "agent/policy/principal.h"

struct policy_request {
    const struct principal *principal;
    enum rule_operation operation;
    const char *device;   /* PRODUCT_KEY/DEVICE_NAME */
    const char *instance; /* NULL: the public one */
    int64_t time_s;       /* since 1970 */
    /* Of sign; NULL: not read yet, and then it is decided whether one could be allowed. */
    const struct handshake *handshake;
};

/*
 * Whether a rule matches a request. What is unknown of the principal matches in a deny or a limit
 * whatever is written there, and never in an allow.
 */
bool rule_matches(const struct rule *rule, const struct policy_request *request);

/* Which keys of a rule do not match a request, together; 0: the rule matches. */
enum mismatch {
    MISMATCH_USERS = 1,
    MISMATCH_GROUPS = 2,
    MISMATCH_UNITS = 4,
    MISMATCH_SOCKETS = 8,
    MISMATCH_HOSTS = 16,
    MISMATCH_CONTAINERS = 32,
    MISMATCH_DEVICES = 64,
    MISMATCH_INSTANCES = 128,
    MISMATCH_OPERATIONS = 256,
    MISMATCH_USAGE = 512, /* usage or servers */
    MISMATCH_TIME = 1024, /* not-before or not-after */
    MISMATCH_PLACE = 2048 /* it speaks of peers on this machine, or of those on others */
};
unsigned rule_mismatches(const struct rule *rule, const struct policy_request *request);

struct decision {
    bool is_allowed;
    const struct rule *rule; /* that decided; NULL: none allowed it */
    /* An allow matches, but for TLS 1.3, which hides the server. */
    bool would_allow_tls_1_2;
};

/* Limits are not looked at. The decision is valid as long as the policy. */
struct decision policy_decide(const struct policy *policy, const struct policy_request *request);

#endif
