/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that this process is logged in to. A token stays open as long as the process, because
 * libp11 closes all of a process's sessions with it, and finalizes the PKCS#11 module, when it lets
 * go of it: and the program may use the same module for itself. A child of fork() opens its own.
 *
 * Each key that is used has libp11's structures to itself: in versions before 0.4.19, listing keys
 * again frees what earlier keys point to.
 */
#ifndef OPEN_TOKEN_H
#define OPEN_TOKEN_H

#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/token_place.h"

/*
 * The private key of an RSA pair that a URI names, with its public half, to be freed with
 * EVP_PKEY_free(). id: the key's CKA_ID; empty: the URI names the key itself. Blocks. One thread at
 * a time: the others wait. NULL with *error set (BAD_SETTINGS or TOKEN; for an id, NOT_FOUND: there
 * is no such key). A PIN that was refused is not tried again by this process, since tokens lock
 * themselves after some wrong ones.
 */
EVP_PKEY *open_token_key(
        const struct token_place *place, struct bytes id, struct aliyun_iot_error **error);

/* Forgets the key of an id, which was replaced in the token. */
void open_token_forget(const struct token_place *place, struct bytes id);

/*
 * Calls use for the slot of the token, in which the process is logged in, as long as no other
 * thread uses a token. Returns what use returns; or 0 with *error set.
 */
int open_token_use(const struct token_place *place, struct bytes id,
        int (*use)(void *context, const char *module_path, unsigned long slot_id,
                struct aliyun_iot_error **error),
        void *context, struct aliyun_iot_error **error);

#endif
