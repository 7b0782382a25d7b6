/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two strings of an answer, Certificate and PrivateKey, to an identity.
 *
 * How the service frames them is not documented, so every framing that has a plain meaning is read:
 * PEM with LF, CRLF, a literal \n, a blank or nothing for line breaks; base64 of DER, with or
 * without line breaks; keys in PKCS#1, PKCS#8 or SEC1; further certificates after the leaf. Nothing
 * is guessed beyond that: an encrypted key, a second key, or bytes left over are errors.
 */
#ifndef MATERIAL_H
#define MATERIAL_H

#include "base/identity.h"

/*
 * All strings end with NUL and stay the caller's; serial_number and request_id may be NULL.
 * Returns the identity's first reference; or NULL with *error set (BAD_ANSWER, KEY_MISMATCH,
 * NOT_VALID).
 */
struct aliyun_iot_identity *material_parse(const char *certificate, const char *private_key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error);

#endif
