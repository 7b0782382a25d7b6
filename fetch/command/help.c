/* SPDX-License-Identifier: Apache-2.0 */
#include "command/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command/command.h"

enum { WORD_SIZE_MAX = 16 /* longer words are nothing that was mistyped */, MISTAKES_MAX = 2 };

void help_print(void)
{
    puts("Usage: aliyun-iot COMMAND ...\n\nCommands:");
    for (const struct command *command = commands; command->name; command++)
        printf("  %-8s %s\n", command->name, command->purpose);
    puts("\naliyun-iot help COMMAND says how it is used.\n\n"
         "A URI is aliyun-iot:PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID].\n"
         "Settings are read from aliyun-iot.conf, see aliyun-iot.conf(5); the AccessKey from\n"
         "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET or the usual profile\n"
         "files. Exit status: 0 done, 1 failed, 2 wrong usage.\n\n"
         "  --help, --version    this text; the version");
}

void help_print_command(const struct command *command)
{
    const char *before = "Usage:";

    for (const char *const *form = command->forms; *form; form++) {
        printf("%-6s aliyun-iot %s\n", before, *form);
        before = "";
    }
    printf("\n%s\n", command->purpose);
    if (command->options)
        printf("\n%s", command->options);
    puts("\nSee aliyun-iot(1).");
}

const struct command *help_find(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static size_t smallest(size_t one, size_t two, size_t three)
{
    size_t smaller = one < two ? one : two;

    return smaller < three ? smaller : three;
}

/* How many characters have to be put in, left out, replaced, or swapped with the next one. */
static size_t count_mistakes(const char *typed, const char *word)
{
    size_t rows[3][WORD_SIZE_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    size_t size = strlen(typed), word_size = strlen(word);

    if (size > WORD_SIZE_MAX || word_size > WORD_SIZE_MAX)
        return WORD_SIZE_MAX;
    for (size_t column = 0; column <= word_size; column++)
        last[column] = before[column] = column;
    for (size_t row = 1; row <= size; row++) {
        size_t *oldest = before;

        now[0] = row;
        for (size_t column = 1; column <= word_size; column++) {
            now[column] = smallest(last[column] + 1, now[column - 1] + 1,
                    last[column - 1] + (typed[row - 1] != word[column - 1]));
            if (row > 1 && column > 1 && typed[row - 1] == word[column - 2] &&
                    typed[row - 2] == word[column - 1])
                now[column] = smallest(now[column], before[column - 2] + 1, now[column]);
        }
        before = last;
        last = now;
        now = oldest;
    }
    return last[word_size];
}

/* What was typed, and the known word that is nearest to it. */
struct guess {
    const char *typed, *nearest;
    size_t mistakes;
};

static void consider(struct guess *guess, const char *word)
{
    size_t mistakes = count_mistakes(guess->typed, word);

    if (mistakes >= guess->mistakes)
        return;
    guess->nearest = word;
    guess->mistakes = mistakes;
}

/* command: whose help says more; NULL: help does. */
static int refuse(const struct guess *guess, const char *problem, const struct command *command)
{
    CLEANUP(free) char *typed = strdup(guess->typed);
    const char *separator = command ? " " : "", *name = command ? command->name : "";

    if (typed)
        text_make_printable(typed);
    if (guess->nearest)
        return fail_usage("%s \"%.100s\", did you mean \"%s\"? See aliyun-iot help%s%s", problem,
                typed ? typed : "", guess->nearest, separator, name);
    return fail_usage(
            "%s \"%.100s\"; see aliyun-iot help%s%s", problem, typed ? typed : "", separator, name);
}

int help_refuse(const char *word)
{
    struct guess guess = {.typed = word, .mistakes = MISTAKES_MAX + 1};

    for (const struct command *command = commands; command->name; command++)
        consider(&guess, command->name);
    return refuse(&guess, "unknown command", NULL);
}

bool help_is_known(const struct command *command, const char *word)
{
    const char *const *known = *word == '-' ? NULL : command->words;

    while (known && *known && strcmp(*known, word) != 0)
        known++;
    return !known || *known;
}

int help_refuse_in(const struct command *command, const char *word)
{
    struct guess guess = {.typed = word, .mistakes = MISTAKES_MAX + 1};

    for (const char *const *known = command->words; *known; known++)
        consider(&guess, *known);
    return refuse(&guess, "unknown subcommand", command);
}
