/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handshake/dns_name.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

enum { LABEL_MAX = 63 };

bool address_read(const char *text, struct address *address)
{
    memset(address, 0, sizeof(*address));
    address->size = 4;
    if (inet_pton(AF_INET, text, address->bytes) == 1)
        return true;
    address->size = 16;
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

void address_write(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    inet_ntop(address->size == 4 ? AF_INET : AF_INET6, address->bytes, text, ADDRESS_TEXT_SIZE);
}

bool address_equal(const struct address *one, const struct address *other)
{
    return one->size == other->size && memcmp(one->bytes, other->bytes, one->size) == 0;
}

static bool is_wildcard(const char *name)
{
    return name[0] == '*' && name[1] == '.';
}

static bool has_good_labels(const char *name)
{
    for (;;) {
        size_t size = strspn(name, LOWER_CASE DIGITS "-_");

        if (size < 1 || size > LABEL_MAX)
            return false;
        name += size;
        if (!*name)
            return true;
        if (*name++ != '.')
            return false;
    }
}

bool dns_name_read(
        struct bytes text, bool may_be_wildcard, bool may_end_in_dot, char name[DNS_NAME_SIZE])
{
    struct address address;

    if (may_end_in_dot && text.left > 0 && text.at[text.left - 1] == '.')
        text.left--;
    if (text.left >= DNS_NAME_SIZE)
        return false;
    for (size_t index = 0; index < text.left; index++) {
        unsigned char character = text.at[index];

        /* A NUL would end the name before its end. */
        if (character == '\0')
            return false;
        name[index] =
                (char)(character >= 'A' && character <= 'Z' ? character - 'A' + 'a' : character);
    }
    name[text.left] = '\0';
    if (address_read(name, &address))
        return false;
    return has_good_labels(may_be_wildcard && is_wildcard(name) ? name + 2 : name);
}

/* What follows the first label; NULL: it is the only one. */
static const char *parent_of(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot ? dot + 1 : NULL;
}

bool dns_name_is_covered(const char *name, const char *pattern)
{
    const char *parent = parent_of(name);

    if (strcmp(name, pattern) == 0)
        return true;
    return is_wildcard(pattern) && parent && strcmp(parent, pattern + 2) == 0;
}

bool dns_name_overlaps(const char *name, const char *pattern)
{
    return dns_name_is_covered(name, pattern) || dns_name_is_covered(pattern, name);
}
