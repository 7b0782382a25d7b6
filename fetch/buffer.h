/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and bytes that grow: OpenSSL's BUF_MEM, which cleanses what it frees and what it leaves
 * behind when it grows, with the few ways of appending that this library needs.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/buffer.h>

#include "cleanup.h"

DEFINE_CLEANUP(BUF_MEM *, BUF_MEM_free);

/* All return false when out of memory, leaving what was there. buffer->length counts the bytes. */
bool buffer_append(BUF_MEM *buffer, const void *bytes, size_t size);
bool buffer_append_text(BUF_MEM *buffer, const char *text);
bool buffer_append_format(BUF_MEM *buffer, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/*
 * Percent-encodes as RFC 3986 and Alibaba's signatures do: keeps A-Z a-z 0-9 - _ . ~ and writes
 * every other byte as %XX in upper case.
 */
bool buffer_append_percent_encoded(BUF_MEM *buffer, const char *text);

/* Ends the buffer with a NUL that its length does not count, and shows it; NULL: no memory. */
const char *buffer_text(BUF_MEM *buffer);

#endif
