/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/ini_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r\f\v"

/* Cuts the blanks around text. Returns where it begins. */
static char *trim(char *text)
{
    size_t size;

    text += strspn(text, BLANKS);
    for (size = strlen(text); size > 0 && strchr(BLANKS, text[size - 1]); size--) {
    }
    text[size] = '\0';
    return text;
}

/* Cuts a value out of what stands behind the '='. */
static char *trim_value(char *text)
{
    text = trim(text);
    if (*text == '"' || *text == '\'') {
        char *end = strchr(text + 1, *text);

        if (end && strchr("#;", end[1 + strspn(end + 1, BLANKS)])) {
            *end = '\0';
            return text + 1;
        }
    }
    text[strcspn(text, "#;")] = '\0';
    return trim(text);
}

/* Cuts a trimmed line that is no comment. Returns false if it is to be skipped. */
static bool parse_line(char *line, struct ini_entry *entry)
{
    char *end;

    if (*line == '[') {
        end = strchr(line, ']');
        if (end)
            *end = '\0';
        entry->section = end ? trim(line + 1) : NULL;
        entry->key = entry->value = NULL;
        return end != NULL;
    }
    end = line + strcspn(line, "=:");
    if (!entry->section || !*end)
        return false;
    *end = '\0';
    entry->key = trim(line);
    entry->value = trim_value(end + 1);
    return true;
}

static size_t count_lines(const char *text)
{
    size_t count = 1;

    for (; (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

bool ini_file_parse(struct ini_file *file, char *text)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    struct ini_entry entry = {0};

    file->count = 0;
    file->entries = calloc(count_lines(text), sizeof(*file->entries));
    if (!file->entries)
        return false;
    if (strncmp(text, byte_order_mark, strlen(byte_order_mark)) == 0)
        text += strlen(byte_order_mark);
    for (char *line; (line = strsep(&text, "\n"));) {
        line = trim(line);
        if (*line && *line != '#' && *line != ';' && parse_line(line, &entry))
            file->entries[file->count++] = entry;
    }
    return true;
}

void ini_file_release(struct ini_file *file)
{
    free(file->entries);
}

bool ini_file_has_section(const struct ini_file *file, const char *section)
{
    for (size_t index = 0; index < file->count; index++)
        if (strcmp(file->entries[index].section, section) == 0)
            return true;
    return false;
}

static const char *find_value(const struct ini_file *file, const char *section, const char *key,
        int (*compare)(const char *, const char *))
{
    for (size_t index = file->count; index-- > 0;) {
        const struct ini_entry *entry = &file->entries[index];

        if (entry->key && strcmp(entry->section, section) == 0 && compare(entry->key, key) == 0)
            return entry->value;
    }
    return NULL;
}

const char *ini_file_value(const struct ini_file *file, const char *section, const char *key)
{
    const char *value = find_value(file, section, key, strcmp);

    return value ? value : find_value(file, section, key, strcasecmp);
}
