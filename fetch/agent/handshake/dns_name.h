/* SPDX-License-Identifier: Apache-2.0 */
/* Names of servers, as certificates, clients and policies write them. */
#ifndef DNS_NAME_H
#define DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

enum {
    DNS_NAME_SIZE = 254,   /* of the longest one, with its NUL */
    ADDRESS_TEXT_SIZE = 46 /* the same */
};

/* An address, in the network's order: of 4 or of 16 bytes. */
struct address {
    unsigned char bytes[16];
    size_t size;
};

/* Reads an address from its text; false: it is none. Writes it as inet_ntop(3) does. */
bool address_read(const char *text, struct address *address);
void address_write(const struct address *address, char text[ADDRESS_TEXT_SIZE]);
bool address_equal(const struct address *one, const struct address *other);

/*
 * Writes the name in lower case. Returns false if it is not well-formed. A well-formed name has
 * labels of 1 to 63 letters, digits, "-" or "_", with dots between them; it has 253 characters at
 * most, and is no address. With may_be_wildcard, the leftmost label may be "*", if another label
 * follows. With may_end_in_dot, a dot at the end is dropped.
 */
bool dns_name_read(
        struct bytes text, bool may_be_wildcard, bool may_end_in_dot, char name[DNS_NAME_SIZE]);

/*
 * Whether every name that `name` stands for is one that `pattern` stands for. Both are as
 * dns_name_read() writes them, each with or without a wildcard, which stands for one label.
 */
bool dns_name_is_covered(const char *name, const char *pattern);

/* Whether there is a name that both stand for. */
bool dns_name_overlaps(const char *name, const char *pattern);

#endif
