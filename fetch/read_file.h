/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files: settings, profiles, tokens. */
#ifndef READ_FILE_H
#define READ_FILE_H

#include <stddef.h>

#include "buffer.h"
#include "error.h"

/*
 * Reads a regular file of at most size_max bytes without a NUL among them. A FIFO or a device is
 * refused and never waited for. The buffer ends with a NUL that its length does not count, and is
 * cleansed by BUF_MEM_free(); NULL with *error set, of the class given, naming path and cause.
 */
BUF_MEM *read_file(const char *path, size_t size_max, enum aliyun_iot_reason reason,
        struct aliyun_iot_error **error);

#endif
