/* SPDX-License-Identifier: Apache-2.0 */
/* The table of subcommands. */
#ifndef COMMANDS_H
#define COMMANDS_H

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* see command.h */
    const char *purpose;
    const char *const *words; /* one of which comes next, NULL ends them; NULL: none does */
    const char *const *forms; /* how it is written, without "aliyun-iot"; NULL ends them */
    const char *options;      /* lines about them; NULL: there is nothing more to say */
};

/* A NULL name ends it. */
extern const struct command commands[];

#endif
