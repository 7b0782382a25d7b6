/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `aliyun-iot audit`. They return an exit status. */
#ifndef COMMAND_AUDIT_H
#define COMMAND_AUDIT_H

#include <stdio.h>

#include "private/cleanup.h"

DEFINE_CLEANUP(FILE *, fclose);

int audit_verify(int argc, char **argv);
int audit_show(int argc, char **argv);

#endif
