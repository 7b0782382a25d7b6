/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace: what happened, one line each, for the operator who switched it on. Never a secret, at
 * any level: callers pass names, codes, sizes and durations only.
 */
#ifndef TRACE_H
#define TRACE_H

#include "settings.h"

/*
 * Writes one line (time, process id, level, text) in one write(2), so that lines of several
 * processes do not mix. Leaves errno as it was. A file that cannot be written is no failure of the
 * program's, and is ignored. The file is made with mode 0600.
 */
void trace(const struct settings *settings, enum trace_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif
