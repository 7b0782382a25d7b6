/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager's side, as sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3) describe
 * it: a few variables and a datagram, for which no library is needed.
 */
#ifndef SYSTEMD_H
#define SYSTEMD_H

#include <stdint.h>

#include "base/error.h"

enum { SYSTEMD_FIRST_DESCRIPTOR = 3 };

/*
 * How many sockets were passed in, from SYSTEMD_FIRST_DESCRIPTOR on, which become close-on-exec. -1
 * with *error set if one is no listening socket of type SOCK_SEQPACKET. Removes the variables, so
 * that no child takes them for its own.
 */
int systemd_take_sockets(struct aliyun_iot_error **error);

/* Tells the manager, if there is one: "READY=1", "STOPPING=1", "WATCHDOG=1" ... */
void systemd_notify(const char *state);

/* How often the manager wants to hear "WATCHDOG=1" at the latest; 0: it does not. */
int64_t systemd_watchdog_ms(void);

#endif
