/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

/*
 * Looks at the text before cJSON does: depth, NUL in any spelling, and UTF-8. cJSON would take a
 * thousand levels, end strings at \u0000, and pass any byte on.
 */
static const char *check_structure(const char *text, size_t size)
{
    bool in_string = false;
    int depth = 0;

    for (size_t index = 0; index < size; index++) {
        char byte = text[index];

        if (byte == '\0')
            return "it holds a NUL byte";
        if (in_string) {
            if (byte == '\\') {
                if (size - index > 5 && memcmp(text + index, "\\u0000", 6) == 0)
                    return "it holds a NUL byte";
                index++;
            } else if (byte == '"') {
                in_string = false;
            }
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '{' || byte == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return "it is nested deeper than 16 levels";
        } else if (byte == '}' || byte == ']') {
            depth--;
        }
    }
    return NULL;
}

/* How many bytes the UTF-8 sequence at text has; 0: it is none (RFC 3629). */
static size_t utf8_size(const unsigned char *text, size_t left)
{
    size_t size;

    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xc2 && text[0] <= 0xdf)
        size = 2;
    else if (text[0] >= 0xe0 && text[0] <= 0xef)
        size = 3;
    else if (text[0] >= 0xf0 && text[0] <= 0xf4)
        size = 4;
    else
        return 0;
    if (left < size)
        return 0;
    for (size_t index = 1; index < size; index++)
        if ((text[index] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
            (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return size;
}

static bool is_utf8(const char *text, size_t size)
{
    const unsigned char *place = (const unsigned char *)text, *end = place + size;

    while (place < end) {
        size_t step = utf8_size(place, (size_t)(end - place));

        if (step == 0)
            return false;
        place += step;
    }
    return true;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Sorted, so that a hostile answer with many names costs little. */
static const char *check_names(const cJSON *object)
{
    size_t count = (size_t)cJSON_GetArraySize(object), index = 0;
    const char **names = calloc(count + 1, sizeof(*names));
    const char *problem = names ? NULL : "there was no memory to read it";
    const cJSON *item;

    if (names) {
        cJSON_ArrayForEach(item, object) names[index++] = item->string;
        qsort(names, count, sizeof(*names), compare_names);
        for (index = 1; index < count; index++)
            if (strcmp(names[index - 1], names[index]) == 0)
                problem = "a name is repeated";
    }
    free(names);
    return problem;
}

/* Depth is bounded by check_structure(). */
static const char *check_all_names(const cJSON *value)
{
    const char *problem = cJSON_IsObject(value) ? check_names(value) : NULL;
    const cJSON *item;

    cJSON_ArrayForEach(item, value) if (!problem) problem = check_all_names(item);
    return problem;
}

static const char *check_end(const char *end, const char *text, size_t size)
{
    for (; end < text + size; end++)
        if (!strchr(" \t\r\n", *end))
            return "text follows the JSON";
    return NULL;
}

cJSON *json_parse(const char *text, size_t size, const char **problem)
{
    CLEANUP(json_free) cJSON *object = NULL;
    const char *end = NULL;

    if (size == 0) {
        *problem = "it is empty";
        return NULL;
    }
    *problem = check_structure(text, size);
    if (!*problem && !is_utf8(text, size))
        *problem = "it is not UTF-8";
    if (*problem)
        return NULL;
    object = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    if (!object)
        *problem = "it is not JSON";
    else if (!cJSON_IsObject(object))
        *problem = "it is not a JSON object";
    else
        *problem = check_end(end, text, size);
    if (!*problem)
        *problem = check_all_names(object);
    return *problem ? NULL : take(object);
}

static void cleanse(cJSON *value)
{
    for (; value; value = value->next) {
        if (value->valuestring)
            OPENSSL_cleanse(value->valuestring, strlen(value->valuestring));
        cleanse(value->child);
    }
}

void json_free(cJSON *object)
{
    cleanse(object);
    cJSON_Delete(object);
}

const char *json_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}
