/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, as conf/man/aliyun-iot-agent-protocol.7 describes them: one JSON object each. What a
 * request has beyond its operation's members is refused, so that no constraint is ever lost.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdint.h>

#include "base/agent_protocol.h"
#include "base/buffer.h"
#include "base/uri.h"

enum operation {
    OPERATION_HEALTH,
    OPERATION_IDENTITY,
    OPERATION_SIGN,
    OPERATION_EXPORT,
    OPERATION_STATUS,
    OPERATION_LIST,
    OPERATION_METRICS,
    OPERATION_EVICT,
    OPERATION_RELOAD
};

enum { OPERATION_COUNT = OPERATION_RELOAD + 1 };

/* How the protocol writes an operation. A constant. */
const char *operation_name(enum operation operation);

/* Whether it is for operators alone. */
bool operation_is_operators(enum operation operation);

/* What an operation does not have is NULL or 0. */
struct request {
    enum operation operation;
    struct uri *uri;
    int64_t timeout_ms;
    char key[AGENT_KEY_HASH_SIZE]; /* of sign: the hash of the public key */
    enum key_scheme scheme;
    BUF_MEM *message; /* of sign, not hashed yet */
    char *pattern;    /* of evict */
    int64_t after;    /* of list: how many identities came in the pages before */
};

/* Why a packet is no request. */
struct refusal {
    const char *reason;             /* a word of the protocol; NULL: it is the error */
    const char *limit;              /* of reason LIMITED: which one */
    struct aliyun_iot_error *error; /* to be freed by the receiver */
};

/*
 * Parses a packet. Returns true with *request, to be freed by request_release(); or false with
 * *refusal.
 */
bool request_parse(
        const char *packet, size_t size, struct request *request, struct refusal *refusal);

/* Frees what a request holds, and clears it. */
void request_release(struct request *request);

#endif
