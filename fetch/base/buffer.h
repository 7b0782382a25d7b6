/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that append to OpenSSL's BUF_MEM. A BUF_MEM cleanses its memory when it is freed, and
 * its old memory when it grows.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/buffer.h>

#include "private/cleanup.h"

DEFINE_CLEANUP(BUF_MEM *, BUF_MEM_free);

/*
 * All return false when out of memory, and then leave the buffer as it was. buffer->length is the
 * number of bytes.
 */
bool buffer_append(BUF_MEM *buffer, const void *bytes, size_t size);
bool buffer_append_text(BUF_MEM *buffer, const char *text);
bool buffer_append_format(BUF_MEM *buffer, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/*
 * Appends the text percent-encoded, as RFC 3986 and Alibaba Cloud's signatures require: A-Z a-z 0-9
 * - _ . ~ stay as they are, every other byte becomes %XX in upper case.
 */
bool buffer_append_percent_encoded(BUF_MEM *buffer, const char *text);

/* Adds a NUL that buffer->length does not count, and returns the text; NULL when out of memory. */
const char *buffer_text(BUF_MEM *buffer);

#endif
