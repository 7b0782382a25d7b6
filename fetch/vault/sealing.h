/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed bytes: encrypted and authenticated by AES-256-GCM, and bound to what they belong to.
 *
 *     8 bytes    "AIOTSEAL"
 *     1 byte     the version of the format: 1
 *     16 bytes   the id of the key
 *     12 bytes   the nonce, random
 *     2 bytes    the length of the names, the most significant byte first
 *     names      strings that each end with NUL
 *     ciphertext
 *     16 bytes   the tag
 *
 * All that stands before the ciphertext is the additional data. A nonce of 96 random bits may be
 * used for 2^32 messages of one key (NIST SP 800-38D, section 8.3): that is 200,000 devices, each
 * sealed anew every day, for 58 years.
 */
#ifndef SEALING_H
#define SEALING_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

enum { SEALING_KEY_SIZE = 32, SEALING_ID_SIZE = 16 };

/* A secret: to be cleansed. */
struct sealing_key {
    unsigned char bytes[SEALING_KEY_SIZE];
    unsigned char id[SEALING_ID_SIZE]; /* tells which key it is, but nothing of it */
};

/* Fills in the id that belongs to key->bytes. Returns 1; or 0 with *error set. */
int sealing_key_identify(struct sealing_key *key, struct aliyun_iot_error **error);

/* Sealed bytes, as they were found: nothing in them is authentic before unseal() has said so. */
struct sealed {
    const unsigned char *id; /* of the key; SEALING_ID_SIZE bytes */
    struct bytes names;      /* strings that each end with NUL */
    struct bytes head;       /* the additional data */
    struct bytes body;       /* the ciphertext and the tag */
};

/* Finds the parts of sealed bytes. False: they are not in this format. */
bool sealed_parse(struct bytes bytes, struct sealed *sealed);

/* Appends names and content, sealed. Returns 1; or 0 with *error set. */
int seal(const struct sealing_key *key, struct bytes names, struct bytes content, BUF_MEM *sealed,
        struct aliyun_iot_error **error);

/*
 * Appends the content of what was sealed with the key. Returns 1; 0: it is not what the key sealed;
 * or -1 with *error set.
 */
int unseal(const struct sealing_key *key, const struct sealed *sealed, BUF_MEM *content,
        struct aliyun_iot_error **error);

#endif
