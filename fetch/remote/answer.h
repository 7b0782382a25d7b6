/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent answers, checked as if it came from an enemy. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>

#include "base/agent_protocol.h"
#include "base/buffer.h"
#include "base/identity.h"
#include "base/json.h"

/*
 * Parses an answer. Returns the object, to be freed by json_free(), if it says that the request was
 * done; or NULL with *error set: the failure that the answer tells of, or AGENT if it is no answer.
 * *reconnect becomes whether the agent wants the same request on a new connection.
 */
cJSON *answer_parse(const BUF_MEM *answer, bool *reconnect, struct aliyun_iot_error **error);

/* What the answer to `identity` holds beside texts. */
struct answered_identity {
    STACK_OF(X509) *certificates;       /* the leaf first; to be freed by certificates_free() */
    char key_hash[AGENT_KEY_HASH_SIZE]; /* of the leaf's key, by which `sign` names it */
};

/*
 * Reads the certificates, whose leaf must have the key that the answer names. Returns 1; or 0 with
 * *error set (AGENT).
 */
int answer_read_identity(
        const cJSON *answer, struct answered_identity *identity, struct aliyun_iot_error **error);

/*
 * Reads the bytes that a member has in base64 into content. Returns 1; or 0 with *error set
 * (AGENT).
 */
int answer_read_bytes(
        const cJSON *answer, const char *name, BUF_MEM *content, struct aliyun_iot_error **error);

#endif
