/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A privileged process (set-user-ID, set-group-ID or with file capabilities) has rights that its
 * caller lacks. The caller chooses its environment, so nothing there may be trusted: use
 * secure_getenv(), or this where a library reads the environment by itself.
 */
#ifndef PRIVILEGED_H
#define PRIVILEGED_H

#include <stdbool.h>
#include <sys/auxv.h>

/* The kernel decides this at exec. secure_getenv() uses the same answer. */
static inline bool process_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

#endif
