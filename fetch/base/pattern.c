/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pattern.h"

#include <stddef.h>
#include <stdlib.h>
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

static const char separators[] = ", \t";

/* Calls judge for each pattern until it returns until; returns whether it did. */
static bool any(const char *patterns, bool (*judge)(const char *pattern, const char *name),
        const char *name, bool until)
{
    CLEANUP(free) char *copy = strdup(patterns);
    char *place = NULL;

    for (char *pattern = copy ? strtok_r(copy, separators, &place) : NULL; pattern;
            pattern = strtok_r(NULL, separators, &place))
        if (judge(pattern, name) == until)
            return true;
    return !copy;
}

static bool is_valid(const char *pattern, const char *name)
{
    (void)name;
    return pattern_is_valid(pattern);
}

bool patterns_are_valid(const char *patterns)
{
    return patterns[strspn(patterns, separators)] && !any(patterns, is_valid, NULL, false);
}

bool patterns_match(const char *patterns, const char *name)
{
    return any(patterns, pattern_matches, name, true);
}
