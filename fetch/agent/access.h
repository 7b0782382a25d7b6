/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request about a device is served: by the policy, or without one by who asks. */
#ifndef ACCESS_H
#define ACCESS_H

#include "agent/policy/limits.h"
#include "agent/request.h"
#include "base/device.h"

enum access_verdict { ACCESS_DENIED, ACCESS_ALLOWED, ACCESS_LIMITED };

/* All that was decided of one request. For one thread at a time. */
struct access {
    struct policy *policy; /* a reference; NULL: there is none */
    struct principal principal;
    struct policy_request request;
    char *device;   /* PRODUCT_KEY/DEVICE_NAME */
    char *instance; /* NULL: the public one */
    bool has_handshake;
    struct handshake handshake; /* of sign, once the identity is here */
    enum access_verdict verdict;
    struct decision decision;
    const char *limit; /* of ACCESS_LIMITED: the name of the rule, or "operations" */
};

/* Begins with a policy, whose reference becomes the access's. */
void access_begin(struct access *access, struct policy *policy);

/* Frees what it holds, and clears it. */
void access_release(struct access *access);

/*
 * Decides before the device's identity is asked for: what cannot be allowed causes no call. Sign is
 * decided for good by access_decide_signing(). operations_max: a second, of one principal. Returns
 * false when out of memory.
 */
bool access_decide(struct access *access, enum operation operation, const struct device *device,
        struct limits *limits, int64_t operations_max);

/* Decides again, now that what is signed can be read, with the identity of the device. */
void access_decide_signing(struct access *access, const struct request *request,
        const struct aliyun_iot_identity *identity, struct limits *limits);

/* Whether a peer is the agent's own user or root: who is served without a policy, and operators. */
bool access_is_own(const struct principal *principal);

/* "allow", "deny" or "limited". A constant. */
const char *access_verdict_name(enum access_verdict verdict);

/* Answers a request that is not allowed. */
void access_refuse(const struct access *access, BUF_MEM *answer);

#endif
