/* SPDX-License-Identifier: Apache-2.0 */
/* A key pair in a PKCS#11 token, which the sealing key of a vault is wrapped with (RSA-OAEP). */
#ifndef KEY_WRAPPER_H
#define KEY_WRAPPER_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/settings.h"

/*
 * The functions find the pair by settings->vault_module_path and vault_pin_source, and by uri, the
 * RFC 7512 URI of its private key. They log in to the token, ask it, and block meanwhile. What they
 * give replaces the buffer's content. Any thread, several at once. They return 1; or 0 with *error
 * set (BAD_SETTINGS: the token, the key or the PIN is wrong; TOKEN: the token failed).
 */
struct key_wrapper {
    int (*wrap)(const struct settings *settings, const char *uri, struct bytes key,
            BUF_MEM *wrapped, struct aliyun_iot_error **error);
    int (*unwrap)(const struct settings *settings, const char *uri, struct bytes wrapped,
            BUF_MEM *key, struct aliyun_iot_error **error);
};

#endif
