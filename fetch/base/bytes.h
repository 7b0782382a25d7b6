/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads numbers, and vectors as TLS has them (RFC 5246, section 4), from bytes, and never past
 * their end.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const unsigned char *at;
    size_t left;
};

/* Takes size bytes off the beginning. False: there are not so many, and nothing is taken. */
static inline bool bytes_take(struct bytes *bytes, size_t size, struct bytes *taken)
{
    if (bytes->left < size)
        return false;
    *taken = (struct bytes){bytes->at, size};
    bytes->at += size;
    bytes->left -= size;
    return true;
}

/* Takes a number of 1 to 4 bytes, the most significant first. */
static inline bool bytes_take_number(struct bytes *bytes, size_t size, uint32_t *number)
{
    struct bytes digits;

    if (!bytes_take(bytes, size, &digits))
        return false;
    *number = 0;
    for (size_t index = 0; index < size; index++)
        *number = *number << 8 | digits.at[index];
    return true;
}

/* Takes a vector: its length in length_size bytes, and as many bytes as that says. */
static inline bool bytes_take_vector(struct bytes *bytes, size_t length_size, struct bytes *vector)
{
    uint32_t length;

    return bytes_take_number(bytes, length_size, &length) && bytes_take(bytes, length, vector);
}

#endif
