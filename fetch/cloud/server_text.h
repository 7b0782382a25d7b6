/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that a server wrote, on its way into a message, the trace or a terminal. A server may repeat
 * what it was sent, or what it should have sent elsewhere: an AccessKey secret, a token, a private
 * key. None of these is shown, whatever error the text belongs to.
 */
#ifndef SERVER_TEXT_H
#define SERVER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

/*
 * Appends at most limit bytes of the text, in whole words and made printable. "***" stands for
 * what may be secret: a word with a part of one of the secrets, a PEM block, and a word so long
 * that it may be a token or a key. secrets: what was sent, ended by NULL. NULL as text, or as
 * secrets, is none. Returns false when out of memory.
 */
bool server_text_append(BUF_MEM *to, const char *text, size_t limit, const char *const secrets[]);

/* As server_text_append(), in a string of its own, to be freed. NULL when out of memory. */
char *server_text(const char *text, size_t limit, const char *const secrets[]);

#endif
