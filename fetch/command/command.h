/* SPDX-License-Identifier: Apache-2.0 */
/* The aliyun-iot command: main.c holds the table of subcommands, each in a file of its own. */
#ifndef COMMAND_H
#define COMMAND_H

#include "../cleanup.h"

#include <aliyun-iot/error.h>
#include <aliyun-iot/identity.h>

/* Exit status, as the man page says. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

DEFINE_CLEANUP(struct aliyun_iot_error *, aliyun_iot_error_free);
DEFINE_CLEANUP(struct aliyun_iot_identity *, aliyun_iot_identity_free);

/* Each gets its own arguments, argv[0] being its name, and returns an exit status. */
int command_show(int argc, char **argv);
int command_pem(int argc, char **argv);

/* One line on standard error. Returns EXIT_FAILED or EXIT_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The identity of a URI, and what the URI limits it to; NULL after saying why on standard error. */
struct aliyun_iot_identity *resolve_or_explain(const char *uri, enum aliyun_iot_object *object);

#endif
