/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char character)
{
    return character && strchr(" \t\n\v\f\r", character);
}

/* A backslash and a newline stand for nothing, between words too. */
static char *skip_to_word(char *from)
{
    while (is_blank(*from) || (from[0] == '\\' && from[1] == '\n'))
        from += *from == '\\' ? 2 : 1;
    return from;
}

/* *from is after the opening quote. Returns false if there is no closing one. */
static bool copy_quoted(char **from, char **to, char quote)
{
    char *next = *from;

    for (; *next != quote; next++) {
        if (!*next)
            return false;
        if (quote == '"' && *next == '\\' && next[1] && strchr("\"\\$`\n", next[1])) {
            next++;
            if (*next == '\n')
                continue;
        }
        *(*to)++ = *next;
    }
    *from = next + 1;
    return true;
}

/* Copies one word without its quotes. Returns NULL, or what is wrong. */
static const char *copy_word(char **from, char **to)
{
    while (**from && !is_blank(**from)) {
        char character = *(*from)++;

        if (character == '\'' || character == '"') {
            if (!copy_quoted(from, to, character))
                return "process_command has a quote that is not closed";
            continue;
        }
        if (character == '\\') {
            if (!**from)
                return "process_command ends with a backslash";
            character = *(*from)++;
            if (character == '\n')
                continue;
        }
        *(*to)++ = character;
    }
    return NULL;
}

char **words_split(char *text, const char **problem)
{
    /* A word and the blank after it take two bytes at least. */
    char **words = calloc(strlen(text) / 2 + 2, sizeof(*words));
    char *from = skip_to_word(text), *to = text;
    size_t count = 0;

    *problem = words ? NULL : "there was no memory to split process_command";
    /* No word is longer than what it was read from, so to never overtakes from. */
    while (!*problem && *from) {
        words[count++] = to;
        *problem = copy_word(&from, &to);
        from = skip_to_word(from);
        *to++ = '\0';
    }
    if (!*problem && (count == 0 || !*words[0]))
        *problem = "process_command is missing";
    if (*problem) {
        free(words);
        return NULL;
    }
    return words;
}
