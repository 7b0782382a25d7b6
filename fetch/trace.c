/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"

static const char *const level_names[] = {
        [TRACE_ERROR] = "error", [TRACE_INFO] = "info", [TRACE_DEBUG] = "debug"};

static bool append_stamp(BUF_MEM *line, enum trace_level level)
{
    struct timespec now;
    struct tm broken;
    char date[sizeof("0000-00-00T00:00:00")] = "";

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &broken))
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &broken);
    return buffer_append_format(line, "%s.%03ldZ pid=%ld tid=%ld %s ", date, now.tv_nsec / 1000000,
            (long)getpid(), (long)gettid(), level_names[level]);
}

__attribute__((format(printf, 2, 0))) static bool append_text(
        BUF_MEM *line, const char *format, va_list arguments)
{
    char *text;
    bool appended;

    if (vasprintf(&text, format, arguments) < 0)
        return false;
    /* Parts come from outside: they must not begin a line of their own. */
    for (char *place = text; *place; place++)
        if (*place < ' ' || *place > '~')
            *place = '?';
    appended = buffer_append_text(line, text) && buffer_append_text(line, "\n");
    free(text);
    return appended;
}

/* Opened for each line: nothing is kept that a fork or a log rotation would have to know of. */
static void write_line(const char *file, const BUF_MEM *line)
{
    bool to_stderr = strcmp(file, "stderr") == 0;
    /* A FIFO that nobody reads must not stop the program. */
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int out = to_stderr ? STDERR_FILENO : open(file, flags, 0600);

    if (out < 0)
        return;
    if (write(out, line->data, line->length) < 0)
        errno = 0; /* the result must be used, and there is nobody to tell */
    if (!to_stderr)
        close(out);
}

void trace(const struct settings *settings, enum trace_level level, const char *format, ...)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *line = NULL;
    int before = errno;
    va_list arguments;

    if (!settings->trace_file || level > settings->trace_level)
        return;
    line = BUF_MEM_new();
    va_start(arguments, format);
    if (line && append_stamp(line, level) && append_text(line, format, arguments))
        write_line(settings->trace_file, line);
    va_end(arguments);
    errno = before;
}
