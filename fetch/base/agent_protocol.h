/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent and its clients have in common: the words and limits of the protocol that
 * aliyun-iot-agent-protocol(7) describes, version 1.
 */
#ifndef AGENT_PROTOCOL_H
#define AGENT_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/key_signer.h"

enum {
    AGENT_PROTOCOL_VERSION = 1,
    AGENT_PACKET_MAX_BYTES = 192 * 1024,
    AGENT_MESSAGE_MAX_BYTES = 128 * 1024, /* of what is to be signed, before base64 */
    AGENT_DEPTH_MAX = 8,                  /* of JSON */
    AGENT_TIMEOUT_MAX_MS = 3600 * 1000,
    AGENT_KEY_HASH_SIZE = 2 * SHA256_DIGEST_LENGTH + 1 /* hexadecimal digits and a NUL */
};

/* The members of `schemes`. NULL: there is no such scheme. A constant. */
const char *agent_scheme_name(enum key_scheme scheme);
bool agent_scheme_find(const char *name, enum key_scheme *scheme);

/* OpenSSL's name of the type of key that signs under a scheme: "RSA", "EC", "ED25519", "ED448". */
const char *agent_scheme_key_type(enum key_scheme scheme);

/*
 * How an answer names a reason of <aliyun-iot/error.h>: as the header does, without the prefix
 * ("NOT_FOUND"). NULL, or 0: there is no such reason.
 */
const char *agent_reason_name(int reason);
int agent_reason_find(const char *name);

/*
 * The name of a key: the SHA-256 of the SubjectPublicKeyInfo (DER) of its certificate, as it stands
 * there, in hexadecimal digits. context is where the digest comes from. Returns false if there is
 * no memory or no SHA-256.
 */
bool agent_key_hash(OSSL_LIB_CTX *context, const X509 *certificate, char hash[AGENT_KEY_HASH_SIZE]);

#endif
