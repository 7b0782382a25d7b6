/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "export.h"
#include "reasons.h"

enum { MESSAGE_MAX = 1000 };

struct aliyun_iot_error {
    enum aliyun_iot_reason reason;
    char message[MESSAGE_MAX + 1];
};

/* Handed out when not even an error can be allocated; never freed, never written. */
static struct aliyun_iot_error out_of_memory = {
        ALIYUN_IOT_REASON_OUT_OF_MEMORY,
        "out of memory",
};

static const char *const reason_texts[] = {
#define REASON(name, text) [ALIYUN_IOT_REASON_##name] = text,
        REASONS(REASON)
#undef REASON
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
    size_t index = (size_t)reason;

    if (index >= sizeof(reason_texts) / sizeof(reason_texts[0]) || !reason_texts[index])
        return "Aliyun IoT: unknown error";
    return reason_texts[index];
}

EXPORT void aliyun_iot_error_free(struct aliyun_iot_error *error)
{
    if (error != &out_of_memory)
        free(error);
}

static void make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

int error_set_out_of_memory(struct aliyun_iot_error **error)
{
    if (error)
        *error = &out_of_memory;
    return 0;
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
    made->reason = reason;
    va_start(arguments, format);
    if (vsnprintf(made->message, sizeof(made->message), format, arguments) < 0)
        made->message[0] = '\0';
    va_end(arguments);
    make_printable(made->message);
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
    char prefix[MESSAGE_MAX + 1];
    size_t prefix_size, message_size;
    va_list arguments;

    if (!error || !*error || *error == &out_of_memory)
        return 0;
    va_start(arguments, format);
    if (vsnprintf(prefix, sizeof(prefix), format, arguments) < 0)
        prefix[0] = '\0';
    va_end(arguments);
    make_printable(prefix);

    prefix_size = strlen(prefix);
    message_size = strlen((*error)->message);
    if (message_size > MESSAGE_MAX - prefix_size)
        message_size = MESSAGE_MAX - prefix_size;
    memmove((*error)->message + prefix_size, (*error)->message, message_size);
    memcpy((*error)->message, prefix, prefix_size);
    (*error)->message[prefix_size + message_size] = '\0';
    return 0;
}

struct aliyun_iot_error *error_copy(const struct aliyun_iot_error *error)
{
    struct aliyun_iot_error *copy;

    if (error == &out_of_memory)
        return &out_of_memory;
    copy = malloc(sizeof(*copy));
    if (!copy)
        return &out_of_memory;
    *copy = *error;
    return copy;
}
