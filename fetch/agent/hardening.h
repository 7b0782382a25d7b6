/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps the keys in the agent's memory from being read by others. */
#ifndef HARDENING_H
#define HARDENING_H

#include <sys/resource.h>

/*
 * No core is made of the process, nobody but root can trace it, and its memory is not swapped out,
 * if it may lock as much as it likes. before: receives the limit of cores, for a command that the
 * agent starts.
 */
void harden(struct rlimit *before);

#endif
