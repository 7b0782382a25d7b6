/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one reader of JSON that came from outside, over cJSON: refuses what cJSON would let pass
 * (depth beyond 16, a repeated name, text after the value, NUL, invalid UTF-8), and cleanses what
 * it frees, since answers and credential files hold secrets.
 */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

#include <cjson/cJSON.h>

#include "../cleanup.h"

enum { JSON_DEPTH_MAX = 16 };

/*
 * Parses size bytes into an object. Returns it, to be freed by json_free(); or NULL, with *problem
 * a constant phrase for an error message ("it is not JSON", "a name is repeated", ...).
 */
cJSON *json_parse(const char *text, size_t size, const char **problem);

/* Cleanses every string, then frees. */
void json_free(cJSON *object);
DEFINE_CLEANUP(cJSON *, json_free);

/* The string of that exact name; NULL if it is absent or not a string. Owned by the object. */
const char *json_string(const cJSON *object, const char *name);

#endif
