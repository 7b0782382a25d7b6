/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks while a host name is looked up and no answer comes:
 *
 *     slow_dns URI
 *
 * The call for the URI is given up at its timeout. The answers come after the fork, so the program
 * never ends if fork() waits for one.
 */
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aliyun-iot/identity.h>

static sem_t may_answer;
static atomic_int asked, answered;

/* In place of the C library's, for all libraries of the program. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name,
        const char *restrict service, const struct addrinfo *restrict hints,
        struct addrinfo **restrict found)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)found;
    atomic_fetch_add(&asked, 1);
    sem_wait(&may_answer);
    atomic_fetch_add(&answered, 1);
    return EAI_AGAIN;
}

int main(int argc, char **argv)
{
    struct aliyun_iot_identity *identity;
    int unanswered;
    pid_t child;

    if (argc != 2)
        return 2;
    sem_init(&may_answer, 0, 0);
    if (aliyun_iot_identity_resolve(NULL, argv[1], &identity, NULL, NULL))
        return 2;
    child = fork();
    if (child == 0)
        _exit(0);
    unanswered = atomic_load(&asked) - atomic_load(&answered);
    for (int index = 0; index < unanswered; index++)
        sem_post(&may_answer);
    waitpid(child, NULL, 0);
    puts(unanswered > 0 ? "forked during a lookup" : "no lookup was under way");
    return 0;
}
