/* SPDX-License-Identifier: Apache-2.0 */
/* The aliyun-iot command: commands.c has the table of subcommands, each in a file of its own. */
#ifndef COMMAND_H
#define COMMAND_H

#include "base/identity.h"

/* Exit status, as the man page says. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* The subcommands. argv[0] is the name of the subcommand. They return an exit status. */
int command_agent(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_policy(int argc, char **argv);
int command_show(int argc, char **argv);
int command_pem(int argc, char **argv);
int command_vault(int argc, char **argv);

/* Print one line on standard error, and return EXIT_FAILED or EXIT_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Resolves a URI. *object is the URI's attribute object; object may be NULL. On failure, prints why
 * on standard error and returns NULL.
 */
struct aliyun_iot_identity *resolve_or_explain(const char *uri, enum aliyun_iot_object *object);

#endif
