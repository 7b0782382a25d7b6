/* SPDX-License-Identifier: Apache-2.0 */
#include "command/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/help.h"

__attribute__((format(printf, 2, 0))) static int say(
        int status, const char *format, va_list arguments)
{
    fputs("aliyun-iot: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    return status;
}

int fail(const char *format, ...)
{
    va_list arguments;
    int status;

    va_start(arguments, format);
    status = say(EXIT_FAILED, format, arguments);
    va_end(arguments);
    return status;
}

int fail_usage(const char *format, ...)
{
    va_list arguments;
    int status;

    va_start(arguments, format);
    status = say(EXIT_USAGE, format, arguments);
    va_end(arguments);
    return status;
}

struct aliyun_iot_identity *resolve_or_explain(const char *uri, enum aliyun_iot_object *object)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity = NULL;

    if (!aliyun_iot_identity_resolve(NULL, uri, &identity, object, &error))
        fail("%s", aliyun_iot_error_message(error));
    return identity;
}

/* Writes what is still in the buffer of standard output: only now is a full disk noticed. */
static int finish_output(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return fail("standard output: %s", strerror(errno));
    return status;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int index = 1; index < argc; index++)
        if (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0)
            return true;
    return false;
}

static int print_help(const char *name)
{
    const struct command *command = name ? help_find(name) : NULL;

    if (name && !command)
        return help_refuse(name);
    if (command)
        help_print_command(command);
    else
        help_print();
    return EXIT_DONE;
}

/* argv[0] is the name of the subcommand. */
static int run(int argc, char **argv)
{
    const struct command *command = help_find(argv[0]);

    if (!command)
        return help_refuse(argv[0]);
    if (asks_for_help(argc, argv)) {
        help_print_command(command);
        return EXIT_DONE;
    }
    if (command->words && argc == 1)
        return fail_usage("%s: no subcommand given; see aliyun-iot help %s", argv[0], argv[0]);
    if (argc > 1 && !help_is_known(command, argv[1]))
        return help_refuse_in(command, argv[1]);
    return command->run(argc, argv);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fail_usage("no command given; see aliyun-iot help");
    if (strcmp(argv[1], "--version") == 0) {
        puts("aliyun-iot " VERSION);
        return finish_output(EXIT_DONE);
    }
    if (strcmp(argv[1], "help") == 0 && argc > 3)
        return fail_usage("help takes one command; see aliyun-iot help");
    if (strcmp(argv[1], "help") == 0)
        return finish_output(print_help(argv[2]));
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return finish_output(print_help(NULL));
    return finish_output(run(argc - 1, argv + 1));
}
