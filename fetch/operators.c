/* SPDX-License-Identifier: Apache-2.0 */
/* The library's function for operators of an agent. */
#include <aliyun-iot/agent.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/agent_protocol.h"
#include "base/deadline.h"
#include "base/export.h"
#include "base/settings.h"
#include "remote/agent.h"

static cJSON *ask(const char *settings_file, const cJSON *request, struct aliyun_iot_error **error)
{
    CLEANUP(settings_free) struct settings *settings = settings_load(settings_file, error);
    CLEANUP(agent_free) struct agent *agent = NULL;

    if (!settings)
        return NULL;
    if (!settings->agent_socket) {
        error_set(error, ALIYUN_IOT_REASON_AGENT,
                "no agent is named: set socket in section [agent] of aliyun-iot.conf, or "
                "ALIYUN_IOT_AGENT");
        return NULL;
    }
    agent = agent_new(settings->agent_socket, settings->agent_owner_uid);
    if (!agent) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return agent_ask(agent, request, monotonic_milliseconds() + settings->timeout_ms, error);
}

/* Returns text of malloc(); or NULL with *error set. */
static char *ask_for_text(
        const char *settings_file, const char *text, struct aliyun_iot_error **error)
{
    const char *problem;
    CLEANUP(json_free) cJSON *request = json_parse(text, strlen(text), AGENT_DEPTH_MAX, &problem);
    CLEANUP(json_free) cJSON *answer = NULL;
    CLEANUP(json_text_free) char *printed = NULL;
    char *copy;

    if (!request) {
        error_set(error, ALIYUN_IOT_REASON_AGENT, "the request is malformed: %s", problem);
        return NULL;
    }
    answer = ask(settings_file, request, error);
    if (!answer)
        return NULL;
    printed = cJSON_PrintUnformatted(answer);
    copy = printed ? strdup(printed) : NULL;
    if (!copy)
        error_set_out_of_memory(error);
    return copy;
}

EXPORT int aliyun_iot_agent_request(const char *settings_file, const char *request, char **answer,
        struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    int before = errno;

    if (!error)
        error = &problem;
    *error = NULL;
    ERR_set_mark();
    *answer = ask_for_text(settings_file, request, error);
    ERR_pop_to_mark();
    errno = before;
    return *answer != NULL;
}
