/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/json_edit.h"

#include <inttypes.h>
#include <string.h>

/*
 * The functions below walk over text that cJSON has accepted, so they need not check its syntax.
 * They find a value by its position among its siblings: names need not be decoded then.
 */

/* cJSON accepts every byte up to the blank between tokens. */
static const char *skip_blanks(const char *text)
{
    while (*text && (unsigned char)*text <= ' ')
        text++;
    return text;
}

static const char *skip_string(const char *text)
{
    for (text++; *text && *text != '"'; text++)
        if (*text == '\\' && text[1])
            text++;
    return *text ? text + 1 : text;
}

static const char *skip_container(const char *text)
{
    int depth = 0;

    while (*text) {
        if (*text == '"') {
            text = skip_string(text);
            continue;
        }
        if (*text == '{' || *text == '[')
            depth++;
        else if (*text == '}' || *text == ']')
            depth--;
        text++;
        if (depth == 0)
            break;
    }
    return text;
}

static const char *skip_value(const char *text)
{
    if (*text == '"')
        return skip_string(text);
    if (*text == '{' || *text == '[')
        return skip_container(text);
    while ((unsigned char)*text > ' ' && *text != ',' && *text != ']' && *text != '}')
        text++;
    return text;
}

/* From a member's name to its value. */
static const char *skip_name(const char *text)
{
    return skip_blanks(skip_blanks(skip_string(text)) + 1);
}

/* The text of wanted, which is value or inside it; NULL: it is not. The depth is that of cJSON. */
static const char *locate(const char *text, const cJSON *value, const cJSON *wanted)
{
    const char *found = value == wanted ? text : NULL;
    const cJSON *item;

    if (found || !value->child)
        return found;
    text = skip_blanks(text + 1);
    cJSON_ArrayForEach(item, value)
    {
        if (cJSON_IsObject(value))
            text = skip_name(text);
        found = locate(text, item, wanted);
        if (found)
            return found;
        text = skip_blanks(skip_value(text));
        if (*text == ',')
            text = skip_blanks(text + 1);
    }
    return NULL;
}

static bool append_string(BUF_MEM *to, const char *text)
{
    bool done = buffer_append_text(to, "\"");

    for (; done && *text; text++) {
        if (*text == '"' || *text == '\\')
            done = buffer_append_format(to, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            done = buffer_append_format(to, "\\u%04x", (unsigned)*text);
        else
            done = buffer_append(to, text, 1);
    }
    return done && buffer_append_text(to, "\"");
}

static bool append_value(BUF_MEM *to, const struct json_change *change)
{
    return change->text ? append_string(to, change->text)
                        : buffer_append_format(to, "%" PRId64, change->number);
}

/* A new last member, with the blanks that the first one has around it. */
static bool append_member(BUF_MEM *to, const char *object, const struct json_change *change)
{
    const char *first = skip_blanks(object + 1);
    const char *colon = *first == '"' ? skip_string(first) : first;
    const char *value = *first == '"' ? skip_name(first) : first;

    return (*first != '"' || buffer_append_text(to, ",")) &&
           buffer_append(to, object + 1, (size_t)(first - object - 1)) &&
           append_string(to, change->name) &&
           (value > colon ? buffer_append(to, colon, (size_t)(value - colon))
                          : buffer_append_text(to, ":")) &&
           append_value(to, change);
}

/* The end of the object's last member. */
static const char *members_end(const char *object)
{
    const char *end = skip_value(object) - 1;

    while (end - 1 > object && (unsigned char)end[-1] <= ' ')
        end--;
    return end;
}

static BUF_MEM *apply(const BUF_MEM *text, const cJSON *root, const cJSON *object,
        const struct json_change *change)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, change->name);
    CLEANUP(BUF_MEM_free) BUF_MEM *edited = BUF_MEM_new();
    const char *begin = text->data, *from, *to;
    bool done;

    if (!edited)
        return NULL;
    if (strncmp(begin, byte_order_mark, 3) == 0)
        begin += 3;
    from = locate(skip_blanks(begin), root, member ? member : object);
    if (!from)
        return NULL;
    to = member ? skip_value(from) : members_end(from);
    done = buffer_append(edited, text->data, (size_t)((member ? from : to) - text->data)) &&
           (member ? append_value(edited, change) : append_member(edited, from, change)) &&
           buffer_append(edited, to, text->length - (size_t)(to - text->data)) &&
           buffer_text(edited);
    return done ? take(edited) : NULL;
}

BUF_MEM *json_edit(const BUF_MEM *text, const cJSON *root, const cJSON *object,
        const struct json_change *changes, size_t count)
{
    BUF_MEM *edited = NULL;

    /* Members that a change adds come last, so that the positions of the others stay. */
    for (size_t index = 0; index < count; index++) {
        BUF_MEM *next = apply(edited ? edited : text, root, object, &changes[index]);

        BUF_MEM_free(edited);
        edited = next;
        if (!edited)
            return NULL;
    }
    return edited;
}
