/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

/* text: a backslash in a string, and what follows it. cJSON takes \u without digits for \u0000. */
static const char *check_escape(const char *text, size_t size)
{
    static const char digits[] = "0123456789abcdefABCDEF";

    if (size < 2)
        return NULL;
    if (text[1] == '\0')
        return "it holds a NUL byte";
    if (text[1] != 'u')
        return NULL;
    for (size_t index = 2; index < 6; index++)
        if (index >= size || !text[index] || !strchr(digits, text[index]))
            return "it is not JSON";
    return memcmp(text + 2, "0000", 4) == 0 ? "it holds a NUL byte" : NULL;
}

/*
 * Checks depth and NUL bytes before cJSON reads the text: cJSON accepts a thousand levels, and ends
 * a string at \u0000.
 */
static const char *check_structure(const char *text, size_t size, int depth_max)
{
    bool in_string = false;
    int depth = 0;

    for (size_t index = 0; index < size; index++) {
        char byte = text[index];

        if (byte == '\0')
            return "it holds a NUL byte";
        if (in_string) {
            if (byte == '\\') {
                const char *problem = check_escape(text + index, size - index);

                if (problem)
                    return problem;
                index++;
            } else if (byte == '"') {
                in_string = false;
            }
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '{' || byte == '[') {
            if (++depth > depth_max)
                return "it is nested too deep";
        } else if (byte == '}' || byte == ']') {
            depth--;
        }
    }
    return NULL;
}

/* The number of bytes of the UTF-8 sequence at text; 0 if it is not valid (RFC 3629). */
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
    /* Refuses overlong forms, surrogates and code points above U+10FFFF. */
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

/* A member of an object, and its place among them. */
struct member {
    cJSON *item;
    size_t index;
};

static int compare_members(const void *left, const void *right)
{
    const struct member *one = left, *other = right;
    int order = strcmp(one->item->string, other->item->string);

    return order != 0 ? order : (one->index > other->index) - (one->index < other->index);
}

/*
 * Sorted, so that a hostile answer with many names costs little. Where repeated names are allowed,
 * all but the last of each lose their names, and stay: json_edit.c goes by their places.
 */
static const char *check_object_names(cJSON *object, bool repeated_allowed)
{
    size_t count = (size_t)cJSON_GetArraySize(object), index = 0;
    struct member *members = calloc(count + 1, sizeof(*members));
    const char *problem = NULL;
    cJSON *item;

    if (!members)
        return "there was no memory to read it";
    cJSON_ArrayForEach(item, object)
    {
        members[index] = (struct member){item, index};
        index++;
    }
    qsort(members, count, sizeof(*members), compare_members);
    for (index = 1; index < count && !problem; index++) {
        char *name = members[index - 1].item->string;

        if (strcmp(name, members[index].item->string) != 0)
            continue;
        if (repeated_allowed)
            *name = '\0';
        else
            problem = "a name is repeated";
    }
    free(members);
    return problem;
}

/* Depth is bounded by check_structure(). */
static const char *check_all_names(cJSON *value, bool repeated_allowed)
{
    const char *problem =
            cJSON_IsObject(value) ? check_object_names(value, repeated_allowed) : NULL;
    cJSON *item;

    cJSON_ArrayForEach(item, value) if (!problem) problem = check_all_names(item, repeated_allowed);
    return problem;
}

static const char *check_end(const char *end, const char *text, size_t size)
{
    for (; end < text + size; end++)
        if (!strchr(" \t\r\n", *end))
            return "text follows the JSON";
    return NULL;
}

static cJSON *parse_object(
        const char *text, size_t size, int depth_max, bool is_file, const char **problem)
{
    CLEANUP(json_free) cJSON *object = NULL;
    const char *end = NULL;

    if (size == 0) {
        *problem = "it is empty";
        return NULL;
    }
    *problem = check_structure(text, size, depth_max);
    if (!*problem && !is_file && !is_utf8(text, size))
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
        *problem = check_all_names(object, is_file);
    return *problem ? NULL : take(object);
}

cJSON *json_parse(const char *text, size_t size, int depth_max, const char **problem)
{
    return parse_object(text, size, depth_max, false, problem);
}

cJSON *json_parse_file(const char *text, size_t size, const char **problem)
{
    return parse_object(text, size, JSON_DEPTH_MAX, true, problem);
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
