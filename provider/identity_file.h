/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PEM identity file: a device's certificate chain, and a block that holds the device's URI and
 * stands for its private key. The blocks may come in any order.
 */
#ifndef IDENTITY_FILE_H
#define IDENTITY_FILE_H

#include "pem.h"

#define IDENTITY_LABEL "ALIYUN-IOT IDENTITY"

/*
 * Reads the next block. If it is a certificate and look_ahead is set, reads the blocks
 * after it as well. Returns true if it stopped at the BEGIN line of an identity block.
 *
 * Looking ahead is needed where the program has left an older error in OpenSSL's queue: whether
 * PEM_read_bio_PrivateKey() tries a second block depends on the oldest error there.
 */
bool identity_file_find_block(struct pem *pem, bool look_ahead);

struct identity_file {
    size_t blocks;       /* identity blocks */
    size_t certificates; /* that can be read; a broken one is for the program to complain about */
    bool has_leaf;       /* whether one of them has the public key of the leaf in question */
};

/*
 * Reads the whole file that pem reads, and goes back to where it was. leaf is in DER. Returns false
 * if the file cannot be read again from its beginning, or the leaf cannot be read.
 */
bool identity_file_read(
        struct pem *pem, const unsigned char *leaf, size_t leaf_size, struct identity_file *file);

#endif
