/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks while other threads of the program use OpenSSL, and a connection to the cloud is kept
 * alive:
 *
 *     busy_forker FORKS URI
 *
 * The children end at once. Prints how many of them hung in fork().
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <aliyun-iot/identity.h>

enum { THREADS = 3, HANG_S = 60 };

static atomic_bool finished;

static void *use_openssl(void *unused)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    (void)unused;
    while (context && !atomic_load(&finished)) {
        SSL_free(SSL_new(context));
        X509_free(X509_new());
    }
    SSL_CTX_free(context);
    return NULL;
}

/* Whether the child ended. SIGCHLD is blocked. */
static int await(pid_t child, const sigset_t *child_ended)
{
    const struct timespec limit = {.tv_sec = HANG_S};
    int ended = sigtimedwait(child_ended, NULL, &limit) == SIGCHLD;

    if (!ended)
        kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return ended;
}

int main(int argc, char **argv)
{
    int forks = argc == 3 ? atoi(argv[1]) : 0, hung = 0;
    struct aliyun_iot_identity *identity;
    pthread_t threads[THREADS];
    sigset_t child_ended;

    if (forks <= 0 || !aliyun_iot_identity_resolve(NULL, argv[2], &identity, NULL, NULL))
        return 2;
    aliyun_iot_identity_free(identity);
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &child_ended, NULL);
    for (int index = 0; index < THREADS; index++)
        if (pthread_create(&threads[index], NULL, use_openssl, NULL) != 0)
            return 2;
    /* One is enough to know. */
    for (int index = 0; index < forks && hung == 0; index++) {
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        hung += !await(child, &child_ended);
    }
    atomic_store(&finished, 1);
    for (int index = 0; index < THREADS; index++)
        pthread_join(threads[index], NULL);
    printf("%d hung\n", hung);
    return hung > 0;
}
