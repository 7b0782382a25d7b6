/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/access_words.h"
#include "base/text.h"

void access_begin(struct access *access, struct policy *policy)
{
    *access = (struct access){.policy = policy};
}

void access_release(struct access *access)
{
    handshake_release(&access->handshake);
    free(access->device);
    free(access->instance);
    policy_free(access->policy);
    *access = (struct access){.policy = NULL};
}

bool access_is_own(const struct principal *principal)
{
    return !principal->is_remote && principal->has_uid &&
           (principal->uid == 0 || principal->uid == geteuid());
}

static enum rule_operation operation_of(enum operation operation)
{
    return operation == OPERATION_SIGN     ? RULE_SIGN
           : operation == OPERATION_EXPORT ? RULE_EXPORT
                                           : RULE_LOAD;
}

static void apply(struct access *access)
{
    if (access->policy)
        access->decision = policy_decide(access->policy, &access->request);
    else
        access->decision.is_allowed = access_is_own(&access->principal);
    access->verdict = access->decision.is_allowed ? ACCESS_ALLOWED : ACCESS_DENIED;
}

static void count(struct access *access, struct limits *limits)
{
    const struct rule *used_up;

    if (access->verdict != ACCESS_ALLOWED || !access->policy)
        return;
    used_up = limits_count_rules(limits, access->policy, &access->request);
    if (!used_up)
        return;
    access->verdict = ACCESS_LIMITED;
    access->limit = used_up->name;
    access->decision.rule = used_up;
}

bool access_decide(struct access *access, enum operation operation, const struct device *device,
        struct limits *limits, int64_t operations_max)
{
    /* No rule has this name. */
    struct limit_rate rate = {"", operations_max, 1};

    if (asprintf(&access->device, "%s/%s", device->product_key, device->device_name) < 0) {
        access->device = NULL;
        return false;
    }
    access->instance = device->instance_id ? strdup(device->instance_id) : NULL;
    if (device->instance_id && !access->instance)
        return false;
    access->request = (struct policy_request){.principal = &access->principal,
            .operation = operation_of(operation),
            .device = access->device,
            .instance = access->instance,
            .time_s = time(NULL)};
    if (!limits_count(limits, &rate, &access->principal)) {
        access->verdict = ACCESS_LIMITED;
        access->limit = "operations";
        return true;
    }
    apply(access);
    if (operation != OPERATION_SIGN)
        count(access, limits);
    return true;
}

void access_decide_signing(struct access *access, const struct request *request,
        const struct aliyun_iot_identity *identity, struct limits *limits)
{
    handshake_read(request->message->data, request->message->length, request->scheme, identity,
            &access->handshake);
    access->has_handshake = true;
    access->request.handshake = &access->handshake;
    /* It may have waited for the identity past the end of a rule. */
    access->request.time_s = time(NULL);
    apply(access);
    count(access, limits);
}

const char *access_verdict_name(enum access_verdict verdict)
{
    static const char *const names[] = {
            [ACCESS_DENIED] = "deny", [ACCESS_ALLOWED] = "allow", [ACCESS_LIMITED] = "limited"};

    return names[verdict];
}

void access_refuse(const struct access *access, BUF_MEM *answer)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *message = BUF_MEM_new();
    bool written;

    if (access->verdict == ACCESS_LIMITED)
        written = message && access_write_limited(access, message);
    else
        written = message && access_write_denied(access, message);
    if (!written)
        answer_refuse(answer, "OUT_OF_MEMORY", NULL, "out of memory");
    else
        answer_refuse(answer, access->verdict == ACCESS_LIMITED ? "LIMITED" : "DENIED",
                access->verdict == ACCESS_LIMITED ? access->limit : NULL, message->data);
}
