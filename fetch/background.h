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

/*
 * A thread of the library's own may hold a lock of OpenSSL's, and a child forked at that moment
 * would wait for it for ever. So such a thread is inside the gate while it computes, and outside
 * while it waits for something; fork() waits for the gate to be empty, a few milliseconds at most.
 * Threads begin inside. On other threads both do nothing.
 */
void background_leave_gate(void);
void background_enter_gate(void);

/* How many such threads there are. */
int background_count(void);

/* Sleeps, outside the gate. Returns false, early, when the process exits. On any thread. */
bool background_sleep(int64_t milliseconds);

/* Whether the process exits, so that long waits can end. */
bool background_stopping(void);

/*
 * For pthread_atfork(). The gate is closed before the library's other locks are taken and opened
 * after they are given back; this module's own lock is the last to be taken.
 */
void background_close_gate(void);
void background_open_gate(void);
void background_lock(void);
void background_unlock(void);
void background_forked(void);

#endif
