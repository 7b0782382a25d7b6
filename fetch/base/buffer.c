/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/*
 * BUF_MEM_grow_clean() allocates a third more than it is asked for, so many small appends are
 * cheap. It also sets the length.
 */
bool buffer_append(BUF_MEM *buffer, const void *bytes, size_t size)
{
    size_t length = buffer->length;

    if (size > SIZE_MAX - length)
        return false;
    if (size == 0)
        return true;
    if (!BUF_MEM_grow_clean(buffer, length + size))
        return false;
    memcpy(buffer->data + length, bytes, size);
    return true;
}

bool buffer_append_text(BUF_MEM *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

bool buffer_append_format(BUF_MEM *buffer, const char *format, ...)
{
    size_t length = buffer->length;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !BUF_MEM_grow_clean(buffer, length + (size_t)size + 1)) {
        buffer->length = length;
        return false;
    }
    va_start(arguments, format);
    vsnprintf(buffer->data + length, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->length = length + (size_t)size;
    return true;
}

bool buffer_append_percent_encoded(BUF_MEM *buffer, const char *text)
{
    static const char kept[] = ALPHANUMERIC "-_.~";

    while (*text) {
        size_t plain = strspn(text, kept);

        if (!buffer_append(buffer, text, plain))
            return false;
        text += plain;
        if (*text && !buffer_append_format(buffer, "%%%02X", (unsigned)(unsigned char)*text++))
            return false;
    }
    return true;
}

const char *buffer_text(BUF_MEM *buffer)
{
    if (!BUF_MEM_grow_clean(buffer, buffer->length + 1))
        return NULL;
    buffer->data[--buffer->length] = '\0';
    return buffer->data;
}
