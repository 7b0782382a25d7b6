/* SPDX-License-Identifier: Apache-2.0 */
/* Imports a device's key and certificates into a token. */
#ifndef IMPORT_H
#define IMPORT_H

#include "base/identity.h"
#include "vault/token/objects.h"

/*
 * Makes what the token lacks of an RSA identity, whose modulus the key has, and removes what it has
 * of the device that does not belong to it. Two processes that do this at once do not harm each
 * other. The token must keep the key to itself: otherwise the key is removed. Returns 1; or 0 with
 * *error set (TOKEN), and what was made is removed again.
 */
int import_identity(const struct objects *objects, struct device_key *key,
        const struct aliyun_iot_identity *identity, struct aliyun_iot_error **error);

#endif
