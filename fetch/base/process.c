/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/crypto.h>

#include "base/deadline.h"

enum {
    STACK_BYTES_MIN = 512 * 1024,
    /* Limits for waiting until nobody is inside the gate. */
    FORK_WAIT_MS = 100,
    EXIT_WAIT_MS = 3000
};

struct job {
    void (*run)(void *context);
    void *context;
};

/* Protects what follows. The last lock that is taken: nothing is locked while it is held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int threads;
static int inside;   /* threads inside the gate */
static int holding;  /* threads that hold exit() up, inside or outside */
static int forks;    /* calls of fork() under way */
static bool exiting; /* never becomes false again */
static bool closed;  /* exit() waits for nobody any more; never becomes false again */

static _Thread_local bool is_ours, is_borrowed;
static _Thread_local bool holds_exit;

/* Protects the list. The first lock that fork() takes. */
static pthread_mutex_t participants_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fork_participant *oldest, *newest;

static pthread_once_t once = PTHREAD_ONCE_INIT;

bool process_is_own_thread(void)
{
    return is_ours;
}

void process_leave_gate(void)
{
    if (!is_ours)
        return;
    pthread_mutex_lock(&lock);
    inside--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void process_enter_gate(void)
{
    int before = errno;

    if (!is_ours)
        return;
    pthread_mutex_lock(&lock);
    while (forks > 0 || closed || (exiting && !holds_exit))
        pthread_cond_wait(&changed, &lock);
    inside++;
    pthread_mutex_unlock(&lock);
    errno = before;
}

void process_hold_exit(void)
{
    if (!is_ours)
        return;
    pthread_mutex_lock(&lock);
    holds_exit = true;
    holding++;
    pthread_mutex_unlock(&lock);
}

void process_release_exit(void)
{
    if (!is_ours)
        return;
    pthread_mutex_lock(&lock);
    holds_exit = false;
    holding--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* With lock held, which is released meanwhile. */
static void await_empty_gate(int64_t limit_ms)
{
    struct timespec end = deadline_timespec(monotonic_milliseconds() + limit_ms);

    while ((inside > 0 || (exiting && holding > 0)) &&
            pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &end) == 0) {
    }
}

static void before_exit(void)
{
    pthread_mutex_lock(&lock);
    exiting = true;
    await_empty_gate(EXIT_WAIT_MS);
    closed = true;
    pthread_mutex_unlock(&lock);
}

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
    forks++;
    await_empty_gate(FORK_WAIT_MS);
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&participants_lock);
    for (struct fork_participant *each = newest; each; each = each->older)
        pthread_mutex_lock(each->lock);
    pthread_mutex_lock(&lock);
}

static void unlock_all(void)
{
    pthread_mutex_unlock(&lock);
    for (struct fork_participant *each = oldest; each; each = each->newer)
        pthread_mutex_unlock(each->lock);
    pthread_mutex_unlock(&participants_lock);
}

static void after_fork_in_parent(void)
{
    forks--;
    pthread_cond_broadcast(&changed);
    unlock_all();
}

/*
 * The condition is not destroyed but initialised again: threads of the parent wait for it, and
 * pthread_cond_destroy() would wait for them.
 */
static void after_fork_in_child(void)
{
    threads = inside = holding = forks = 0;
    pthread_cond_init(&changed, NULL);
    for (struct fork_participant *each = oldest; each; each = each->newer)
        if (each->reset_in_child)
            each->reset_in_child(each->context);
    unlock_all();
}

/*
 * Exit handlers run in the reverse order of their registration. OpenSSL registers its own when it
 * is initialised, so this makes it run after ours. Without an option, OPENSSL_init_crypto() returns
 * before it has initialised anything; this one is needed by every algorithm that is fetched later.
 */
static void register_handlers(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_ADD_ALL_DIGESTS, NULL);
    atexit(before_exit);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* before_exit() does nothing when it is called again. */
void process_renew_exit_handler(void)
{
    pthread_once(&once, register_handlers);
    atexit(before_exit);
}

void process_register(struct fork_participant *participant)
{
    pthread_once(&once, register_handlers);
    pthread_mutex_lock(&participants_lock);
    participant->newer = NULL;
    participant->older = newest;
    *(newest ? &newest->newer : &oldest) = participant;
    newest = participant;
    pthread_mutex_unlock(&participants_lock);
}

void process_unregister(struct fork_participant *participant)
{
    pthread_mutex_lock(&participants_lock);
    *(participant->newer ? &participant->newer->older : &newest) = participant->older;
    *(participant->older ? &participant->older->newer : &oldest) = participant->newer;
    pthread_mutex_unlock(&participants_lock);
}

static void *run_job(void *context)
{
    struct job job = *(struct job *)context;

    free(context);
    is_ours = true;
    process_enter_gate();
    job.run(job.context);
    OPENSSL_thread_stop();
    process_leave_gate();
    pthread_mutex_lock(&lock);
    threads--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* All signals are blocked in the thread, so that the program's handlers never run on it. */
static int create_thread(struct job *job)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    size_t stack_bytes;
    pthread_t thread;
    int failed;

    failed = pthread_attr_init(&attributes);
    if (failed)
        return failed;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* The program's static TLS is taken from the stack, so a size of our own may be too small. */
    if (pthread_attr_getstacksize(&attributes, &stack_bytes) == 0 && stack_bytes < STACK_BYTES_MIN)
        pthread_attr_setstacksize(&attributes, STACK_BYTES_MIN);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, run_job, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

bool process_start_thread(void (*run)(void *context), void *context)
{
    struct job *job = malloc(sizeof(*job));
    bool started = false;

    if (!job)
        return false;
    *job = (struct job){run, context};
    pthread_once(&once, register_handlers);
    pthread_mutex_lock(&lock);
    if (!exiting && create_thread(job) == 0) {
        threads++;
        started = true;
    }
    pthread_mutex_unlock(&lock);
    if (!started)
        free(job);
    return started;
}

/* Consumes a SIGPIPE that came while it was blocked. */
static void unblock(const sigset_t *pipe_signal, const sigset_t *mask_before, bool was_pending)
{
    const struct timespec at_once = {0, 0};
    sigset_t pending;

    if (!was_pending && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1)
        while (sigtimedwait(pipe_signal, NULL, &at_once) < 0 && errno == EINTR) {
        }
    pthread_sigmask(SIG_SETMASK, mask_before, NULL);
}

void process_run_here(void (*run)(void *context), void *context)
{
    sigset_t pipe_signal, mask_before, pending;
    bool was_pending;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &mask_before);
    was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    is_ours = is_borrowed = true;
    process_enter_gate();
    run(context);
    process_leave_gate();
    is_ours = is_borrowed = false;
    unblock(&pipe_signal, &mask_before, was_pending);
}

bool process_lacks_threads(void)
{
    return is_borrowed;
}

void process_await_threads(void)
{
    pthread_mutex_lock(&lock);
    while (threads > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

bool process_is_exiting(void)
{
    bool result;

    pthread_mutex_lock(&lock);
    result = exiting;
    pthread_mutex_unlock(&lock);
    return result;
}

void process_sleep(int64_t pause_ms)
{
    struct timespec end = deadline_timespec(monotonic_milliseconds() + pause_ms);

    while (WAIT_OUTSIDE(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL)) == EINTR) {
    }
}
