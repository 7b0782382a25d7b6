/* SPDX-License-Identifier: Apache-2.0 */
/* Units in the texts that the kernel writes of control groups. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/principal/peer_facts.h"

static void the_unit_is_the_first_service_or_scope(void **state)
{
    static const struct {
        const char *text, *unit; /* NULL: there is none */
    } cases[] = {
            {"0::/system.slice/a.service\n", "a.service"},
            {"0::/system.slice/a.service", "a.service"},
            {"0::/system.slice/system-a.slice/a@1.service/sub/b.service\n", "a@1.service"},
            {"0::/user.slice/user-7.slice/user@7.service/app.slice/a.service\n", "user@7.service"},
            {"0::/user.slice/user-7.slice/session-3.scope\n", "session-3.scope"},
            {"0::/system.slice\n", NULL},
            {"0::/\n", NULL},
            {"", NULL},
            {"0::/system.slice/.service\n", NULL},
            {"0::/system.slice/_cpu.service\n", "cpu.service"},
            {"0::/a.service.d\n", NULL},
            {"4:memory:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n", "a.service"},
            {"4:memory:/x.service\n0::/\n", NULL},
            {"1:name=systemd:/b.service\n0::/system.slice/a.service\n", "a.service"},
            {"11:name=systemd:/system.slice/a.service\n", "a.service"},
    };
    char removed[] = "0::/system.slice/a.service (deleted)\n";
    const char *of_removed = NULL;

    (void)state;
    assert_int_equal(UNKNOWN, unit_in_cgroups(removed, &of_removed));
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char *text = strdup(cases[index].text);
        const char *unit = NULL;
        enum known has_unit = unit_in_cgroups(text, &unit);

        assert_int_equal(cases[index].unit ? KNOWN_YES : KNOWN_NO, has_unit);
        if (cases[index].unit)
            assert_string_equal(cases[index].unit, unit);
        free(text);
    }
}

static void nothing_is_known_of_a_process_that_is_gone(void **state)
{
    struct process_facts facts;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(0);
    assert_int_equal(child, waitpid(child, NULL, 0));
    process_facts_read(child, -1, getuid(), &facts);
    assert_int_equal(UNKNOWN, facts.has_unit);
    assert_int_equal(UNKNOWN, facts.is_in_a_container);
    process_facts_read(0, -1, getuid(), &facts);
    assert_int_equal(UNKNOWN, facts.is_in_a_container);
}

/* Without a pidfd, its number may be another's by now, who has another uid. */
static void nothing_is_known_of_a_process_with_another_uid(void **state)
{
    struct process_facts facts;

    (void)state;
    process_facts_read(getpid(), -1, getuid(), &facts);
    assert_int_equal(KNOWN_NO, facts.is_in_a_container);
    process_facts_read(getpid(), -1, getuid() + 1, &facts);
    assert_int_equal(UNKNOWN, facts.is_in_a_container);
}

static void *wait_for_ever(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

/* Its group looks like the root of a hierarchy of version 1. */
static void no_unit_is_known_of_a_process_whose_first_thread_ended(void **state)
{
    struct process_facts facts;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        pthread_t thread;

        pthread_create(&thread, NULL, wait_for_ever, NULL);
        syscall(SYS_exit, 0);
    }
    do
        process_facts_read(child, -1, getuid(), &facts);
    while (facts.has_unit != UNKNOWN);
    assert_int_equal(KNOWN_NO, facts.is_in_a_container);
    kill(child, SIGKILL);
    assert_int_equal(child, waitpid(child, NULL, 0));
}

static void what_is_known_of_a_peer_is_not_said_of_another_process(void **state)
{
    struct peer_facts facts;
    struct principal principal;
    int pair[2];
    pid_t child;

    (void)state;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    assert_true(peer_facts_ask(pair[0], "s", &facts));
    /* The other end was made by this process, which is still there. */
    peer_facts_principal(&facts, &(struct ucred){getpid(), getuid(), getgid()}, &principal);
    assert_int_equal(KNOWN_NO, principal.is_in_a_container);
    assert_string_equal("s", principal.socket);
    /* Another process uses it. */
    child = fork();
    if (child == 0)
        _exit(0);
    peer_facts_principal(&facts, &(struct ucred){child, getuid(), getgid()}, &principal);
    assert_int_equal(UNKNOWN, principal.is_in_a_container);
    assert_int_equal(UNKNOWN, principal.has_unit);
    assert_false(principal.has_all_groups);
    waitpid(child, NULL, 0);
    peer_facts_release(&facts);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_unit_is_the_first_service_or_scope),
            cmocka_unit_test(nothing_is_known_of_a_process_that_is_gone),
            cmocka_unit_test(nothing_is_known_of_a_process_with_another_uid),
            cmocka_unit_test(no_unit_is_known_of_a_process_whose_first_thread_ended),
            cmocka_unit_test(what_is_known_of_a_peer_is_not_said_of_another_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
