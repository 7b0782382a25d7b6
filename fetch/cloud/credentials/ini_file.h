/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INI files as Alibaba Cloud's SDKs read them. libini_config does not: it takes [PROD] and [prod]
 * for one section, keeps quotes, and refuses a file for one malformed line.
 *
 *     [section]      # comment
 *     key = value    ; comment       a ':' may stand for the '='
 *     key = "value"                  'value' too; comment signs in it belong to the value
 *
 * Section names are compared byte by byte. Of a key that is repeated, the last value counts. Lines
 * that are none of these are skipped; after a malformed [section line, all up to the next section.
 */
#ifndef CREDENTIALS_INI_FILE_H
#define CREDENTIALS_INI_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "private/cleanup.h"

struct ini_entry {
    const char *section; /* never NULL */
    const char *key;     /* NULL: the section's own line */
    const char *value;
};

struct ini_file {
    struct ini_entry *entries;
    size_t count;
};

/*
 * Cuts text, which ends with a NUL, into entries that point into it. Returns false when out of
 * memory. The caller keeps the text, which may hold secrets, and calls ini_file_release().
 */
bool ini_file_parse(struct ini_file *file, char *text);
void ini_file_release(struct ini_file *file);

bool ini_file_has_section(const struct ini_file *file, const char *section);

/* The value of a key, found without case if no key is written so exactly; NULL: there is none. */
const char *ini_file_value(const struct ini_file *file, const char *section, const char *key);

#endif
