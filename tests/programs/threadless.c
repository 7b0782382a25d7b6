/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolves URIs in a process that can have no thread but its first, as under RLIMIT_NPROC:
 *
 *     threadless URI...
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <aliyun-iot/identity.h>

/* In place of the C library's, for all libraries of the program. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *restrict thread,
        const pthread_attr_t *restrict attributes, void *(*run)(void *), void *restrict context)
{
    (void)thread;
    (void)attributes;
    (void)run;
    (void)context;
    return EAGAIN;
}

int main(int argc, char **argv)
{
    for (int index = 1; index < argc; index++) {
        struct aliyun_iot_identity *identity;
        struct aliyun_iot_error *error;

        if (!aliyun_iot_identity_resolve(NULL, argv[index], &identity, NULL, &error)) {
            fprintf(stderr, "%s\n", aliyun_iot_error_message(error));
            aliyun_iot_error_free(error);
            return 1;
        }
        printf("%s\n", aliyun_iot_identity_request_id(identity));
        aliyun_iot_identity_free(identity);
    }
    return 0;
}
