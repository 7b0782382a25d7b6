/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quota: a whole account may call QueryDeviceCert 10 times a second, so all threads and all
 * processes of a user wait in one queue. A caller that dies in it leaves at worst an empty place.
 */
#ifndef QUOTA_H
#define QUOTA_H

#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"

struct quota;

/*
 * The queue for an endpoint. The account is the one that the settings name, whatever the AccessKey,
 * because all AccessKeys of an account share its quota. settings must outlive it.
 * Returns NULL when out of memory.
 */
struct quota *quota_open(const struct settings *settings, const char *endpoint);
void quota_free(struct quota *quota);
DEFINE_CLEANUP(struct quota *, quota_free);

/*
 * Waits for a place. background: nobody waits for the call, so it goes only when nobody else is in
 * the queue; and where there is a vault, which refreshes many devices, such calls get a fifth of
 * the quota. If no file can be used, the queue is this process's own, and the trace says so.
 * Returns 1; or 0 with *error set (THROTTLED), as soon as it is known that the place comes after
 * the deadline; the error says how long the queue is.
 */
int quota_wait(
        struct quota *quota, bool background, int64_t deadline, struct aliyun_iot_error **error);

/* The service throttled a call all the same: slows the queue down for some seconds. */
void quota_throttled(struct quota *quota);

#endif
