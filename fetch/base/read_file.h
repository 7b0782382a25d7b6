/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files: settings, profiles, tokens. */
#ifndef READ_FILE_H
#define READ_FILE_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

/*
 * Reads a regular file of at most size_max bytes, none of which may be NUL. Refuses a FIFO or a
 * device without waiting for it. Returns a buffer that ends with a NUL which its length does not
 * count, to be freed with BUF_MEM_free(), which cleanses it; or NULL with *error set: its class is
 * reason, and its message names the path and the cause.
 */
BUF_MEM *read_file(const char *path, size_t size_max, enum aliyun_iot_reason reason,
        struct aliyun_iot_error **error);

#endif
