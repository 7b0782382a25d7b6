/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/problems.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

bool problems_add(struct problems *problems, const char *file, int line, const char *format, ...)
{
    CLEANUP(free) char *what = NULL;
    CLEANUP(free) char *where = NULL;
    va_list arguments;

    problems->count++;
    if (!problems->text)
        problems->text = BUF_MEM_new();
    va_start(arguments, format);
    if (vasprintf(&what, format, arguments) < 0)
        what = NULL;
    va_end(arguments);
    if ((line > 0 ? asprintf(&where, "%s:%d", file, line) : asprintf(&where, "%s", file)) < 0)
        where = NULL;
    if (!problems->text || !what || !where)
        return false;
    text_make_printable(what);
    text_make_printable(where);
    buffer_append_format(problems->text, "%s: %s\n", where, what);
    return false;
}
