/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the agent, from its packet to what is asked or a refusal. */
#include "fuzz.h"

#include "agent/answers.h"
#include "agent/request.h"
#include "base/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *answer = BUF_MEM_new();
    struct refusal refusal;
    struct request request;

    if (request_parse((const char *)data, size, &request, &refusal)) {
        if (request.pattern)
            pattern_matches(request.pattern, "product/device");
        if (request.message && request.message->length > AGENT_MESSAGE_MAX_BYTES)
            abort();
        request_release(&request);
        return 0;
    }
    check_outcome(false, refusal.error);
    if (refusal.reason)
        answer_refuse(answer, refusal.reason, refusal.limit, "refused");
    return 0;
}
