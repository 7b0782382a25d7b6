/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of an audit log: a JSON object on each line, with the number of the line (seq) and the
 * SHA-256 of the line before (previous), without its line break. In the first line of a chain,
 * previous is 64 zeros. A line that a crash cut short stays; the line after it is a `resume`, whose
 * previous is the hash of what is left of the cut one, which takes no number.
 */
#ifndef CHAIN_H
#define CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAIN_HASH_SIZE = 64 + 1 /* hexadecimal digits and a NUL */ };

extern const char chain_start[CHAIN_HASH_SIZE]; /* zeros */
extern const char chain_resume[];               /* the operation of a line after a cut one */

/* What a line says of its place in the chain. */
struct chain_link {
    int64_t seq;
    char previous[CHAIN_HASH_SIZE];
    bool is_resume;
};

/* Reads a line, without its line break. False: it is no line of a chain, or was cut. */
bool chain_link_read(const char *line, size_t size, struct chain_link *link);

/* The hash of a line, without its line break. */
void chain_hash(const char *line, size_t size, char hash[CHAIN_HASH_SIZE]);

#endif
