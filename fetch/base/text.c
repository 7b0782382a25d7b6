/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

void text_free_secret(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

void text_make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

bool text_is_visible(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

size_t text_shown_size(const char *text, size_t limit)
{
    size_t size = strnlen(text, limit + 1);

    if (size <= limit)
        return size;
    for (size = limit; size > 0 && text[size] != ' '; size--) {
    }
    return size > 0 ? size : limit;
}

void text_cut(char *text, size_t limit)
{
    static const char dots[] = "...";

    if (strnlen(text, limit + 1) > limit)
        memcpy(text + text_shown_size(text, limit - strlen(dots)), dots, sizeof(dots));
}

bool text_read_id(const char *text, uint32_t *id)
{
    char *end;
    unsigned long number;

    /* strtoul() would take blanks and a sign. */
    if (*text != '#' || text[1] < '0' || text[1] > '9')
        return false;
    errno = 0;
    number = strtoul(text + 1, &end, 10);
    *id = (uint32_t)number;
    return errno == 0 && !*end && number < UINT32_MAX;
}

void text_write_hexadecimal(char *text, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *byte = bytes;

    for (; size > 0; size--, byte++) {
        *text++ = digits[*byte >> 4];
        *text++ = digits[*byte & 15];
    }
    *text = '\0';
}
