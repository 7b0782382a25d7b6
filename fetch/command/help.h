/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints, and what is said about words that are not known. */
#ifndef HELP_H
#define HELP_H

#include <stdbool.h>

#include "command/commands.h"

/* Prints what aliyun-iot is used for, and its subcommands. */
void help_print(void);

/* Prints how a subcommand is used. */
void help_print_command(const struct command *command);

/* The subcommand of that name; NULL: there is none. */
const struct command *help_find(const char *name);

/*
 * Prints an error about a word that is no subcommand, with the one that was probably meant. Returns
 * EXIT_USAGE.
 */
int help_refuse(const char *word);

/*
 * Whether a subcommand knows the first word of its arguments, such as "status" in "agent status".
 * Options are known, and one that takes no such words knows all.
 */
bool help_is_known(const struct command *command, const char *word);

/* As help_refuse(), for a word that a subcommand does not know. */
int help_refuse_in(const struct command *command, const char *word);

#endif
