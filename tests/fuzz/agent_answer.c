/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of the agent, from its packet to an identity, a signature or an error. */
#include "fuzz.h"

#include "remote/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union {
        const uint8_t *bytes;
        char *text; /* which is only read */
    } packet = {.bytes = data};
    const BUF_MEM answer = {.data = packet.text, .length = size};
    CLEANUP(BUF_MEM_free) BUF_MEM *signature = BUF_MEM_new();
    struct aliyun_iot_error *error = NULL;
    struct answered_identity identity = {.certificates = NULL};
    bool reconnect, done;
    CLEANUP(json_free) cJSON *object = answer_parse(&answer, &reconnect, &error);

    if (!object) {
        check_outcome(false, error);
        return 0;
    }
    done = answer_read_identity(object, &identity, &error);
    check_outcome(done, error);
    if (done)
        certificates_free(identity.certificates);
    error = NULL;
    done = answer_read_bytes(object, "signature", signature, &error);
    check_outcome(done, error);
    return 0;
}
