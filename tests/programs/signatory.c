/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs with the key of a URI, around what a process does to itself: signatory URI WAY [ARGUMENT].
 * Each signature is verified. What fails is printed, and the exit status is then 1.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/store.h>

static EVP_PKEY *key, *public_key;

static EVP_PKEY *load(const char *uri, int type)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    EVP_PKEY *found = NULL;

    if (store && OSSL_STORE_expect(store, type)) {
        while (!found && !OSSL_STORE_eof(store)) {
            OSSL_STORE_INFO *info = OSSL_STORE_load(store);

            if (info)
                found = type == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info)
                                                     : OSSL_STORE_INFO_get1_PUBKEY(info);
            OSSL_STORE_INFO_free(info);
        }
    }
    OSSL_STORE_close(store);
    if (!found) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    return found;
}

static bool sign(void)
{
    static const unsigned char message[] = "a message";
    EVP_MD_CTX *signing = EVP_MD_CTX_new(), *verification = EVP_MD_CTX_new();
    const char *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256";
    unsigned char signature[1024];
    size_t size = sizeof(signature);
    bool done = EVP_DigestSignInit_ex(signing, NULL, digest, NULL, NULL, key, NULL) == 1 &&
                EVP_DigestSign(signing, signature, &size, message, sizeof(message)) == 1 &&
                EVP_DigestVerifyInit_ex(verification, NULL, digest, NULL, NULL, public_key, NULL) ==
                        1 &&
                EVP_DigestVerify(verification, signature, size, message, sizeof(message)) == 1;

    if (!done)
        ERR_print_errors_fp(stderr);
    EVP_MD_CTX_free(signing);
    EVP_MD_CTX_free(verification);
    return done;
}

static bool child_signs(void)
{
    pid_t child = fork();
    int status = 1;

    if (child == 0)
        _exit(sign() && sign() ? 0 : 1);
    return sign() && waitpid(child, &status, 0) == child && status == 0;
}

static bool around_forks(void)
{
    bool done = child_signs(); /* before this process signed */

    for (int count = 0; count < 20 && done; count++)
        done = sign() && child_signs();
    return done;
}

static atomic_int failures;

static void *sign_once(void *unused)
{
    (void)unused;
    failures += !sign();
    return NULL;
}

/* Says that it is ready, and waits for a line. */
static void await_line(void)
{
    puts("ready");
    fflush(stdout);
    while (getchar() != '\n') {
    }
}

/*
 * Forks while other threads wait for the agent, which does not answer meanwhile. (Not while they
 * are in libcrypto: it is not made for that, and a child may hang there, whatever its keys are.)
 */
static bool during_signatures(void)
{
    pthread_t threads[4];
    bool done;

    await_line();
    for (int index = 0; index < 4; index++)
        pthread_create(&threads[index], NULL, sign_once, NULL);
    await_line();
    done = child_signs();
    for (int index = 0; index < 4; index++)
        pthread_join(threads[index], NULL);
    return done && failures == 0;
}

/* As a daemon does, which then opens files of its own under the same numbers. */
static bool after_closing_descriptors(void)
{
    struct stat before, after;
    char path[] = "/tmp/signatory-XXXXXX";
    int file;

    if (!sign())
        return false;
    for (int descriptor = 3; descriptor < 100; descriptor++)
        close(descriptor);
    file = mkstemp(path);
    unlink(path);
    for (int descriptor = 0; descriptor < 20; descriptor++)
        if (dup(file) < 0)
            return false;
    fstat(file, &before);
    if (!sign() || !sign())
        return false;
    fstat(file, &after);
    return after.st_size == 0 && before.st_ino == after.st_ino;
}

static bool many_times(int count)
{
    int failed = 0;

    await_line();
    for (int index = 0; index < count; index++) {
        failed += !sign();
        ERR_clear_error();
    }
    printf("%d of %d\n", count - failed, count);
    return true;
}

/* Until its standard input ends. */
static bool and_stay(void)
{
    if (!sign())
        return false;
    puts("signed");
    fflush(stdout);
    return getchar() == EOF;
}

static bool sign_in_the_way(const char *way, const char *argument)
{
    if (strcmp(way, "around-forks") == 0)
        return around_forks();
    if (strcmp(way, "during-signatures") == 0)
        return during_signatures();
    if (strcmp(way, "after-closing-descriptors") == 0)
        return after_closing_descriptors();
    if (strcmp(way, "and-stay") == 0)
        return and_stay();
    if (strcmp(way, "after-chroot") == 0)
        return sign() && chroot(argument) == 0 && chdir("/") == 0 && sign() && sign();
    if (strcmp(way, "after-setuid") == 0)
        return sign() && setuid((uid_t)atoi(argument)) == 0 && sign();
    return many_times(atoi(argument));
}

int main(int argc, char **argv)
{
    bool done;

    if (argc < 3)
        return 2;
    key = load(argv[1], OSSL_STORE_INFO_PKEY);
    public_key = load(argv[1], OSSL_STORE_INFO_PUBKEY);
    done = sign_in_the_way(argv[2], argc > 3 ? argv[3] : "");
    EVP_PKEY_free(key);
    EVP_PKEY_free(public_key);
    return done ? 0 : 1;
}
