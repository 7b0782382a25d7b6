/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to single members of an object in a JSON text. Every other byte stays as it is: cJSON
 * would reformat the text and turn large integers into floating-point numbers.
 */
#ifndef JSON_EDIT_H
#define JSON_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/json.h"

/* A member's new value: a string, or a number if text is NULL. */
struct json_change {
    const char *name;
    const char *text;
    int64_t number;
};

/*
 * Replaces the values of these members, and adds members that are missing at the end of the object.
 * text ends with a NUL that its length does not count, as buffer_text() leaves it; root is what
 * json_parse() returned for it, object is root or inside it. Returns the new text, ended in the
 * same way; NULL when out of memory.
 */
BUF_MEM *json_edit(const BUF_MEM *text, const cJSON *root, const cJSON *object,
        const struct json_change *changes, size_t count);

#endif
