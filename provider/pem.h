/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads PEM from one of libcrypto's BIOs, block by block and line by line, as PEM_read_bio() does:
 * it takes the same text for a block, and stops at the same byte within a broken one.
 */
#ifndef PEM_H
#define PEM_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/buffer.h>

#include "private/cleanup.h"
#include "provider.h"

DEFINE_CLEANUP(BUF_MEM *, BUF_MEM_free);

enum {
    PEM_LINE_SIZE = 255 /* libcrypto's: BIO_gets() splits a longer line every 254 bytes */
};

struct pem {
    const struct provider *provider;
    OSSL_CORE_BIO *bio;
    long start;               /* position of the BIO where reading began */
    size_t size_read;         /* bytes since then */
    size_t size_max;          /* of size_read: reads as if the file ended there; 0: no limit */
    char line[PEM_LINE_SIZE]; /* without the white space at its end */
    size_t line_size;
    bool line_goes_on; /* the next one read is still of this line */
};

/*
 * Begins to read at the BIO's position; there is nothing to free. Returns false if libcrypto could
 * not bring the BIO back there for the next decoder, so that nothing must be read from it.
 */
bool pem_open(struct pem *pem, const struct provider *provider, OSSL_CORE_BIO *bio);

/* Returns the BIO's position in bytes, negative if it has none; goes back to a position. */
long pem_position(const struct pem *pem);
void pem_go_to(struct pem *pem, long position);

/*
 * Whether reading ahead has no effect once the BIO is back at an earlier position. False for pipes
 * and sockets: other readers of these cannot read the bytes any more, although the buffer that
 * libcrypto puts in front of them has positions.
 */
bool pem_can_look_ahead(struct pem *pem);

/*
 * Reads to the next BEGIN line. Call pem_label_is() before anything else is read. Returns false at
 * the end of the file.
 */
bool pem_next_block(struct pem *pem);
bool pem_label_is(const struct pem *pem, const char *label);

/* Reads to the end of the block that has just begun; or of the file. */
void pem_skip_block(struct pem *pem);
void pem_skip_file(struct pem *pem);

/*
 * Reads and decodes the block that has just begun, of at most size_max bytes of base64 text.
 * Returns NULL, and *content is to be freed; or what is wrong with the block.
 */
const char *pem_read_block(struct pem *pem, const char *label, size_t size_max, BUF_MEM **content);

#endif
