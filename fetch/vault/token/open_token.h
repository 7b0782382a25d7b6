/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that this process is logged in to. A token stays open as long as the process, because
 * libp11 closes all of a process's sessions with it, and finalizes the PKCS#11 module, when it lets
 * go of it: and the program may use the same module for itself. A child of fork() opens its own.
 */
#ifndef OPEN_TOKEN_H
#define OPEN_TOKEN_H

#include <openssl/evp.h>

#include "base/error.h"
#include "base/settings.h"

/*
 * The private key that a PKCS#11 URI names, of an RSA pair, with its public half, to be freed with
 * EVP_PKEY_free(). Blocks. One thread at a time: the others wait. NULL with *error set
 * (BAD_SETTINGS or TOKEN). A PIN that was refused is not tried again by this process, since tokens
 * lock themselves after some wrong ones.
 */
EVP_PKEY *open_token_key(
        const struct settings *settings, const char *uri, struct aliyun_iot_error **error);

#endif
