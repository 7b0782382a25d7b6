/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CREDENTIALS_WORDS_H
#define CREDENTIALS_WORDS_H

#include <stdlib.h>

#include "private/cleanup.h"

/*
 * Splits a command into words as a POSIX shell does, and as Alibaba Cloud's clients do since July
 * 2026: quotes and backslashes count, nothing is expanded. Changes the text. Returns an array that
 * points into it and ends with NULL, to be freed by words_free(); or NULL with *problem saying what
 * is wrong.
 */
char **words_split(char *text, const char **problem);

static inline void words_free(char **words)
{
    free(words);
}
DEFINE_CLEANUP(char **, words_free);

#endif
