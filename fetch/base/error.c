/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/export.h"
#include "base/text.h"
#include "private/reasons.h"

enum { MESSAGE_MAX_BYTES = 1000 };

struct aliyun_iot_error {
    enum aliyun_iot_reason reason;
    bool is_constant; /* never freed, never written; a module has one of its own */
    char message[MESSAGE_MAX_BYTES + 1];
};

/* Handed out when not even an error can be allocated. */
static struct aliyun_iot_error out_of_memory = {
        .reason = ALIYUN_IOT_REASON_OUT_OF_MEMORY,
        .is_constant = true,
        .message = "out of memory",
};

EXPORT enum aliyun_iot_reason aliyun_iot_error_reason(const struct aliyun_iot_error *error)
{
    return error->reason;
}

EXPORT const char *aliyun_iot_error_message(const struct aliyun_iot_error *error)
{
    return error->message;
}

EXPORT const char *aliyun_iot_reason_text(enum aliyun_iot_reason reason)
{
    /* A reason without a text does not compile: gcc and clang warn of a switch that lacks it. */
    switch (reason) {
#define REASON(name, text)                                                                         \
    case ALIYUN_IOT_REASON_##name:                                                                 \
        return text;
        REASONS(REASON)
#undef REASON
    }
    return "Aliyun IoT: unknown error";
}

EXPORT void aliyun_iot_error_free(struct aliyun_iot_error *error)
{
    if (error && !error->is_constant)
        free(error);
}

int error_set_out_of_memory(struct aliyun_iot_error **error)
{
    if (error)
        *error = &out_of_memory;
    return 0;
}

/* Sets the message to text between two others, which may be the message itself. */
__attribute__((format(printf, 4, 0))) static void write_message(struct aliyun_iot_error *error,
        const char *before, const char *after, const char *format, va_list arguments)
{
    /* One byte more than fits, to see that something must be cut off. */
    char text[MESSAGE_MAX_BYTES + 2], joined[MESSAGE_MAX_BYTES + 2];

    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        return;
    text_make_printable(text);
    snprintf(joined, sizeof(joined), "%s%s%s", before, text, after);
    text_cut(joined, MESSAGE_MAX_BYTES);
    memcpy(error->message, joined, strlen(joined) + 1);
}

int error_set(
        struct aliyun_iot_error **error, enum aliyun_iot_reason reason, const char *format, ...)
{
    struct aliyun_iot_error *made;
    va_list arguments;

    if (!error)
        return 0;
    made = malloc(sizeof(*made));
    if (!made)
        return error_set_out_of_memory(error);
    *made = (struct aliyun_iot_error){.reason = reason};
    va_start(arguments, format);
    write_message(made, "", "", format, arguments);
    va_end(arguments);
    *error = made;
    return 0;
}

int error_set_openssl(struct aliyun_iot_error **error, const char *what)
{
    const char *data = "";
    int flags = 0;
    unsigned long code = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    error_set(error, ALIYUN_IOT_REASON_INTERNAL, "%s: %s%s%s", what,
            reason ? reason : "OpenSSL gave no reason", data && *data ? ": " : "",
            data ? data : "");
    return 0;
}

int error_prefix(struct aliyun_iot_error **error, const char *format, ...)
{
    va_list arguments;

    if (!error || !*error || (*error)->is_constant)
        return 0;
    va_start(arguments, format);
    write_message(*error, "", (*error)->message, format, arguments);
    va_end(arguments);
    return 0;
}

int error_append(struct aliyun_iot_error **error, const char *format, ...)
{
    va_list arguments;

    if (!error || !*error || (*error)->is_constant)
        return 0;
    va_start(arguments, format);
    write_message(*error, (*error)->message, "", format, arguments);
    va_end(arguments);
    return 0;
}

struct aliyun_iot_error *error_copy(const struct aliyun_iot_error *error)
{
    struct aliyun_iot_error *copy = error->is_constant ? NULL : malloc(sizeof(*copy));

    if (!copy)
        return &out_of_memory;
    *copy = *error;
    return copy;
}
