/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/policy_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A file that is being read. */
struct reader {
    const char *file;
    struct policy_text *text;
    struct problems *problems;
    int line;
};

static const char blanks[] = " \t\r";

/* How many bytes the character of UTF-8 has that begins here (RFC 3629); 0: it is none. */
static size_t character_size(const unsigned char *at, size_t left)
{
    size_t size = *at < 0x80   ? 1
                  : *at < 0xc2 ? 0
                  : *at < 0xe0 ? 2
                  : *at < 0xf0 ? 3
                  : *at < 0xf5 ? 4
                               : 0;

    if (size > left)
        return 0;
    for (size_t index = 1; index < size; index++)
        if ((at[index] & 0xc0) != 0x80)
            return 0;
    /* Forms that are longer than need be, surrogates, and what is beyond Unicode. */
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
            (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

/* NULL, or what is wrong with the characters of a line. */
static const char *check_characters(const char *line, size_t size)
{
    const unsigned char *at = (const unsigned char *)line;

    for (size_t place = 0; place < size;) {
        size_t taken = character_size(at + place, size - place);

        if (taken == 0)
            return "the text is not UTF-8";
        if ((at[place] < ' ' && !strchr("\t\r", at[place])) || at[place] == 0x7f || at[place] == 0)
            return at[place] ? "there is a control character" : "there is a NUL byte";
        place += taken;
    }
    return NULL;
}

/* Removes blanks from both ends, in place. */
static char *trim(char *text)
{
    size_t size;

    text += strspn(text, blanks);
    size = strlen(text);
    while (size > 0 && strchr(blanks, text[size - 1]))
        size--;
    text[size] = '\0';
    return text;
}

/* One more element at the end of a list; the list grows when its count is a power of two. */
static void *grow(void *list, size_t count, size_t size)
{
    return count & (count - 1) ? list : reallocarray(list, count ? 2 * count : 1, size);
}

static bool out_of_memory(struct reader *reader)
{
    return problems_add(reader->problems, reader->file, reader->line, "out of memory");
}

static bool begin_section(struct reader *reader, char *name)
{
    struct policy_text *text = reader->text;
    struct policy_section *sections = grow(text->sections, text->count, sizeof(*sections));

    if (!sections)
        return out_of_memory(reader);
    text->sections = sections;
    sections[text->count++] = (struct policy_section){.name = name, .line = reader->line};
    return true;
}

static bool add_entry(struct reader *reader, const char *key, const char *value)
{
    struct policy_section *section;
    struct policy_entry *entries;

    if (reader->text->count == 0)
        return problems_add(reader->problems, reader->file, reader->line,
                "%.100s stands before the first section", key);
    section = &reader->text->sections[reader->text->count - 1];
    for (size_t index = 0; index < section->count; index++)
        if (strcmp(section->entries[index].key, key) == 0)
            return problems_add(reader->problems, reader->file, reader->line,
                    "%.100s is repeated; it is in line %d too", key, section->entries[index].line);
    entries = grow(section->entries, section->count, sizeof(*entries));
    if (!entries)
        return out_of_memory(reader);
    section->entries = entries;
    entries[section->count++] = (struct policy_entry){key, value, reader->line};
    return true;
}

static bool read_line(struct reader *reader, char *line, size_t size)
{
    const char *problem = check_characters(line, size);
    char *equals;

    if (problem)
        return problems_add(reader->problems, reader->file, reader->line, "%s", problem);
    line = trim(line);
    if (!*line || *line == '#' || *line == ';')
        return true;
    if (*line == '[') {
        size_t length = strlen(line);

        if (length < 3 || strcspn(line, "]") != length - 1)
            return problems_add(reader->problems, reader->file, reader->line,
                    "a section must stand alone on its line, as [NAME]");
        line[length - 1] = '\0';
        return begin_section(reader, line + 1);
    }
    equals = strchr(line, '=');
    if (!equals)
        return problems_add(reader->problems, reader->file, reader->line,
                "this is neither a section nor KEY = VALUE");
    *equals = '\0';
    return add_entry(reader, trim(line), trim(equals + 1));
}

void policy_text_split(char *bytes, size_t size, const char *file, struct policy_text *text,
        struct problems *problems)
{
    struct reader reader = {.file = file, .text = text, .problems = problems};
    char *end = bytes + size;

    *text = (struct policy_text){.count = 0};
    while (bytes < end) {
        char *line_end = memchr(bytes, '\n', (size_t)(end - bytes));

        if (!line_end)
            line_end = end;
        *line_end = '\0';
        reader.line++;
        read_line(&reader, bytes, (size_t)(line_end - bytes));
        bytes = line_end + 1;
    }
}

void policy_text_release(struct policy_text *text)
{
    for (size_t index = 0; index < text->count; index++)
        free(text->sections[index].entries);
    free(text->sections);
}
