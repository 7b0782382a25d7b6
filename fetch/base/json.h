/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads all JSON that comes from outside, with cJSON. It refuses some things that cJSON accepts:
 * great depth, a repeated name, text after the value, NUL and invalid UTF-8. It cleanses what it
 * frees, because answers and credential files hold secrets.
 */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

#include <cjson/cJSON.h>

#include "private/cleanup.h"

enum { JSON_DEPTH_MAX = 16 /* of answers and files */ };

/*
 * Parses size bytes into an object of at most depth_max levels. Returns it, to be freed by
 * json_free(); or NULL, with *problem a constant phrase for an error message ("it is not JSON", "a
 * name is repeated", ...).
 */
cJSON *json_parse(const char *text, size_t size, int depth_max, const char **problem);

/*
 * The same for a file of another program's, read as that program reads it: of a name that is
 * repeated, the last value counts, and text need not be UTF-8. Members that do not count have an
 * empty name.
 */
cJSON *json_parse_file(const char *text, size_t size, const char **problem);

/* Cleanses every string, then frees. */
void json_free(cJSON *object);
DEFINE_CLEANUP(cJSON *, json_free);

/* Frees the text that cJSON printed. */
static inline void json_text_free(char *text)
{
    cJSON_free(text);
}
DEFINE_CLEANUP(char *, json_text_free);

/* The string of that exact name; NULL if it is absent or not a string. Owned by the object. */
const char *json_string(const cJSON *object, const char *name);

#endif
