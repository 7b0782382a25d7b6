/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>

#define NO_MEMORY "there was no memory to read it"
#define NOT_BASE64 "is not base64"

bool base64_append(BUF_MEM *buffer, const void *bytes, size_t size)
{
    size_t used = buffer->length, encoded = (size + 2) / 3 * 4;

    if (size > INT_MAX / 2 || !BUF_MEM_grow_clean(buffer, used + encoded + 1))
        return false;
    EVP_EncodeBlock((unsigned char *)buffer->data + used, bytes, (int)size);
    buffer->length = used + encoded;
    return true;
}

/* The bytes that the padding stands for are no content. */
static size_t padding_of(const char *text, size_t length)
{
    if (length == 0 || text[length - 1] != '=')
        return 0;
    return text[length - 2] == '=' ? 2 : 1;
}

/*
 * EVP_DecodeBlock() accepts more than base64, and counts padding as content. So the content is
 * encoded again, and must give the same text.
 */
const char *base64_decode(const char *text, size_t length, BUF_MEM *content)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *again = BUF_MEM_new();
    size_t size = length / 4 * 3;

    if (length % 4 != 0 || length > INT_MAX)
        return NOT_BASE64;
    if (!again || !BUF_MEM_grow_clean(content, size + 1))
        return NO_MEMORY;
    if (EVP_DecodeBlock((unsigned char *)content->data, (const unsigned char *)text, (int)length) <
            0)
        return NOT_BASE64;
    content->length = size - padding_of(text, length);
    if (!base64_append(again, content->data, content->length))
        return NO_MEMORY;
    return again->length == length && memcmp(again->data, text, length) == 0 ? NULL : NOT_BASE64;
}
