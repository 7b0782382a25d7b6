/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pattern.h"

#include <stddef.h>
#include <string.h>

#include "base/text.h"

bool pattern_is_valid(const char *pattern)
{
    size_t product_size = strspn(pattern, ALPHANUMERIC "_-*");
    const char *device = pattern + product_size + 1;

    return product_size > 0 && pattern[product_size] == '/' && *device &&
           device[strspn(device, ALPHANUMERIC "_-@.:*")] == '\0';
}

/*
 * Only the last star needs to be tried again with more characters: what matches after it would also
 * match if an earlier star had taken more. So a hostile pattern costs no more than the product of
 * the two lengths.
 */
bool pattern_matches(const char *pattern, const char *name)
{
    const char *after_star = NULL, *taken = NULL;

    for (;;) {
        if (*pattern == '*') {
            after_star = ++pattern;
            taken = name;
        } else if (*pattern == *name) {
            if (!*name)
                return true;
            pattern++;
            name++;
        } else if (after_star && *taken && *taken != '/') {
            pattern = after_star;
            name = ++taken;
        } else {
            return false;
        }
    }
}
