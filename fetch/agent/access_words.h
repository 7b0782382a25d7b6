/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer is told whose request is not served. Nothing of the policy's contents is in it. */
#ifndef ACCESS_WORDS_H
#define ACCESS_WORDS_H

#include "agent/access.h"
#include "agent/answers.h"

/* All append a message and a NUL. They return false when out of memory. */
bool access_write_denied(const struct access *access, BUF_MEM *message);
bool access_write_limited(const struct access *access, BUF_MEM *message);

/* Without a policy. */
bool access_write_not_served(uid_t uid, BUF_MEM *message);

#endif
