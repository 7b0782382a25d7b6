/* SPDX-License-Identifier: Apache-2.0 */
#include "base/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void close_descriptor(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

static int refuse_file(struct aliyun_iot_error **error, enum aliyun_iot_reason reason,
        const char *path, const char *problem)
{
    return error_set(error, reason, "%.300s: %s", path, problem);
}

static int read_all(int descriptor, BUF_MEM *text, size_t size_max)
{
    for (;;) {
        size_t before = text->length;
        ssize_t got;

        if (before > size_max)
            return EFBIG;
        if (!BUF_MEM_grow_clean(text, before + 4096))
            return ENOMEM;
        got = read(descriptor, text->data + before, 4096);
        text->length = before + (size_t)(got > 0 ? got : 0);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return errno;
    }
}

BUF_MEM *read_file(const char *path, size_t size_max, enum aliyun_iot_reason reason,
        struct aliyun_iot_error **error)
{
    __attribute__((cleanup(close_descriptor))) int descriptor =
            open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    struct stat status;
    int problem;

    if (!text) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        refuse_file(error, reason, path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        refuse_file(error, reason, path, "it is not a regular file");
        return NULL;
    }
    problem = read_all(descriptor, text, size_max);
    if (problem || !buffer_text(text)) {
        refuse_file(error, reason, path, strerror(problem ? problem : ENOMEM));
        return NULL;
    }
    if (strlen(text->data) != text->length) {
        refuse_file(error, reason, path, "it holds a NUL byte");
        return NULL;
    }
    return take(text);
}
