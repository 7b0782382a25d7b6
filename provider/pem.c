/* SPDX-License-Identifier: Apache-2.0 */
#include "pem.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>

#define BEGIN "-----BEGIN "
#define END "-----END "
#define TAIL "-----"

#define OUT_OF_MEMORY "does not fit into memory"
#define NOT_BASE64 "is not base64"

static bool starts_with(const char *text, size_t size, const char *prefix)
{
    size_t prefix_size = strlen(prefix);

    return size >= prefix_size && memcmp(text, prefix, prefix_size) == 0;
}

long pem_position(const struct pem *pem)
{
    return pem->provider->bio_ctrl(pem->bio, BIO_C_FILE_TELL, 0, NULL);
}

static long seek(const struct pem *pem, long position)
{
    return pem->provider->bio_ctrl(pem->bio, BIO_C_FILE_SEEK, position, NULL);
}

void pem_go_to(struct pem *pem, long position)
{
    seek(pem, position);
    pem->line_goes_on = false;
}

/*
 * Whether the BIO is a BIO_f_readbuffer(), which libcrypto puts in front of a pipe and which keeps
 * what was read, so that it can go back. It returns 1 for a seek. A file returns 0, and a memory
 * BIO returns the position.
 */
static bool is_read_buffer(const struct pem *pem, long position)
{
    return position != 1 && seek(pem, position) == 1;
}

/*
 * Whether a seek really goes back in what the BIO returns. A program's own BIO may return 0 for all
 * that it does not know. A BIO_f_buffer() passes a seek on to the file below it, but keeps its
 * buffer. Both return 0 for BIO_CTRL_INFO; other BIOs return a position or the number of bytes
 * left.
 */
static bool can_go_back(const struct pem *pem)
{
    long next = pem->start + 1;
    bool can;

    if (pem->start < 0 || is_read_buffer(pem, pem->start))
        return pem->start >= 0;
    seek(pem, next);
    can = pem_position(pem) == next &&
          pem->provider->bio_ctrl(pem->bio, BIO_CTRL_INFO, 0, NULL) > 0;
    seek(pem, pem->start);
    return can;
}

bool pem_open(struct pem *pem, const struct provider *provider, OSSL_CORE_BIO *bio)
{
    *pem = (struct pem){.provider = provider, .bio = bio};
    pem->start = pem_position(pem);
    return can_go_back(pem);
}

bool pem_can_look_ahead(struct pem *pem)
{
    long position = pem_position(pem);

    return position == pem->start + (long)pem->size_read && !is_read_buffer(pem, position);
}

static bool read_line(struct pem *pem)
{
    int size = 0;

    pem->line_size = 0;
    if (pem->size_max == 0 || pem->size_read < pem->size_max)
        size = pem->provider->bio_gets(pem->bio, pem->line, PEM_LINE_SIZE);
    if (size <= 0)
        return false;
    pem->size_read += (size_t)size;
    pem->line_goes_on = size == PEM_LINE_SIZE - 1 && pem->line[size - 1] != '\n';
    /* Where char is signed, this drops bytes above 127 too, and so does libcrypto. */
    while (size > 0 && pem->line[size - 1] <= ' ')
        size--;
    pem->line_size = (size_t)size;
    return true;
}

static void drop_byte_order_mark(struct pem *pem)
{
    if (!starts_with(pem->line, pem->line_size, "\xEF\xBB\xBF"))
        return;
    pem->line_size -= 3;
    memmove(pem->line, pem->line + 3, pem->line_size);
}

static bool line_is_begin(const struct pem *pem)
{
    return starts_with(pem->line, pem->line_size, BEGIN) &&
           memcmp(pem->line + pem->line_size - strlen(TAIL), TAIL, strlen(TAIL)) == 0;
}

bool pem_next_block(struct pem *pem)
{
    if (!read_line(pem))
        return false;
    drop_byte_order_mark(pem);
    while (!line_is_begin(pem))
        if (!read_line(pem))
            return false;
    return true;
}

/* Whether the line is that prefix, the label and five dashes. */
static bool line_has_label(const struct pem *pem, const char *prefix, const char *label)
{
    size_t prefix_size = strlen(prefix);
    size_t label_size = strlen(label);

    return pem->line_size == prefix_size + label_size + strlen(TAIL) &&
           memcmp(pem->line, prefix, prefix_size) == 0 &&
           memcmp(pem->line + prefix_size, label, label_size) == 0 &&
           memcmp(pem->line + prefix_size + label_size, TAIL, strlen(TAIL)) == 0;
}

bool pem_label_is(const struct pem *pem, const char *label)
{
    return line_has_label(pem, BEGIN, label);
}

/*
 * libcrypto ends a block at any END line, whatever its label. After an empty line comes the data of
 * an encrypted key. There, libcrypto takes for an error: a second empty line, a line longer than 64
 * characters, and any line after one that is shorter than 64 characters.
 */
void pem_skip_block(struct pem *pem)
{
    bool after_headers = false;
    bool last_line = false;

    pem->line_goes_on = false;
    for (;;) {
        bool goes_on = pem->line_goes_on;

        if (!read_line(pem))
            return;
        if (pem->line_size == 0) {
            if (goes_on)
                continue;
            if (after_headers)
                return;
            after_headers = true;
            continue;
        }
        if (starts_with(pem->line, pem->line_size, END) || last_line)
            return;
        if (after_headers && pem->line_size > 64)
            return;
        last_line = after_headers && pem->line_size < 64;
    }
}

void pem_skip_file(struct pem *pem)
{
    while (read_line(pem))
        continue;
}

static bool append(BUF_MEM *buffer, const char *bytes, size_t size)
{
    size_t length = buffer->length;

    if (size == 0)
        return true;
    if (BUF_MEM_grow_clean(buffer, length + size) != length + size)
        return false;
    memcpy(buffer->data + length, bytes, size);
    return true;
}

/* Collects the text between BEGIN and END. */
static const char *read_text(struct pem *pem, const char *label, size_t size_max, BUF_MEM *text)
{
    pem->line_goes_on = false;
    for (;;) {
        bool goes_on = pem->line_goes_on;

        if (!read_line(pem))
            return "has no END line";
        if (!goes_on && line_has_label(pem, END, label))
            return NULL;
        if (!goes_on && starts_with(pem->line, pem->line_size, TAIL))
            return "is cut off: another line of dashes comes before its END line";
        if (pem->line_size > size_max - text->length) {
            /* Skips the rest: OpenSSL's store would go on there, and lose this error. */
            pem_skip_block(pem);
            return "is too long";
        }
        if (!append(text, pem->line, pem->line_size))
            return OUT_OF_MEMORY;
    }
}

/*
 * EVP_DecodeBlock() accepts more than base64, and counts padding as content. So the content is
 * encoded again, and must give the same text.
 */
static const char *decode_strict_base64(const BUF_MEM *text, BUF_MEM *content)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *again = BUF_MEM_new();
    size_t size = text->length / 4 * 3;

    if (text->length % 4 != 0)
        return NOT_BASE64;
    if (!again || !BUF_MEM_grow(again, text->length + 1) || !BUF_MEM_grow(content, size))
        return OUT_OF_MEMORY;
    if (EVP_DecodeBlock((unsigned char *)content->data, (const unsigned char *)text->data,
                (int)text->length) < 0)
        return NOT_BASE64;
    for (size_t padding = 1; padding <= 2; padding++)
        if (text->data[text->length - padding] == '=')
            content->length = size - padding;
    EVP_EncodeBlock((unsigned char *)again->data, (const unsigned char *)content->data,
            (int)content->length);
    if (memcmp(again->data, text->data, text->length) != 0)
        return NOT_BASE64;
    return NULL;
}

const char *pem_read_block(struct pem *pem, const char *label, size_t size_max, BUF_MEM **content)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    CLEANUP(BUF_MEM_free) BUF_MEM *decoded = BUF_MEM_new();
    const char *problem;

    if (!text || !decoded)
        return OUT_OF_MEMORY;
    problem = read_text(pem, label, size_max, text);
    if (problem)
        return problem;
    if (text->length == 0)
        return "is empty";
    problem = decode_strict_base64(text, decoded);
    if (problem)
        return problem;
    *content = take(decoded);
    return NULL;
}
