/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that aliyun-iot.conf and agent.conf may have. */
#ifndef SETTINGS_TABLE_H
#define SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/settings_values.h"

/* The files that a key may be in. */
enum settings_files {
    SETTINGS_PROGRAM = 1, /* aliyun-iot.conf */
    SETTINGS_AGENT = 2,   /* agent.conf */
    SETTINGS_BOTH = SETTINGS_PROGRAM | SETTINGS_AGENT
};

struct settings_key {
    const char *section, *name;
    const char *initial; /* the default, as it would stand in the file; NULL: unset */
    settings_reader *read;
    size_t offset;             /* of the field in struct settings */
    int64_t least, most;       /* as in struct settings_value */
    enum settings_files files; /* 0: both */
    bool is_string;            /* the field is a char *, which settings_free() frees */
};

/* Ends with a row whose section is NULL. */
extern const struct settings_key settings_table[];

/*
 * The row of a key that a file may have, or for a name that is NULL the first such row of a
 * section; NULL: unknown.
 */
const struct settings_key *settings_table_find(
        enum settings_files file, const char *section, const char *name);

/* Whether a file may have the key. */
bool settings_key_is_in(const struct settings_key *key, enum settings_files file);

#endif
