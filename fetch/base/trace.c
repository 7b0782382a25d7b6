/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/text.h"

enum {
    LOOK_MS = 100, /* how often the path is looked at: log rotation puts another file there */
    STAMP_SIZE = 96,
    DATE_SIZE = sizeof("0000-00-00T00:00:00")
};

static const char *const level_names[] = {
        [TRACE_ERROR] = "error", [TRACE_INFO] = "info", [TRACE_DEBUG] = "debug"};

/*
 * A file that stays open, because opening it takes longer than writing a line. No lock is held
 * while a line is written: another file is put in the place of the descriptor, which is closed only
 * with the settings. In a child of fork(), the descriptor serves as in the parent.
 */
struct trace_output {
    atomic_int descriptor; /* -1: none */
    _Atomic dev_t device;  /* of the open file */
    _Atomic ino_t inode;
    _Atomic int64_t looked_at_ms; /* at the path, on the monotonic clock */
    /* For whoever replaces the file. Never waited for: a child of fork() may inherit it locked. */
    pthread_mutex_t lock;
};

struct trace_output *trace_output_new(void)
{
    struct trace_output *output = calloc(1, sizeof(*output));

    if (!output)
        return NULL;
    output->descriptor = -1;
    pthread_mutex_init(&output->lock, NULL);
    return output;
}

static bool is_kept_file(const struct trace_output *output, const struct stat *status)
{
    return status->st_dev == output->device && status->st_ino == output->inode;
}

/* The program may have closed the descriptor, and use its number for something else. */
static bool is_ours(const struct trace_output *output, struct stat *status)
{
    return output->descriptor >= 0 && fstat(output->descriptor, status) == 0 &&
           is_kept_file(output, status);
}

void trace_output_free(struct trace_output *output)
{
    struct stat status;

    if (!output)
        return;
    if (is_ours(output, &status))
        close(output->descriptor);
    pthread_mutex_destroy(&output->lock);
    free(output);
}

/* Whether the path leads to the kept file, or did a moment ago. */
static bool is_current(struct trace_output *output, const char *path)
{
    int64_t now_ms = monotonic_milliseconds();
    struct stat status;

    if (!is_ours(output, &status) || status.st_nlink == 0)
        return false;
    if (now_ms - output->looked_at_ms < LOOK_MS)
        return true;
    if (lstat(path, &status) != 0 || !is_kept_file(output, &status))
        return false;
    output->looked_at_ms = now_ms;
    return true;
}

static int open_trace(const char *path)
{
    /* A FIFO that nobody reads must not stop the program. */
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int opened = open(path, flags, 0600), higher;

    if (opened < 0 || opened > STDERR_FILENO)
        return opened;
    /* A program without standard output must not get the trace as such. */
    higher = fcntl(opened, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(opened);
    return higher;
}

/* With the lock held. Takes over opened. */
static void replace(struct trace_output *output, int opened, const struct stat *status)
{
    struct stat before;

    if (is_ours(output, &before) && dup3(opened, output->descriptor, O_CLOEXEC) >= 0)
        close(opened);
    else
        output->descriptor = opened;
    output->device = status->st_dev;
    output->inode = status->st_ino;
    output->looked_at_ms = monotonic_milliseconds();
}

/*
 * Opens the file. Returns the descriptor to write to, and whether the caller closes it. Only a
 * regular file is kept: a pipe that is kept sends SIGPIPE when its reader has ended.
 */
static int reopen(struct trace_output *output, const char *path, bool *close_it)
{
    int opened = open_trace(path);
    struct stat status;

    *close_it = true;
    if (opened < 0 || !output || fstat(opened, &status) != 0 || !S_ISREG(status.st_mode) ||
            pthread_mutex_trylock(&output->lock) != 0)
        return opened;
    *close_it = false;
    replace(output, opened, &status);
    pthread_mutex_unlock(&output->lock);
    return output->descriptor;
}

/* Writes the stamp. Returns its length. */
static size_t write_stamp(char stamp[STAMP_SIZE], enum trace_level level)
{
    /* gmtime_r() takes a lock of the C library's, so each thread calls it once a second. */
    static _Thread_local time_t dated = -1;
    static _Thread_local char date[DATE_SIZE];
    struct timespec now;
    struct tm broken;
    int size;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != dated && gmtime_r(&now.tv_sec, &broken) &&
            strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &broken) > 0)
        dated = now.tv_sec;
    size = snprintf(stamp, STAMP_SIZE, "%s.%03ldZ pid=%ld tid=%ld %s ", date, now.tv_nsec / 1000000,
            (long)getpid(), (long)gettid(), level_names[level]);
    return size > 0 ? (size_t)size : 0;
}

/*
 * Standard error is the program's too, so it cannot be made O_NONBLOCK. A pipe has room for a whole
 * line if poll() says so, and an error (POLLERR) if nobody reads it, which would be SIGPIPE.
 */
static bool stderr_has_room(void)
{
    struct pollfd wanted = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&wanted, 1, 0) == 1 && wanted.revents == POLLOUT;
}

static ssize_t write_line(const struct settings *settings, enum trace_level level, char *text)
{
    struct trace_output *output = settings->trace_output;
    char stamp[STAMP_SIZE], newline[] = "\n";
    struct iovec parts[] = {{stamp, write_stamp(stamp, level)}, {text, strlen(text)}, {newline, 1}};
    bool close_it = false;
    ssize_t written;
    int out;

    if (strcmp(settings->trace_file, "stderr") == 0)
        out = stderr_has_room() ? STDERR_FILENO : -1;
    else if (output && is_current(output, settings->trace_file))
        out = output->descriptor;
    else
        out = reopen(output, settings->trace_file, &close_it);
    if (out < 0)
        return -1;
    written = writev(out, parts, sizeof(parts) / sizeof(parts[0]));
    if (close_it)
        close(out);
    return written;
}

void trace(const struct settings *settings, enum trace_level level, const char *format, ...)
{
    CLEANUP(free) char *text = NULL;
    int before = errno;
    va_list arguments;

    if (!settings->trace_file || level > settings->trace_level)
        return;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (text) {
        /* Parts come from outside: they must not begin a line of their own. */
        text_make_printable(text);
        /* A disk may be slow. */
        WAIT_OUTSIDE(write_line(settings, level, text));
    }
    errno = before;
}
