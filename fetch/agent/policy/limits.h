/* SPDX-License-Identifier: Apache-2.0 */
/* How often limits have counted whom, across reloads of the policy. Safe from any thread. */
#ifndef LIMITS_H
#define LIMITS_H

#include "agent/policy/decision.h"

struct limits;

/* NULL when out of memory. */
struct limits *limits_new(void);

/* NULL is ignored. */
void limits_free(struct limits *limits);
DEFINE_CLEANUP(struct limits *, limits_free);

/* A rate that counts beside the rules, under another name than theirs. */
struct limit_rate {
    const char *name;
    int64_t rate, period_s;
};

/*
 * Whether a rate is not used up by its subject: a uid, a name of a certificate, or the unknown.
 * Then it counts one more. A whole period's worth may come at once.
 */
bool limits_count(
        struct limits *limits, const struct limit_rate *rate, const struct principal *principal);

/*
 * Counts an allowed request in every limit of the policy that matches it. If one of them is used
 * up, none counts, and it is returned; else NULL.
 */
const struct rule *limits_count_rules(
        struct limits *limits, const struct policy *policy, const struct policy_request *request);

#endif
