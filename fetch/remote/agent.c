/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/agent.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/agent_protocol.h"
#include "base/process.h"
#include "remote/answer.h"
#include "remote/connection.h"

enum {
    IDLE_MAX = 8, /* connections that are kept */
    TRIES = 2     /* of a request: the agent may have been restarted */
};

struct agent {
    atomic_int references;
    char *socket;
    int64_t owner_uid;
    pthread_mutex_t lock; /* for all that follows */
    struct fork_participant fork;
    struct connection *connections;
    int idle;
};

/* The parent's connections are closed in the child; those who used them are not here. */
static void forget_connections(void *context)
{
    struct agent *agent = context;
    struct connection *connection;

    while ((connection = agent->connections)) {
        agent->connections = connection->next;
        connection_free(connection);
    }
    agent->idle = 0;
}

struct agent *agent_new(const char *socket, int64_t owner_uid)
{
    struct agent *agent = calloc(1, sizeof(*agent));

    if (!agent)
        return NULL;
    agent->references = 1;
    agent->owner_uid = owner_uid;
    agent->socket = strdup(socket);
    if (!agent->socket) {
        free(agent);
        return NULL;
    }
    pthread_mutex_init(&agent->lock, NULL);
    agent->fork = (struct fork_participant){
            .lock = &agent->lock, .reset_in_child = forget_connections, .context = agent};
    process_register(&agent->fork);
    return agent;
}

struct agent *agent_reference(struct agent *agent)
{
    atomic_fetch_add(&agent->references, 1);
    return agent;
}

void agent_free(struct agent *agent)
{
    if (!agent || atomic_fetch_sub(&agent->references, 1) > 1)
        return;
    process_unregister(&agent->fork);
    forget_connections(agent);
    pthread_mutex_destroy(&agent->lock);
    free(agent->socket);
    free(agent);
}

static void add(struct agent *agent, struct connection *connection)
{
    connection->is_busy = true;
    pthread_mutex_lock(&agent->lock);
    connection->next = agent->connections;
    agent->connections = connection;
    pthread_mutex_unlock(&agent->lock);
}

/* An idle connection, which is busy from now on; NULL: there is none. */
static struct connection *take_idle(struct agent *agent)
{
    struct connection *connection;

    pthread_mutex_lock(&agent->lock);
    connection = agent->connections;
    while (connection && connection->is_busy)
        connection = connection->next;
    if (connection) {
        connection->is_busy = true;
        agent->idle--;
    }
    pthread_mutex_unlock(&agent->lock);
    return connection;
}

static void drop(struct agent *agent, struct connection *connection)
{
    struct connection **place = &agent->connections;

    pthread_mutex_lock(&agent->lock);
    while (*place != connection)
        place = &(*place)->next;
    *place = connection->next;
    pthread_mutex_unlock(&agent->lock);
    connection_free(connection);
}

static void keep(struct agent *agent, struct connection *connection)
{
    bool is_kept;

    pthread_mutex_lock(&agent->lock);
    is_kept = agent->idle < IDLE_MAX;
    if (is_kept) {
        connection->is_busy = false;
        agent->idle++;
    }
    pthread_mutex_unlock(&agent->lock);
    if (!is_kept)
        drop(agent, connection);
}

static struct connection *find_or_open(
        struct agent *agent, int64_t deadline, struct aliyun_iot_error **error)
{
    struct connection *connection;

    while ((connection = take_idle(agent))) {
        if (connection_is_usable(connection))
            return connection;
        drop(agent, connection);
    }
    connection = connection_open(agent->socket, agent->owner_uid, deadline, error);
    if (connection)
        add(agent, connection);
    return connection;
}

/* *again becomes whether another connection may do. */
static cJSON *try_to_ask(struct agent *agent, const BUF_MEM *request, int64_t deadline,
        BUF_MEM *answer, bool *again, struct aliyun_iot_error **error)
{
    struct connection *connection = find_or_open(agent, deadline, error);
    cJSON *object = NULL;

    *again = false;
    if (!connection)
        return NULL;
    switch (connection_exchange(connection, request, deadline, answer, error)) {
    case EXCHANGE_DONE:
        object = answer_parse(answer, again, error);
        break;
    case EXCHANGE_BROKEN:
        *again = true;
        error_set(error, ALIYUN_IOT_REASON_AGENT,
                "the agent closed the connection and gave no answer; see its log");
        break;
    case EXCHANGE_FAILED:
        drop(agent, connection);
        return NULL;
    }
    if (*again)
        drop(agent, connection);
    else
        keep(agent, connection);
    return object;
}

static cJSON *ask(struct agent *agent, const BUF_MEM *request, int64_t deadline,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *answer = BUF_MEM_new();
    struct aliyun_iot_error *problem = NULL;
    cJSON *object = NULL;
    bool again = true;

    if (!answer) {
        error_set_out_of_memory(error);
        return NULL;
    }
    for (int count = 0; count < TRIES && again; count++) {
        aliyun_iot_error_free(problem);
        problem = NULL;
        object = try_to_ask(agent, request, deadline, answer, &again, &problem);
    }
    if (error)
        *error = problem;
    else
        aliyun_iot_error_free(problem);
    return object;
}

cJSON *agent_ask(struct agent *agent, const cJSON *request, int64_t deadline,
        struct aliyun_iot_error **error)
{
    CLEANUP(json_text_free) char *text = cJSON_PrintUnformatted(request);
    BUF_MEM packet = {.data = text};
    cJSON *answer = NULL;

    if (!text) {
        error_set_out_of_memory(error);
        return NULL;
    }
    packet.length = strlen(text);
    if (packet.length > AGENT_PACKET_MAX_BYTES)
        error_set(error, ALIYUN_IOT_REASON_LIMITED,
                "a request to the agent may have %d bytes, and this one has %zu",
                AGENT_PACKET_MAX_BYTES, packet.length);
    else
        answer = ask(agent, &packet, deadline, error);
    if (!answer)
        error_prefix(error, "agent %.200s: ", agent->socket);
    return answer;
}
