/* SPDX-License-Identifier: Apache-2.0 */
/* How the text of one setting becomes a value, for the table of keys (settings_table.c). */
#ifndef SETTINGS_VALUES_H
#define SETTINGS_VALUES_H

#include <stdint.h>

/* One value as it stands in the file, and where it goes. */
struct settings_value {
    const char *text; /* without blanks around it; may be empty */
    const char *file; /* the settings file, whose folder relative paths start from; may be NULL */
    int64_t least, most; /* the range of a number; of a time, in milliseconds */
    void *place;         /* the field of struct settings */
};

/*
 * Checks and converts a value, and stores it in its place; a string that was there is freed.
 * Returns NULL, or what is wrong and what would be right, for the error message: a constant. The
 * place is then unchanged.
 */
typedef const char *settings_reader(const struct settings_value *value);

/* What a reader returns when out of memory. */
extern const char settings_out_of_memory[];

settings_reader settings_read_text;              /* char *, not empty */
settings_reader settings_read_name;              /* char *: letters, digits, _ and - */
settings_reader settings_read_region;            /* char *: part of a host name */
settings_reader settings_read_path;              /* char *, made absolute */
settings_reader settings_read_secret;            /* char *: file:PATH (absolute) or systemd:NAME */
settings_reader settings_read_sealing_key;       /* char *: the same, or pkcs11:... */
settings_reader settings_read_pkcs11_uri;        /* char *: pkcs11:... */
settings_reader settings_read_patterns;          /* char *: patterns of devices, with commas */
settings_reader settings_read_trace_file;        /* char *: a path or "stderr" */
settings_reader settings_read_https_endpoint;    /* char *: https://HOST[:PORT] */
settings_reader settings_read_metadata_endpoint; /* char *: http://HOST[:PORT] */
settings_reader settings_read_number;            /* int64_t */
settings_reader settings_read_time;              /* int64_t: milliseconds */
settings_reader settings_read_owner;             /* int64_t: a user id, or SETTINGS_OWNER_... */
settings_reader settings_read_rate;              /* double: calls a second */
settings_reader settings_read_signature;         /* enum signature_kind */
settings_reader settings_read_level;             /* enum trace_level */
settings_reader settings_read_yes_or_no;         /* bool */
settings_reader settings_read_sync;              /* bool: always, and not 1s */

#endif
