/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/server_text.h"

#include <string.h>

#include "base/text.h"

enum {
    UUID_SIZE = 36,     /* a request's id: the longest word with digits that people look up */
    NAME_SIZE_MAX = 80, /* of a Code, which has no digits */
    FRAGMENT_SIZE = 8   /* bytes of a secret that would tell something about it */
};

static const char word_characters[] = ALPHANUMERIC "-._~+/=%";
static const char block_begin[] = "-----BEGIN", block_end[] = "-----END", dashes[] = "-----";

static bool shares_fragment(const char *word, size_t size, const char *secret)
{
    size_t secret_size = strlen(secret);

    if (secret_size == 0)
        return false;
    if (secret_size < FRAGMENT_SIZE)
        return memmem(word, size, secret, secret_size) != NULL;
    for (size_t offset = 0; offset + FRAGMENT_SIZE <= size; offset++)
        if (memmem(secret, secret_size, word + offset, FRAGMENT_SIZE))
            return true;
    return false;
}

static bool may_be_secret(const char *word, size_t size, const char *const secrets[])
{
    if (size > NAME_SIZE_MAX || (size > UUID_SIZE && strcspn(word, DIGITS) < size))
        return true;
    for (; secrets && *secrets; secrets++)
        if (shares_fragment(word, size, *secrets))
            return true;
    return false;
}

/* The end of the PEM block that begins at text. A block without an end goes on to the text's. */
static const char *after_block(const char *text)
{
    const char *end = strstr(text, block_end);
    const char *closing = end ? strstr(end + strlen(block_end), dashes) : NULL;

    return closing ? closing + strlen(dashes) : text + strlen(text);
}

static bool append_harmless(BUF_MEM *to, const char *text, const char *const secrets[])
{
    bool appended = true, hidden = false;

    while (appended && *text) {
        size_t other = strcspn(text, word_characters);
        /* A key in PEM without its first line: the last of its lines may be short. */
        bool goes_on = hidden && other > 0 && strspn(text, "\r\n") == other;
        size_t word = strspn(text + other, word_characters);
        const char *block;

        appended = buffer_append(to, text, other);
        text += other;
        /* A block may begin inside of a word, since "-" and "=" are characters of words. */
        block = memmem(text, word, block_begin, strlen(block_begin));
        if (block)
            word = (size_t)(after_block(block) - text);
        hidden = word > 0 && (block || goes_on || may_be_secret(text, word, secrets));
        appended = appended &&
                   (hidden ? buffer_append_text(to, "***") : buffer_append(to, text, word));
        text += word;
    }
    return appended;
}

char *server_text(const char *text, size_t limit, const char *const secrets[])
{
    CLEANUP(BUF_MEM_free) BUF_MEM *shown = BUF_MEM_new();
    char *result;

    if (!shown || !append_harmless(shown, text ? text : "", secrets) || !buffer_text(shown))
        return NULL;
    result = strdup(shown->data);
    if (result) {
        text_make_printable(result);
        text_cut(result, limit);
    }
    return result;
}

bool server_text_append(BUF_MEM *to, const char *text, size_t limit, const char *const secrets[])
{
    CLEANUP(free) char *shown = server_text(text, limit, secrets);

    return shown && buffer_append_text(to, shown);
}
