/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/audit/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/text.h"

enum {
    MODE = 0600,
    TAIL_BYTES = 1024 * 1024, /* longer than two lines can be */
    TIME_SIZE = sizeof("2026-01-01T00:00:00.000Z")
};

static const char beginning[] = "{\"time\":\"";

static int fail(const char *path, const char *problem, struct aliyun_iot_error **error)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "audit log %.300s: %s", path, problem);
}

/* The end of the file, which is cut before its first line break if it is not the whole of it. */
static BUF_MEM *read_tail(int descriptor, off_t size)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *tail = BUF_MEM_new();
    size_t length = size < TAIL_BYTES ? (size_t)size : TAIL_BYTES;
    ssize_t done;

    if (!tail || !BUF_MEM_grow(tail, length + 1))
        return NULL;
    done = pread(descriptor, tail->data, length, size - (off_t)length);
    if (done != (ssize_t)length)
        return NULL;
    tail->length = length;
    return take(tail);
}

/* The line that ends before end, without its line break. *size: its bytes. */
static const char *line_before(const char *text, const char *end, size_t *size)
{
    const char *start = end > text ? memrchr(text, '\n', (size_t)(end - text)) : NULL;

    start = start ? start + 1 : text;
    *size = (size_t)(end - start);
    return start;
}

/*
 * Where the chain stands: the last line that is one, and the hash of what follows it. Returns NULL;
 * or what is wrong.
 */
static const char *find_end(struct audit_file *file, const BUF_MEM *tail)
{
    const char *text = tail->data, *end = text + tail->length, *line;
    struct chain_link link;
    size_t size;

    if (tail->length >= sizeof(beginning) - 1
                    ? memcmp(text, beginning, sizeof(beginning) - 1) != 0 &&
                              tail->length < TAIL_BYTES
                    : memcmp(text, beginning, tail->length) != 0)
        return "it is no audit log, and is left alone; use another file";
    file->lacks_break = end[-1] != '\n';
    if (!file->lacks_break)
        end--;
    line = line_before(text, end, &size);
    chain_hash(line, size, file->previous);
    /* A line that lacks its line break alone is whole. */
    if (chain_link_read(line, size, &link)) {
        file->seq = link.seq;
        return NULL;
    }
    file->is_torn = true;
    if (line == text) {
        file->seq = 0;
        return NULL;
    }
    line = line_before(text, line - 1, &size);
    if (!chain_link_read(line, size, &link))
        return "its last lines are damaged; move it away and verify it";
    file->seq = link.seq;
    return NULL;
}

static const char *open_file(struct audit_file *file, struct stat *status)
{
    file->descriptor = open(file->path,
            O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, MODE);
    if (file->descriptor < 0)
        return errno == ELOOP ? "it is a symbolic link" : strerror(errno);
    if (fstat(file->descriptor, status) != 0)
        return strerror(errno);
    if (!S_ISREG(status->st_mode))
        return "it is no regular file";
    if (flock(file->descriptor, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? "another agent writes to it; use another file"
                                    : strerror(errno);
    return NULL;
}

static const char *open_and_find_end(struct audit_file *file)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *tail = NULL;
    struct stat status = {.st_size = 0};
    const char *problem = open_file(file, &status);

    file->seq = 0;
    file->is_torn = file->lacks_break = false;
    memcpy(file->previous, chain_start, CHAIN_HASH_SIZE);
    if (problem || status.st_size == 0)
        return problem;
    tail = read_tail(file->descriptor, status.st_size);
    return tail ? find_end(file, tail) : "it cannot be read";
}

static void close_descriptor(struct audit_file *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    file->descriptor = -1;
}

void audit_file_close(struct audit_file *file)
{
    close_descriptor(file);
    free(file->path);
    file->path = NULL;
}

int audit_file_open(const char *path, struct audit_file *file, struct aliyun_iot_error **error)
{
    const char *problem;

    *file = (struct audit_file){.path = strdup(path), .descriptor = -1};
    if (!file->path)
        return error_set_out_of_memory(error);
    problem = open_and_find_end(file);
    if (!problem)
        return 1;
    fail(path, problem, error);
    audit_file_close(file);
    return 0;
}

/* Whether the path still leads to the open file. */
static bool is_in_place(const struct audit_file *file)
{
    struct stat open_one = {.st_dev = 0}, named;

    return file->descriptor >= 0 && fstat(file->descriptor, &open_one) == 0 &&
           lstat(file->path, &named) == 0 && open_one.st_dev == named.st_dev &&
           open_one.st_ino == named.st_ino;
}

static bool was_removed(const struct audit_file *file)
{
    struct stat status;

    return fstat(file->descriptor, &status) == 0 && status.st_nlink == 0;
}

int audit_file_rotate(struct audit_file *file, struct aliyun_iot_error **error)
{
    struct audit_file fresh = {.path = file->path, .descriptor = -1};
    bool goes_on;
    const char *problem;

    if (is_in_place(file))
        return 1;
    goes_on = file->descriptor >= 0 && !was_removed(file) && !file->is_torn;
    problem = open_and_find_end(&fresh);
    if (problem) {
        close_descriptor(&fresh);
        return fail(file->path, problem, error);
    }
    if (goes_on && fresh.seq == 0 && !fresh.is_torn) {
        fresh.seq = file->seq;
        memcpy(fresh.previous, file->previous, CHAIN_HASH_SIZE);
    }
    close_descriptor(file);
    *file = fresh;
    return 1;
}

/*
 * Whole or not at all: what was written of it in vain is cut off again. start: where the line
 * begins in the bytes.
 */
static int append_bytes(struct audit_file *file, const char *bytes, size_t size, size_t start)
{
    struct stat status;
    ssize_t done;
    int problem;

    if (fstat(file->descriptor, &status) != 0)
        return errno;
    done = write(file->descriptor, bytes, size);
    if (done == (ssize_t)size)
        return 0;
    problem = done < 0 ? errno : ENOSPC;
    if (done > 0 && ftruncate(file->descriptor, status.st_size) != 0) {
        /* The break before it may be all that was written. */
        file->lacks_break = (size_t)done > start;
        file->is_torn |= file->lacks_break;
        if (file->lacks_break)
            chain_hash(bytes + start, (size_t)done - start, file->previous);
    }
    return problem;
}

static void format_now(char text[TIME_SIZE])
{
    struct timespec now;
    struct tm broken;
    char seconds[TIME_SIZE];

    clock_gettime(CLOCK_REALTIME, &now);
    if (!gmtime_r(&now.tv_sec, &broken) ||
            strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &broken) == 0)
        *seconds = '\0';
    snprintf(text, TIME_SIZE, "%.19s.%03uZ", seconds, (unsigned)(now.tv_nsec / 1000000) % 1000u);
}

static int append_line(struct audit_file *file, const char *members)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *line = BUF_MEM_new();
    char now[TIME_SIZE];
    size_t start = file->lacks_break ? 1 : 0;
    int problem;

    format_now(now);
    if (!line ||
            !buffer_append_format(line, "%s%s%s\",\"seq\":%lld,", file->lacks_break ? "\n" : "",
                    beginning, now, (long long)file->seq + 1) ||
            !buffer_append_text(line, members) ||
            !buffer_append_format(line, ",\"previous\":\"%s\"}\n", file->previous))
        return ENOMEM;
    problem = append_bytes(file, line->data, line->length, start);
    if (problem)
        return problem;
    file->lacks_break = false;
    file->seq++;
    chain_hash(line->data + start, line->length - start - 1, file->previous);
    return 0;
}

int audit_file_append(struct audit_file *file, const char *members)
{
    int problem = 0;

    if (file->descriptor >= 0 && was_removed(file))
        close_descriptor(file);
    if (file->descriptor < 0 && open_and_find_end(file)) {
        problem = errno ? errno : EIO;
        close_descriptor(file);
        return problem;
    }
    if (file->is_torn)
        problem = append_line(file, "\"operation\":\"resume\"");
    if (problem)
        return problem;
    file->is_torn = false;
    return append_line(file, members);
}
