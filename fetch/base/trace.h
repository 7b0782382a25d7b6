/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace: what happened, one line each, for the operator who switched it on. Never a secret, at
 * any level: callers pass names, codes, sizes and durations only.
 */
#ifndef TRACE_H
#define TRACE_H

#include "base/settings.h"

/*
 * Writes one line (time, process id, level, text) in one write to the end of the file, so that
 * lines of several threads and processes do not mix. Leaves errno as it was. A file that cannot be
 * written, or a pipe that has no room, is no failure of the program's: the line is left out. The
 * file is made with mode 0600. A thread of the library is outside the gate of process.h meanwhile,
 * so it must hold no lock that fork() takes.
 */
void trace(const struct settings *settings, enum trace_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/*
 * The open trace file of some settings. Without one, trace() opens the file for each line. NULL
 * when out of memory.
 */
struct trace_output *trace_output_new(void);
void trace_output_free(struct trace_output *output);

#endif
