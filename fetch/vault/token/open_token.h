/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that this process is logged in to. A token stays open as long as the process, because
 * libp11 closes all of a process's sessions with it, and finalizes the PKCS#11 module, when it lets
 * go of it: and the program may use the same module for itself. A child of fork() opens its own.
 *
 * A PIN that was refused is not tried again by this process or its children until its file changes,
 * since tokens lock themselves after some wrong ones. Thread-safe: one thread at a time, the others
 * wait.
 */
#ifndef OPEN_TOKEN_H
#define OPEN_TOKEN_H

#include <openssl/evp.h>

#include <p11-kit/pkcs11.h>

#include "base/error.h"
#include "base/token_place.h"

/* Where a token is. The functions live as long as the process. */
struct token_slot {
    CK_FUNCTION_LIST *functions;
    unsigned long id;
};

/*
 * The private key of an RSA pair that a URI names, with its public half, to be freed with
 * EVP_PKEY_free(). Blocks. NULL with *error set (BAD_SETTINGS or TOKEN).
 */
EVP_PKEY *open_token_key(const struct token_place *place, struct aliyun_iot_error **error);

/* Finds the token, and logs in if the process is not. Returns 1; or 0 with *error set. Blocks. */
int open_token_log_in(
        const struct token_place *place, struct token_slot *slot, struct aliyun_iot_error **error);

/*
 * Keeps other processes from importing into the token, see pin.h. Returns a descriptor, whose
 * closing ends that; or -1 with *error set. Blocks.
 */
int open_token_take_turn(const struct token_place *place, struct aliyun_iot_error **error);

#endif
