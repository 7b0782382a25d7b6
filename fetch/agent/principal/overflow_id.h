/* SPDX-License-Identifier: Apache-2.0 */
/* The ids that stand for all that a user namespace has no number for: see user_namespaces(7). */
#ifndef OVERFLOW_ID_H
#define OVERFLOW_ID_H

#include <sys/types.h>

/* Read from the kernel once; 65534 if it does not say. Safe from any thread. */
uid_t overflow_uid(void);
gid_t overflow_gid(void);

#endif
