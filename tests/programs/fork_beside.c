/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks while another thread waits for a slow token (see faulty_token.c):
 *
 *     fork_beside URI WAITS
 *
 * The token goes on when the child has ended. If fork() waited for it, nothing would ever end.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aliyun-iot/identity.h>

static void *resolve(void *uri)
{
    struct aliyun_iot_identity *identity = NULL;
    struct aliyun_iot_error *error = NULL;

    if (!aliyun_iot_identity_resolve(NULL, uri, &identity, NULL, &error))
        fprintf(stderr, "%s\n", aliyun_iot_error_message(error));
    aliyun_iot_error_free(error);
    aliyun_iot_identity_free(identity);
    return identity;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    void *resolved;
    pid_t child;

    if (argc != 3 || pthread_create(&thread, NULL, resolve, argv[1]) != 0)
        return 2;
    while (access(argv[2], F_OK) != 0)
        usleep(1000);
    child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    unlink(argv[2]);
    pthread_join(thread, &resolved);
    return resolved ? 0 : 1;
}
