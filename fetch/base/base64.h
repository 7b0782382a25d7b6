/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 as in RFC 4648, section 4: padded, without line breaks. */
#ifndef BASE64_H
#define BASE64_H

#include "base/buffer.h"

/* Appends size bytes in base64, and a NUL that buffer->length does not count. False: no memory. */
bool base64_append(BUF_MEM *buffer, const void *bytes, size_t size);

/*
 * Replaces the buffer's content by the bytes that a text of length characters stands for. Refuses
 * everything that base64_append() would not have written. Returns NULL; or a constant phrase for an
 * error message ("is not base64", "there was no memory to read it").
 */
const char *base64_decode(const char *text, size_t length, BUF_MEM *content);

#endif
