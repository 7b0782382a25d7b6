/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads PEM from one of libcrypto's BIOs, block by block and line by line, as PEM_read_bio() does:
 * what it takes for a block, and where it stops within a broken one, is the same to the byte. So a
 * program that reads somebody else's file cannot tell whether this module looked at it first.
 */
#ifndef PEM_H
#define PEM_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/buffer.h>

#include "../fetch/cleanup.h"
#include "provider.h"

DEFINE_CLEANUP(BUF_MEM *, BUF_MEM_free);

enum {
    PEM_LINE_SIZE = 255 /* libcrypto's: BIO_gets() splits a longer line every 254 bytes */
};

struct pem {
    const struct provider *provider;
    OSSL_CORE_BIO *bio;
    char line[PEM_LINE_SIZE]; /* without the white space at its end */
    size_t line_size;
    bool line_goes_on; /* the next one read is still of this line */
};

/*
 * Reads on to the next BEGIN line, to be asked about with pem_label_is() at once. Returns false at
 * the end of the file.
 */
bool pem_next_block(struct pem *pem);
bool pem_label_is(const struct pem *pem, const char *label);

/* Reads to the end of the block that has just begun. */
void pem_skip_block(struct pem *pem);

/*
 * Reads and decodes the block that has just begun, of at most size_max bytes of base64 text.
 * Returns NULL, and *content is to be freed; or what is wrong with the block.
 */
const char *pem_read_block(struct pem *pem, const char *label, size_t size_max, BUF_MEM **content);

#endif
