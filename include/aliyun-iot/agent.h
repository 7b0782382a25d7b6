/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to an agent, as operators make them. Programs open URIs instead. */
#ifndef ALIYUN_IOT_AGENT_H
#define ALIYUN_IOT_AGENT_H

#include <aliyun-iot/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sends a request to the agent that the settings or ALIYUN_IOT_AGENT name, and waits for the answer
 * for at most the settings' timeout. aliyun-iot-agent-protocol(7) describes both. May be called
 * from any thread.
 *
 * settings_file: path of aliyun-iot.conf, or NULL to search for it as aliyun-iot.conf(5) says.
 * request: a JSON object.
 * answer: receives the answer that says that the request was done, a JSON object, to be freed with
 *     free().
 * error: receives the error, to be freed with aliyun_iot_error_free(); may be NULL.
 * Returns 1, or 0 with *error set and *answer NULL.
 */
int aliyun_iot_agent_request(const char *settings_file, const char *request, char **answer,
        struct aliyun_iot_error **error);

#ifdef __cplusplus
}
#endif

#endif
