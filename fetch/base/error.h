/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the library makes the errors of <aliyun-iot/error.h>. The function that knows most about a
 * failure sets the error. Its callers only add what they know with error_prefix() or
 * error_append().
 */
#ifndef ERROR_H
#define ERROR_H

#include <aliyun-iot/error.h>

#include "private/cleanup.h"

DEFINE_CLEANUP(struct aliyun_iot_error *, aliyun_iot_error_free);

/*
 * Sets *error, unless error is NULL; *error must be NULL before. Control characters and what is
 * not ASCII become '?', since parts of a message come from outside; what is longer than 1000 bytes
 * is cut after a word.
 * Always returns 0, so that a function can end in return error_set(...).
 */
int error_set(struct aliyun_iot_error **error, enum aliyun_iot_reason reason, const char *format,
        ...) __attribute__((format(printf, 3, 4)));

/* Sets ALIYUN_IOT_REASON_OUT_OF_MEMORY without allocating. Returns 0. */
int error_set_out_of_memory(struct aliyun_iot_error **error);

/*
 * Sets ALIYUN_IOT_REASON_INTERNAL: `what` failed, with the newest error of OpenSSL's queue as the
 * cause. The queue stays as it is: the caller put a mark on it and pops to that. Returns 0.
 */
int error_set_openssl(struct aliyun_iot_error **error, const char *what);

/* Puts text before or after the message of an error that is already set. Returns 0. */
int error_prefix(struct aliyun_iot_error **error, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
int error_append(struct aliyun_iot_error **error, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* A copy for another owner: the cache gives its error to each waiter. Never NULL. */
struct aliyun_iot_error *error_copy(const struct aliyun_iot_error *error);

#endif
