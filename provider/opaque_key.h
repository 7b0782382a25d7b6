/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys that are not data: they stay where they are, and sign there. The program gets an
 * object that holds the public half and knows whom to ask for a signature.
 *
 * Such a key needs a key management of ours (keymgmt.c) for RSA, EC, ED25519 and ED448. But a
 * program that asks libcrypto for "EC" means OpenSSL's own: ours makes no keys and exchanges none.
 * libcrypto gives the implementation that was registered first, and nothing says which provider is
 * first. So ours is offered to libcrypto only when the first opaque key comes (or, if openssl.cnf
 * says that PEM identity files may stand for such keys, before libcrypto looks for the key
 * managements that a file may need), by opaque_keys_enable():
 *
 *  1. It fetches a key management, and offers none meanwhile. Those of all other providers are
 *     registered by that.
 *  2. It fetches ours by its property, and offers it only to this fetch. It is registered behind.
 *
 * A process without opaque keys never sees it, and neither does a child context
 * (OSSL_LIB_CTX_new_child()), where the order may be another. A provider that is loaded later is
 * registered behind ours, which changes nothing for OpenSSL's own. One case is left: if a program
 * unloads OpenSSL's default provider and loads it again while the context has opaque keys, ours is
 * the first from then on, and the program can make no keys there.
 */
#ifndef OPAQUE_KEY_H
#define OPAQUE_KEY_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "library.h"

struct opaque_key {
    const struct provider *provider;
    struct resolved resolved;
    EVP_PKEY *public_key;
    char uri[]; /* for messages */
};

/*
 * Makes a key of an identity, with a reference of its own. Returns it, to be freed with
 * opaque_key_free(); or NULL with an error raised.
 */
struct opaque_key *opaque_key_new(
        const struct provider *provider, const struct resolved *resolved, const char *uri);

/* NULL is ignored. */
void opaque_key_free(struct opaque_key *key);

/* See above. Returns whether libcrypto has our key management now; if not, an error is raised. */
bool opaque_keys_enable(const struct provider *provider, const char *uri);

/* Which step this thread is in. */
enum opaque_keys_step { OPAQUE_KEYS_IDLE, OPAQUE_KEYS_OTHERS, OPAQUE_KEYS_OURS };
enum opaque_keys_step opaque_keys_step(void);

/*
 * Gives a key to the program by way of key_decoder.c. The key becomes the program's or is freed.
 * callback and argument: as for a decoder. Returns what callback returns.
 */
int key_decoder_give(struct opaque_key *key, OSSL_CALLBACK *callback, void *argument);

#endif
