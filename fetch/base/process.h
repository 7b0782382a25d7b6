/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library does to the process that it is loaded into: threads of its own, and their part
 * in fork() and exit(). Both may be called at any moment by a program that does not know of the
 * threads.
 *
 * A thread of the library that computes may hold a lock of OpenSSL. A child that is forked at that
 * moment hangs when it needs that lock; a process that ends at that moment crashes, because
 * OpenSSL's exit handler frees what the thread uses. So there is a gate: a thread of the library is
 * inside while it computes and outside while it waits. fork() and exit() wait until nobody is
 * inside, which takes a few milliseconds and has a limit, and nobody enters meanwhile. After exit()
 * has begun, only threads that hold it up enter: others that wait then never wake up, and end with
 * the process.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Runs run(context) on a thread of its own, inside the gate and with all signals blocked. Returns
 * false if there can be no thread (the process is exiting, or the system has none to give); run is
 * then not called.
 */
bool process_start_thread(void (*run)(void *context), void *context);

/*
 * Calls run(context) on this thread, which is not the library's, as on a thread of the library: for
 * when process_start_thread() returns false although the process is not exiting. SIGPIPE is blocked
 * meanwhile; other signals are not.
 */
void process_run_here(void (*run)(void *context), void *context);

/* Whether this thread is inside process_run_here(): there are no threads to be had. */
bool process_lacks_threads(void);

/* Waits until every thread that was started has ended. */
void process_await_threads(void);

/*
 * Whether exit() has begun: what a thread of the library has not finished now will never be
 * finished.
 */
bool process_is_exiting(void);

/*
 * The value of wait, a call that may block, such as poll(). A thread of the library is outside the
 * gate meanwhile, so wait must not use OpenSSL, or wait for a lock that fork() takes. Every call
 * that may block for longer than some milliseconds belongs in this macro.
 */
#define WAIT_OUTSIDE(wait)                                                                         \
    __extension__({                                                                                \
        process_leave_gate();                                                                      \
        __typeof__(wait) waited_ = (wait);                                                         \
        process_enter_gate();                                                                      \
        waited_;                                                                                   \
    })

/* For WAIT_OUTSIDE() alone. On a thread that is not the library's, they do nothing. */
void process_leave_gate(void);
void process_enter_gate(void); /* keeps errno */

/*
 * Between these two calls, exit() waits for this thread of the library even while it is outside the
 * gate, and lets it enter again: for what must not be left half done, such as a token that is spent
 * and whose successor is not saved yet. After three seconds, exit() goes on all the same. On a
 * thread that is not the library's, they do nothing.
 */
void process_hold_exit(void);
void process_release_exit(void);

/*
 * To be called when another library was initialised that has an exit handler, such as a second
 * OpenSSL. Exit handlers run in the reverse order of their registration, and exit() must wait for
 * our threads before the other library ends.
 */
void process_renew_exit_handler(void);

/* Whether this thread is one of the library's, or does the work of one. */
bool process_is_own_thread(void);

/* Sleeps, outside the gate. */
void process_sleep(int64_t pause_ms);

/*
 * A part of the library that has state which a fork() could copy in the middle of a change. fork()
 * holds the locks of all parts, so that the child finds their state consistent.
 *
 * Locks are taken in the reverse order of registration: a part that holds its lock while it calls
 * another part is registered after that part. A lock must be held for short moments only, never
 * while waiting for the network, a file or another process, because fork() waits for it.
 */
struct fork_participant {
    pthread_mutex_t *lock;
    /*
     * Called in the child, with the lock held. No other thread of the parent exists in the child,
     * so the function forgets what they were doing. It calls no other library: one of the parent's
     * threads may have held a lock there.
     */
    void (*reset_in_child)(void *context);
    void *context;
    struct fork_participant *older, *newer; /* of process.c */
};

/*
 * Adds a part to, or removes it from, those that take part in fork(). The caller owns the memory,
 * and must not hold the lock of any participant.
 */
void process_register(struct fork_participant *participant);
void process_unregister(struct fork_participant *participant);

#endif
