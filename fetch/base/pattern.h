/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of devices: PRODUCT_KEY/DEVICE_NAME, where * is any run of characters except "/". */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>

/* Exactly one "/", with something on both sides; otherwise characters of names, and "*". */
bool pattern_is_valid(const char *pattern);

/* Whether a valid pattern matches "PRODUCT_KEY/DEVICE_NAME" as a whole. */
bool pattern_matches(const char *pattern, const char *name);

/* The same of patterns with commas, and blanks, between them: all are valid; any matches. */
bool patterns_are_valid(const char *patterns);
bool patterns_match(const char *patterns, const char *name);

#endif
