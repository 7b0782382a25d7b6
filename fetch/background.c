/* SPDX-License-Identifier: Apache-2.0 */
#include "background.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/crypto.h>

enum {
    STACK_SIZE = 512 * 1024, /* bytes: libcurl and OpenSSL need far less than the usual 8 MiB */
    EXIT_WAIT = 3 /* seconds that exit() waits for threads, which look about each second */
};

struct job {
    void (*run)(void *context);
    void *context;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int threads;
static atomic_bool stopping;

/* Readers are inside; who forks writes, and goes before new readers. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static _Thread_local bool is_ours;

void background_leave_gate(void)
{
    if (is_ours)
        pthread_rwlock_unlock(&gate);
}

void background_enter_gate(void)
{
    if (is_ours)
        pthread_rwlock_rdlock(&gate);
}

static struct timespec from_now(int64_t milliseconds)
{
    struct timespec when;

    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += milliseconds / 1000;
    when.tv_nsec += milliseconds % 1000 * 1000000;
    if (when.tv_nsec >= 1000000000) {
        when.tv_sec++;
        when.tv_nsec -= 1000000000;
    }
    return when;
}

static void stop_threads(void)
{
    struct timespec end = from_now(EXIT_WAIT);

    pthread_mutex_lock(&lock);
    atomic_store(&stopping, true);
    pthread_cond_broadcast(&changed);
    while (threads > 0 && pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &end) == 0) {
    }
    pthread_mutex_unlock(&lock);
}

/* OpenSSL first: exit handlers run in reverse order, so its own comes after ours. */
static void register_exit_handler(void)
{
    OPENSSL_init_crypto(0, NULL);
    atexit(stop_threads);
}

static void *run_job(void *context)
{
    struct job job = *(struct job *)context;

    free(context);
    is_ours = true;
    background_enter_gate();
    job.run(job.context);
    OPENSSL_thread_stop();
    background_leave_gate();
    pthread_mutex_lock(&lock);
    threads--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* A thread whose creator's signal mask would let the program's handlers run on it is none of ours.
 */
static int create_thread(struct job *job)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int failed;

    failed = pthread_attr_init(&attributes);
    if (failed)
        return failed;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, run_job, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

bool background_run(void (*run)(void *context), void *context)
{
    struct job *job = malloc(sizeof(*job));
    bool started = false;

    if (!job)
        return false;
    *job = (struct job){run, context};
    pthread_once(&exit_once, register_exit_handler);
    pthread_mutex_lock(&lock);
    if (!atomic_load(&stopping) && create_thread(job) == 0) {
        threads++;
        started = true;
    }
    pthread_mutex_unlock(&lock);
    if (!started)
        free(job);
    return started;
}

int background_count(void)
{
    int count;

    pthread_mutex_lock(&lock);
    count = threads;
    pthread_mutex_unlock(&lock);
    return count;
}

bool background_sleep(int64_t milliseconds)
{
    struct timespec end = from_now(milliseconds);
    int ended = 0;

    background_leave_gate();
    pthread_mutex_lock(&lock);
    while (!atomic_load(&stopping) && ended != ETIMEDOUT)
        ended = pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &end);
    pthread_mutex_unlock(&lock);
    background_enter_gate();
    return !atomic_load(&stopping);
}

bool background_stopping(void)
{
    return atomic_load(&stopping);
}

void background_close_gate(void)
{
    pthread_rwlock_wrlock(&gate);
}

void background_open_gate(void)
{
    pthread_rwlock_unlock(&gate);
}

void background_lock(void)
{
    pthread_mutex_lock(&lock);
}

void background_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/*
 * The child has none of its parent's threads. What those waited at cannot be taken down, so it is
 * made anew: the gate closed, as the forking thread holds it.
 */
void background_forked(void)
{
    threads = 0;
    pthread_cond_init(&changed, NULL);
    gate = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    pthread_rwlock_wrlock(&gate);
}
