/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library in a process that forks or exits. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "registry.h"

/* What a child found. Its exit status says nothing: valgrind sets it to what it finds. */
static struct {
    int found;
} * shared;

static sem_t started, may_end;

static int reset(void **state)
{
    (void)state;
    shared->found = 0;
    sem_init(&started, 0, 0);
    sem_init(&may_end, 0, 0);
    return 0;
}

static void await_child(pid_t child)
{
    assert_true(child > 0);
    assert_int_equal(child, waitpid(child, NULL, 0));
}

static void compute_until_told(void *unused)
{
    (void)unused;
    sem_post(&started);
    sem_wait(&may_end);
}

static void wait_until_told(void *unused)
{
    (void)unused;
    sem_post(&started);
    WAIT_OUTSIDE(sem_wait(&may_end));
}

static void note(void *unused)
{
    (void)unused;
    shared->found++;
}

static void start(void (*run)(void *context))
{
    assert_true(process_start_thread(run, NULL));
    sem_wait(&started);
}

static void run_in_child(void (*body)(void))
{
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    await_child(child);
}

static void start_a_thread_that_notes(void)
{
    if (process_start_thread(note, NULL))
        process_await_threads();
}

static void a_child_has_none_of_the_threads_and_starts_its_own(void **state)
{
    (void)state;
    start(wait_until_told);
    run_in_child(start_a_thread_that_notes);
    assert_int_equal(shared->found, 1);
    sem_post(&may_end);
    process_await_threads();
}

static void a_thread_that_does_not_leave_the_gate_does_not_hold_up_fork(void **state)
{
    (void)state;
    start(compute_until_told);
    run_in_child(start_a_thread_that_notes);
    assert_int_equal(shared->found, 1);
    sem_post(&may_end);
    process_await_threads();
}

struct part {
    pthread_mutex_t lock;
    struct fork_participant fork;
    int resets;
};

static struct part parts[3];

static void count_reset(void *context)
{
    struct part *part = context;

    if (pthread_mutex_trylock(&part->lock) == EBUSY)
        part->resets++;
}

static void register_parts(void)
{
    for (int index = 0; index < 3; index++) {
        parts[index].resets = 0;
        pthread_mutex_init(&parts[index].lock, NULL);
        parts[index].fork = (struct fork_participant){.lock = &parts[index].lock,
                .reset_in_child = count_reset,
                .context = &parts[index]};
        process_register(&parts[index].fork);
    }
}

static void lock_all_parts(void)
{
    for (int index = 0; index < 3; index++) {
        pthread_mutex_lock(&parts[index].lock);
        pthread_mutex_unlock(&parts[index].lock);
        shared->found = 10 * shared->found + parts[index].resets;
    }
}

static void a_part_is_reset_in_the_child_with_its_lock_held_until_it_is_unregistered(void **state)
{
    const int order[3] = {1, 2, 0};
    const int expected[3] = {101, 100, 0};

    (void)state;
    register_parts();
    run_in_child(lock_all_parts);
    assert_int_equal(shared->found, 111);
    for (int index = 0; index < 3; index++) {
        process_unregister(&parts[order[index]].fork);
        shared->found = 0;
        run_in_child(lock_all_parts);
        assert_int_equal(shared->found, expected[index]);
    }
    shared->found = 0;
    lock_all_parts();
    assert_int_equal(shared->found, 0);
}

/* The second part calls the first, which is older, while it holds its own lock. */
static void *call_an_older_part(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&parts[1].lock);
    sem_post(&started);
    /* fork() is under way when it has the lock of the newest part. */
    while (pthread_mutex_trylock(&parts[2].lock) == 0) {
        pthread_mutex_unlock(&parts[2].lock);
        sched_yield();
    }
    pthread_mutex_lock(&parts[0].lock);
    pthread_mutex_unlock(&parts[0].lock);
    pthread_mutex_unlock(&parts[1].lock);
    return NULL;
}

static void a_part_may_call_an_older_one_with_its_lock_held_while_the_process_forks(void **state)
{
    pthread_t thread;

    (void)state;
    register_parts();
    assert_int_equal(0, pthread_create(&thread, NULL, call_an_older_part, NULL));
    sem_wait(&started);
    run_in_child(lock_all_parts);
    assert_int_equal(shared->found, 111);
    pthread_join(thread, NULL);
    for (int index = 0; index < 3; index++)
        process_unregister(&parts[index].fork);
}

static bool user_database_is_slow;

/* In place of the C library's, which may ask a server. */
int getpwuid_r(uid_t user, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
    (void)user;
    (void)entry;
    (void)buffer;
    (void)size;
    if (user_database_is_slow) {
        sem_post(&started);
        sem_wait(&may_end);
    }
    *found = NULL;
    return 0;
}

static void *find_resolver(void *unused)
{
    struct resolver *resolver = registry_find(NULL, NULL);

    (void)unused;
    assert_non_null(resolver);
    resolver_free(resolver);
    return NULL;
}

static void find_resolver_in_child(void)
{
    user_database_is_slow = false;
    shared->found = registry_find(NULL, NULL) != NULL;
}

static void a_slow_search_for_settings_does_not_hold_up_fork(void **state)
{
    pthread_t thread;

    (void)state;
    unsetenv("HOME");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("ALIYUN_IOT_CONFIG");
    user_database_is_slow = true;
    assert_int_equal(0, pthread_create(&thread, NULL, find_resolver, NULL));
    sem_wait(&started);
    run_in_child(find_resolver_in_child);
    assert_int_equal(shared->found, 1);
    user_database_is_slow = false;
    sem_post(&may_end);
    pthread_join(thread, NULL);
}

static void compute_after_exit_began(void *unused)
{
    (void)unused;
    sem_post(&started);
    while (!process_is_exiting())
        sched_yield();
    usleep(50 * 1000);
    note(NULL);
}

static void wait_until_after_exit_began(void *unused)
{
    (void)unused;
    sem_post(&started);
    WAIT_OUTSIDE(sem_wait(&may_end));
    note(NULL);
}

/* For a child. */
static void exit_with(void (*run)(void *context))
{
    if (process_start_thread(run, NULL))
        sem_wait(&started);
    exit(0);
}

static void exit_while_computing(void)
{
    exit_with(compute_after_exit_began);
}

static void exit_waits_for_a_thread_that_computes(void **state)
{
    (void)state;
    run_in_child(exit_while_computing);
    assert_int_equal(shared->found, 1);
}

/* Registered before the library's handler, so it runs after it. */
static bool test_late_exit;

static void after_the_librarys_exit_handler(void)
{
    if (!test_late_exit)
        return;
    sem_post(&may_end);
    usleep(50 * 1000);
    if (process_start_thread(note, NULL))
        shared->found += 10;
    shared->found += 100;
}

static void exit_while_waiting(void)
{
    test_late_exit = true;
    exit_with(wait_until_after_exit_began);
}

static void a_thread_that_waits_when_exit_begins_never_computes_again_and_none_starts(void **state)
{
    (void)state;
    run_in_child(exit_while_waiting);
    assert_int_equal(shared->found, 100);
}

static void hold_exit_while_waiting(void *unused)
{
    (void)unused;
    process_hold_exit();
    sem_post(&started);
    while (!process_is_exiting())
        WAIT_OUTSIDE(sched_yield());
    note(NULL);
    process_release_exit();
    WAIT_OUTSIDE(sched_yield());
    shared->found += 1000;
}

static void exit_while_it_is_held(void)
{
    test_late_exit = true;
    exit_with(hold_exit_while_waiting);
}

static void exit_waits_for_a_thread_that_holds_it_up_and_for_no_more(void **state)
{
    (void)state;
    run_in_child(exit_while_it_is_held);
    assert_int_equal(shared->found, 101);
}

static void hold_exit_until_told(void *unused)
{
    (void)unused;
    process_hold_exit();
    sem_post(&started);
    WAIT_OUTSIDE(sem_wait(&may_end));
    note(NULL);
    process_release_exit();
}

static void exit_while_it_is_held_for_too_long(void)
{
    test_late_exit = true;
    exit_with(hold_exit_until_told);
}

static void a_thread_that_holds_exit_up_for_too_long_never_computes_again(void **state)
{
    (void)state;
    run_in_child(exit_while_it_is_held_for_too_long);
    assert_int_equal(shared->found, 100);
}

static void a_thread_that_holds_exit_up_does_not_hold_up_fork(void **state)
{
    (void)state;
    start(hold_exit_until_told);
    run_in_child(start_a_thread_that_notes);
    assert_int_equal(shared->found, 1);
    sem_post(&may_end);
    process_await_threads();
}

static int share(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : 0;
}

/* glibc takes it from the stack of each thread. */
static _Thread_local volatile char large[1024 * 1024];

static void use_stack(void *context)
{
    volatile char used[256 * 1024];

    for (size_t index = 0; index < sizeof(used); index += 4096)
        used[index] = large[index] = 1;
    sem_post(context);
}

static void threads_have_a_stack_whatever_static_tls_the_program_has(void **state)
{
    (void)state;
    large[0] = 1;
    assert_true(process_start_thread(use_stack, &started));
    sem_wait(&started);
    process_await_threads();
}

static void pipe_breaks(void *context)
{
    int ends[2];

    assert_int_equal(0, pipe(ends));
    close(ends[0]);
    assert_int_equal(-1, write(ends[1], "x", 1));
    close(ends[1]);
    *(bool *)context = process_is_own_thread() && process_lacks_threads();
}

static void work_on_a_thread_of_the_program_is_done_as_on_one_of_the_library(void **state)
{
    sigset_t pending, mask;
    bool was_own = false;

    (void)state;
    process_run_here(pipe_breaks, &was_own);
    assert_true(was_own);
    assert_false(process_is_own_thread() || process_lacks_threads());
    assert_int_equal(0, sigpending(&pending));
    assert_int_equal(0, sigismember(&pending, SIGPIPE));
    assert_int_equal(0, pthread_sigmask(SIG_SETMASK, NULL, &mask));
    assert_int_equal(0, sigismember(&mask, SIGPIPE));
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(threads_have_a_stack_whatever_static_tls_the_program_has),
            TEST(work_on_a_thread_of_the_program_is_done_as_on_one_of_the_library),
            TEST(a_child_has_none_of_the_threads_and_starts_its_own),
            TEST(a_thread_that_does_not_leave_the_gate_does_not_hold_up_fork),
            TEST(a_part_is_reset_in_the_child_with_its_lock_held_until_it_is_unregistered),
            TEST(a_part_may_call_an_older_one_with_its_lock_held_while_the_process_forks),
            TEST(a_slow_search_for_settings_does_not_hold_up_fork),
            TEST(exit_waits_for_a_thread_that_computes),
            TEST(a_thread_that_waits_when_exit_begins_never_computes_again_and_none_starts),
            TEST(exit_waits_for_a_thread_that_holds_it_up_and_for_no_more),
            TEST(a_thread_that_holds_exit_up_for_too_long_never_computes_again),
            TEST(a_thread_that_holds_exit_up_does_not_hold_up_fork),
    };

    atexit(after_the_librarys_exit_handler);
    return cmocka_run_group_tests(tests, share, NULL);
}
