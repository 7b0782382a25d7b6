/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent is asked to sign: whether it is what a TLS client signs to prove that it has its
 * key, and for which server.
 */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include "agent/handshake/transcript.h"
#include "private/key_scheme.h"

struct handshake {
    const char *problem;          /* why it is no client's handshake; a constant. NULL: it is one */
    bool is_tls_1_3;              /* which hides the server */
    struct transcript transcript; /* of TLS 1.2 */
};

/*
 * Reads what is to be signed. size: in bytes. *handshake is to be released by handshake_release().
 */
void handshake_read(const void *message, size_t size, enum key_scheme scheme,
        const struct aliyun_iot_identity *identity, struct handshake *handshake);

void handshake_release(struct handshake *handshake);

#endif
