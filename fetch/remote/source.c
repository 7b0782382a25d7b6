/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/agent_protocol.h"
#include "base/base64.h"
#include "base/deadline.h"
#include "base/text.h"
#include "base/trace.h"
#include "remote/agent.h"
#include "remote/answer.h"

struct agent_source {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const struct settings *settings;
    struct agent *agent;
};

/* A key in the agent. */
struct remote_key {
    struct agent *agent;
    char *uri;
    char hash[AGENT_KEY_HASH_SIZE];
    int64_t timeout_ms;
};

static void free_key(void *context)
{
    struct remote_key *key = context;

    agent_free(key->agent);
    free(key->uri);
    free(key);
}

/* What the URI did not name, and the settings do not, is empty: the agent's own settings count. */
static char *make_uri(const struct device *device)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *uri = BUF_MEM_new();
    const char *mark = "?";

    if (!uri || !buffer_append_text(uri, "aliyun-iot:") ||
            !buffer_append_percent_encoded(uri, device->product_key) ||
            !buffer_append_text(uri, "/") ||
            !buffer_append_percent_encoded(uri, device->device_name))
        return NULL;
    if (device->instance_id) {
        if (!buffer_append_text(uri, "?instance=") ||
                !buffer_append_percent_encoded(uri, device->instance_id))
            return NULL;
        mark = "&";
    }
    if (*device->region && !buffer_append_format(uri, "%sregion=%s", mark, device->region))
        return NULL;
    return buffer_text(uri) ? strdup(uri->data) : NULL;
}

/* Returns NULL when out of memory. */
static cJSON *make_request(const char *operation, const char *uri, int64_t deadline)
{
    CLEANUP(json_free) cJSON *request = cJSON_CreateObject();
    int64_t left_ms = deadline_left_ms(deadline);

    if (!cJSON_AddNumberToObject(request, "version", AGENT_PROTOCOL_VERSION) ||
            !cJSON_AddStringToObject(request, "operation", operation) ||
            !cJSON_AddStringToObject(request, "uri", uri) ||
            !cJSON_AddNumberToObject(request, "timeout", left_ms > 0 ? (double)left_ms : 1))
        return NULL;
    return take(request);
}

static cJSON *make_sign_request(const struct remote_key *key, enum key_scheme scheme,
        const unsigned char *message, size_t message_size, int64_t deadline)
{
    CLEANUP(json_free) cJSON *request = make_request("sign", key->uri, deadline);
    CLEANUP(BUF_MEM_free) BUF_MEM *encoded = BUF_MEM_new();

    if (!request || !encoded || !base64_append(encoded, message, message_size) ||
            !cJSON_AddStringToObject(request, "key", key->hash) ||
            !cJSON_AddStringToObject(request, "scheme", agent_scheme_name(scheme)) ||
            !cJSON_AddStringToObject(request, "message", encoded->data))
        return NULL;
    return take(request);
}

static int sign(void *context, enum key_scheme scheme, const unsigned char *message,
        size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    const struct remote_key *key = context;
    int64_t deadline = monotonic_milliseconds() + key->timeout_ms;
    CLEANUP(json_free) cJSON *request = NULL;
    CLEANUP(json_free) cJSON *answer = NULL;
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new();

    if (message_size > AGENT_MESSAGE_MAX_BYTES)
        return error_set(error, ALIYUN_IOT_REASON_LIMITED,
                "the agent signs messages of at most %d bytes, and this one has %zu",
                AGENT_MESSAGE_MAX_BYTES, message_size);
    request = make_sign_request(key, scheme, message, message_size, deadline);
    if (!request || !bytes)
        return error_set_out_of_memory(error);
    answer = agent_ask(key->agent, request, deadline, error);
    if (!answer || !answer_read_bytes(answer, "signature", bytes, error))
        return 0;
    if (bytes->length == 0 || bytes->length > *size)
        return error_set(error, ALIYUN_IOT_REASON_AGENT,
                "the agent's signature has %zu bytes, where 1 to %zu fit", bytes->length, *size);
    memcpy(signature, bytes->data, bytes->length);
    *size = bytes->length;
    return 1;
}

/* Takes uri. NULL when out of memory. */
static struct remote_key *make_key(
        const struct agent_source *source, char *uri, const char hash[AGENT_KEY_HASH_SIZE])
{
    struct remote_key *key = calloc(1, sizeof(*key));

    if (!key) {
        free(uri);
        return NULL;
    }
    key->agent = agent_reference(source->agent);
    key->uri = uri;
    memcpy(key->hash, hash, sizeof(key->hash));
    key->timeout_ms = source->settings->timeout_ms;
    return key;
}

/*
 * The agent proved that the pair fits before it served it, and signs with the key of this hash
 * alone. So no signature is made here for proof.
 */
static struct aliyun_iot_identity *read_identity(struct agent_source *source, char *uri,
        const cJSON *answer, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *owned = uri;
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = NULL;
    struct answered_identity read;
    struct key_signer signer = {.sign = sign, .free = free_key, .is_proven = true};

    if (!answer_read_identity(answer, &read, error))
        return NULL;
    certificates = read.certificates;
    signer.context = make_key(source, take(owned), read.key_hash);
    if (!signer.context) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return identity_new_with_signer(certificates, &signer, json_string(answer, "serial_number"),
            json_string(answer, "request_id"), error);
}

static struct aliyun_iot_identity *agent_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct agent_source *agent_source = (struct agent_source *)source;
    int64_t begun_ms = monotonic_milliseconds();
    CLEANUP(free) char *uri = make_uri(device);
    CLEANUP(json_free) cJSON *request = uri ? make_request("identity", uri, deadline) : NULL;
    CLEANUP(json_free) cJSON *answer = NULL;
    struct aliyun_iot_identity *identity = NULL;

    (void)background;
    if (!request) {
        error_set_out_of_memory(error);
        return NULL;
    }
    answer = agent_ask(agent_source->agent, request, deadline, error);
    if (answer)
        identity = read_identity(agent_source, take(uri), answer, error);
    trace(agent_source->settings, TRACE_INFO, "agent product=%s device=%s result=%s ms=%lld",
            device->product_key, device->device_name, identity ? "ok" : "failed",
            (long long)(monotonic_milliseconds() - begun_ms));
    return identity;
}

static void free_source(struct source *source)
{
    agent_free(((struct agent_source *)source)->agent);
    free(source);
}

struct source *agent_source_new(const struct settings *settings, struct aliyun_iot_error **error)
{
    struct agent_source *source = calloc(1, sizeof(*source));

    if (source)
        source->agent = agent_new(settings->agent_socket, settings->agent_owner_uid);
    if (!source || !source->agent) {
        free(source);
        error_set_out_of_memory(error);
        return NULL;
    }
    source->source = (struct source){agent_fetch, free_source};
    source->settings = settings;
    return &source->source;
}
