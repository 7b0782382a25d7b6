/* SPDX-License-Identifier: Apache-2.0 */
/* Plain strings: the alphabets that names are checked against, and how text is shown. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "private/cleanup.h"

/* For strspn() and strchr(), whatever the locale. String literals, so that they can be joined. */
#define UPPER_CASE "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER_CASE "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define ALPHANUMERIC UPPER_CASE LOWER_CASE DIGITS

/* Strings of malloc(). */
DEFINE_CLEANUP(char *, free);

/* Cleanses a string of malloc(), then frees it. NULL is ignored. */
void text_free_secret(char *text);
DEFINE_CLEANUP(char *, text_free_secret);

/*
 * Replaces control characters and bytes that are not ASCII by '?'. Use it on all text from a file,
 * a server or a user before it is shown, so that the text cannot start a line or move a cursor.
 */
void text_make_printable(char *text);

/*
 * Whether each character is visible ASCII. In the value of an HTTP header, a control character or a
 * blank would end the value or add a header.
 */
bool text_is_visible(const char *text);

/*
 * How many bytes of a text to show where there is room for limit bytes: whole words, if it has any.
 */
size_t text_shown_size(const char *text, size_t limit);

/* Shortens a text to limit bytes: whole words and "...". limit: 4 at least. */
void text_cut(char *text, size_t limit);

/*
 * Reads the number of a user or a group, written as "#NUMBER". False: it is none. The highest
 * number is none either: see chown(2).
 */
bool text_read_id(const char *text, uint32_t *id);

/* Writes size bytes as lower-case hexadecimal digits and a NUL: 2 * size + 1 characters. */
void text_write_hexadecimal(char *text, const void *bytes, size_t size);

#endif
