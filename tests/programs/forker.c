/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does with a device's identity what a server with worker processes does:
 *
 *     forker URI OTHER_URI
 *
 * The parent loads the first URI, and forks workers while a thread of it waits for the second. Each
 * worker signs with what the parent loaded, and loads both URIs itself. Exit status 0 if everything
 * worked everywhere.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "store_key.h"

enum { WORKERS = 8, BETWEEN_US = 50000 /* between two forks */ };

static int sign(EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[1024];
    size_t size = sizeof(signature);
    int done = key && context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) &&
               EVP_DigestSign(context, signature, &size, (const unsigned char *)"to sign", 7);

    EVP_MD_CTX_free(context);
    return done;
}

static int load_and_sign(const char *uri)
{
    EVP_PKEY *key = load_key(uri);
    int done = sign(key);

    EVP_PKEY_free(key);
    return done;
}

static void *load_in_thread(void *uri)
{
    return load_and_sign(uri) ? NULL : uri;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    pid_t workers[WORKERS];
    EVP_PKEY *key;
    int failures = 0, status;
    void *failed;

    if (argc != 3)
        return 2;
    key = load_key(argv[1]);
    if (!key)
        return 1;
    pthread_create(&thread, NULL, load_in_thread, argv[2]);
    for (int index = 0; index < WORKERS; index++) {
        usleep(BETWEEN_US);
        workers[index] = fork();
        if (workers[index] == 0)
            _exit(sign(key) && load_and_sign(argv[1]) && load_and_sign(argv[2]) ? 0 : 1);
    }
    for (int index = 0; index < WORKERS; index++) {
        waitpid(workers[index], &status, 0);
        failures += status != 0;
    }
    pthread_join(thread, &failed);
    failures += failed != NULL;
    failures += !load_and_sign(argv[2]);
    EVP_PKEY_free(key);
    printf("%d failures\n", failures);
    return failures != 0;
}
