/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent, as its client sees it: requests and their answers, over connections that are kept for
 * the next request. Several threads ask at once, each on a connection of its own.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

/* Reference counted: an identity whose key is in the agent lives longer than the settings may. */
struct agent;

/*
 * socket: a path, which is copied. owner_uid: as agent_owner_uid in struct settings. Connects to
 * nothing yet. Returns the first reference; NULL when out of memory.
 */
struct agent *agent_new(const char *socket, int64_t owner_uid);

/* One more reference. Returns agent. */
struct agent *agent_reference(struct agent *agent);

/* Gives back a reference, which no request under way may need. NULL is ignored. */
void agent_free(struct agent *agent);
DEFINE_CLEANUP(struct agent *, agent_free);

/*
 * Sends a request and waits for the answer until the deadline. If the agent ended meanwhile, it is
 * asked once more on a new connection. Returns the answer, to be freed by json_free(); or NULL with
 * *error set: why the agent did not do it, or AGENT or TIMEOUT, with the path of the socket.
 */
cJSON *agent_ask(struct agent *agent, const cJSON *request, int64_t deadline,
        struct aliyun_iot_error **error);

#endif
