/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quota: QueryDeviceCert may be called 10 times a second by a whole account, so all threads and
 * all processes of a user share one queue (GCRA, the generic cell rate algorithm).
 *
 * The queue is two 64-bit time stamps in a small file, changed by compare and swap alone: there is
 * no lock that a process could take with it when it dies, and a place once taken is at worst left
 * empty.
 */
#ifndef QUOTA_H
#define QUOTA_H

#include <stdbool.h>

#include "../error.h"
#include "../settings.h"

struct quota;

/*
 * Opens the queue of an account and endpoint, which costs a few system calls. account: what the
 * account is known by, an AccessKey id or, for temporary ones, where they come from. settings must
 * outlive it. Where no file can be had, the queue is this process's alone, and the
 * trace says so. NULL when out of memory.
 */
struct quota *quota_open(
        const struct settings *settings, const char *account, const char *endpoint);
void quota_free(struct quota *quota);
DEFINE_CLEANUP(struct quota *, quota_free);

/*
 * Waits for a place. background: nobody waits for the call, so it goes only when nobody else is in
 * the queue. Returns 1; or 0 with *error set (THROTTLED) at once if the place would come after the
 * deadline, with how long the queue is.
 */
int quota_wait(
        struct quota *quota, bool background, int64_t deadline, struct aliyun_iot_error **error);

/* The service throttled a call all the same: the rate is halved, and grows back. */
void quota_throttled(struct quota *quota);

#endif
