/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys ready to sign. An identity keeps its key as data, and making an OpenSSL key of it takes
 * longer than some signatures, so those that were used last are kept. Each is bound to the one
 * identity that it was made of.
 */
#ifndef SIGNING_KEYS_H
#define SIGNING_KEYS_H

#include "base/agent_protocol.h"
#include "base/identity.h"

struct signing_keys;

/* NULL when out of memory. */
struct signing_keys *signing_keys_new(void);
void signing_keys_free(struct signing_keys *keys);
DEFINE_CLEANUP(struct signing_keys *, signing_keys_free);

/* A key, and the hash that names it. Reference counted. */
struct signing_key {
    EVP_PKEY *key;                   /* the public half, if there is a signer */
    const struct key_signer *signer; /* of the identity; NULL: the key is data */
    char hash[AGENT_KEY_HASH_SIZE];
};

/*
 * The key of an identity. Returns a reference, to be given back with
 * signing_key_free(); or NULL with *error set. Safe from any thread.
 */
const struct signing_key *signing_keys_get(struct signing_keys *keys,
        struct aliyun_iot_identity *identity, struct aliyun_iot_error **error);
void signing_key_free(const struct signing_key *key);
DEFINE_CLEANUP(const struct signing_key *, signing_key_free);

/* Forgets all keys, such as those of devices that were evicted. */
void signing_keys_clear(struct signing_keys *keys);

/*
 * Signs a message, which is not hashed yet, and replaces the content of signature. Returns 1; or 0
 * with *error set.
 */
int signing_key_sign(const struct signing_key *key, enum key_scheme scheme, const BUF_MEM *message,
        BUF_MEM *signature, struct aliyun_iot_error **error);

#endif
