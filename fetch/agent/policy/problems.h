/* SPDX-License-Identifier: Apache-2.0 */
/* All that is wrong with a policy: a line of text for each problem, with its file and line. */
#ifndef PROBLEMS_H
#define PROBLEMS_H

#include "base/buffer.h"

struct problems {
    BUF_MEM *text; /* "FILE:LINE: PROBLEM\n" again and again; in printable ASCII */
    size_t count;
};

/* All zeros is no problem. Frees what they hold. */
static inline void problems_release(struct problems *problems)
{
    BUF_MEM_free(problems->text);
}

/*
 * Adds a problem. line: 0 means the whole file. Without memory for the text, it is only counted.
 * Returns false, so that a function can end with it.
 */
bool problems_add(struct problems *problems, const char *file, int line, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

#endif
