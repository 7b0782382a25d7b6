/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that belong to the library and not to a caller, and their orderly end: when the process
 * exits, they are told to stop and waited for, before OpenSSL takes itself down.
 */
#ifndef BACKGROUND_H
#define BACKGROUND_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Runs run(context) on a thread of its own, all signals blocked. Returns false when there can be no
 * thread now (the process exits, or the system has none to give); run is then not called.
 */
bool background_run(void (*run)(void *context), void *context);

/* How many such threads there are. */
int background_count(void);

/* Sleeps. Returns false, early, when the process exits. May be called on any thread. */
bool background_sleep(int64_t milliseconds);

/* Whether the process exits, so that long waits can end. */
bool background_stopping(void);

/* For pthread_atfork(). */
void background_lock(void);
void background_unlock(void);
void background_forked(void);

#endif
