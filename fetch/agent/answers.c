/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/answers.h"

#include <string.h>

#include "base/agent_protocol.h"

/* Fits what a buffer that was used once has already. */
static const char out_of_memory[] =
        "{\"version\":1,\"ok\":false,\"reason\":\"OUT_OF_MEMORY\",\"message\":\"out of memory\"}";

static void write_text(BUF_MEM *answer, const char *text)
{
    answer->length = 0;
    if (!text || !buffer_append_text(answer, text)) {
        answer->length = 0;
        buffer_append_text(answer, out_of_memory);
    }
}

static cJSON *begin(bool done)
{
    CLEANUP(json_free) cJSON *object = cJSON_CreateObject();

    if (!cJSON_AddNumberToObject(object, "version", AGENT_PROTOCOL_VERSION) ||
            !cJSON_AddBoolToObject(object, "ok", done))
        return NULL;
    return take(object);
}

cJSON *answer_begin(void)
{
    return begin(true);
}

void answer_refuse(BUF_MEM *answer, const char *reason, const char *limit, const char *message)
{
    CLEANUP(json_free) cJSON *object = begin(false);
    CLEANUP(json_text_free) char *text = NULL;

    if (cJSON_AddStringToObject(object, "reason", reason) &&
            cJSON_AddStringToObject(object, "message", message) &&
            (!limit || cJSON_AddStringToObject(object, "limit", limit)))
        text = cJSON_PrintUnformatted(object);
    write_text(answer, text);
}

const char *answer_failure(const BUF_MEM *answer, size_t *size)
{
    /* As answer_refuse() and out_of_memory begin. */
    static const char failed[] = "{\"version\":1,\"ok\":false,\"reason\":\"";
    const char *reason, *end;

    if (answer->length < sizeof(failed) || memcmp(answer->data, failed, sizeof(failed) - 1) != 0)
        return NULL;
    reason = answer->data + sizeof(failed) - 1;
    end = memchr(reason, '"', answer->length - (sizeof(failed) - 1));
    *size = end ? (size_t)(end - reason) : 0;
    return end ? reason : NULL;
}

void answer_error(BUF_MEM *answer, const struct aliyun_iot_error *error)
{
    const char *reason = agent_reason_name((int)aliyun_iot_error_reason(error));

    answer_refuse(answer, reason ? reason : "INTERNAL", NULL, aliyun_iot_error_message(error));
}

void answer_write(BUF_MEM *answer, const cJSON *object)
{
    CLEANUP(json_text_free) char *text = cJSON_PrintUnformatted(object);

    if (text && strlen(text) > AGENT_PACKET_MAX_BYTES)
        answer_refuse(answer, "LIMITED", "message-bytes",
                "the answer would be longer than a packet may be, 196608 bytes");
    else
        write_text(answer, text);
}
