/* SPDX-License-Identifier: Apache-2.0 */
#include "command/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
    const char *purpose;
} commands[] = {
        {"agent", command_agent, "agent status|list|metrics|evict PATTERN|reload",
                "look at and manage an agent, as its user or root"},
        {"audit", command_audit, "audit verify|show ...", "verify and show an agent's audit log"},
        {"policy", command_policy, "policy check|explain|test|grant|revoke ...",
                "check and explain what an agent allows, and grant it for a time"},
        {"show", command_show, "show URI", "resolve a device and describe its certificate"},
        {"pem", command_pem, "pem URI [-o FILE]",
                "write a PEM identity file, which holds no secret"},
        {"vault", command_vault, "vault init|status|verify|purge PATTERN|rekey KEY",
                "make and look after a vault of sealed identities"},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

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

static void print_help(void)
{
    puts("Usage: aliyun-iot COMMAND ...\n\nCommands:");
    for (size_t index = 0; index < COMMAND_COUNT; index++)
        printf("  %-47s %s\n", commands[index].usage, commands[index].purpose);
    puts("\nA URI is aliyun-iot:PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID].\n"
         "Settings are read from aliyun-iot.conf, see aliyun-iot.conf(5); the AccessKey from\n"
         "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET or the usual profile\n"
         "files. Exit status: 0 done, 1 failed, 2 wrong usage.\n\n"
         "  --help, --version    this text; the version");
}

/* Writes what is still in the buffer of standard output: only now is a full disk noticed. */
static int finish_output(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return fail("standard output: %s", strerror(errno));
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fail_usage("no command given; see aliyun-iot --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return finish_output(EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("aliyun-iot " VERSION);
        return finish_output(EXIT_DONE);
    }
    for (size_t index = 0; index < COMMAND_COUNT; index++) {
        if (strcmp(argv[1], commands[index].name) != 0)
            continue;
        if (argc > 2 && strcmp(argv[2], "--help") == 0) {
            printf("Usage: aliyun-iot %s\n%s\n", commands[index].usage, commands[index].purpose);
            return finish_output(EXIT_DONE);
        }
        return finish_output(commands[index].run(argc - 1, argv + 1));
    }
    return fail_usage("unknown command \"%s\"; see aliyun-iot --help", argv[1]);
}
