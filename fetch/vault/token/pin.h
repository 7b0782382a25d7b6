/* SPDX-License-Identifier: Apache-2.0 */
/* The PIN of a token, and the turns that the processes take which have it. Thread-safe. */
#ifndef PIN_H
#define PIN_H

#include <sys/stat.h>

#include <openssl/buffer.h>

#include "base/error.h"
#include "base/token_place.h"
#include "vault/token/token_uri.h"

/*
 * Reads the PIN into *pin, as a string. In its file, it ends before a line break. *file: what the
 * file was then, so that a PIN that was corrected is known to be another one. Returns 1; or 0 with
 * *error set.
 */
int token_pin_read(const struct token_place *place, const struct token_uri *uri, BUF_MEM *pin,
        struct stat *file, struct aliyun_iot_error **error);

/*
 * Processes take turns, so that they do not import one device's key twice; and SoftHSM does not see
 * a token in which another process logs in at that moment. The lock is that of the file which holds
 * the PIN: all who may use the token have it, and nobody else can hold it up. Returns a descriptor,
 * whose closing ends the turn; or -1 with *error set. Blocks for at most 30 s.
 */
int token_take_turn(const struct token_place *place, const struct token_uri *uri,
        struct aliyun_iot_error **error);

#endif
