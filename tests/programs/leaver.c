/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends things while others are at it:
 *
 *     leaver exit URI         leaves main() at the end of standard input, while a thread waits for
 *                             the URI
 *     leaver linger URI       uses the URI for each line of standard input, and leaves main() at
 *                             its end; what runs at exit after OpenSSL's own part takes a while
 *     leaver cleanup URI      calls OPENSSL_cleanup() after using the URI
 *     leaver contexts URI     uses the URI in several library contexts, each freed in between, so
 *                             that the module is unloaded and loaded again
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>

enum { CONTEXTS = 3, LINGER_US = 400 * 1000 };

/* How many objects the URI has in that context. */
static int use(OSSL_LIB_CTX *context, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, context, NULL, NULL, NULL, NULL, NULL, NULL);
    int count = 0;

    while (store && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        count += info != NULL;
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    if (count == 0)
        ERR_print_errors_fp(stderr);
    return count;
}

static void *use_in_thread(void *uri)
{
    use(NULL, uri);
    return NULL;
}

static void linger(void)
{
    usleep(LINGER_US);
}

static int use_for_each_line(const char *uri)
{
    char line[16];

    /* OpenSSL is not in use yet: its exit handler is registered after this one, and runs before. */
    atexit(linger);
    while (fgets(line, sizeof(line), stdin))
        if (use(NULL, uri) < 2)
            return 1;
    return 0;
}

/* The modules' folder is in MODULES; no openssl.cnf names the provider to these contexts. */
static int use_in_context(const char *uri)
{
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *standard, *ours;
    int used = 0;

    OSSL_PROVIDER_set_default_search_path(context, getenv("MODULES"));
    standard = OSSL_PROVIDER_load(context, "default");
    ours = OSSL_PROVIDER_load(context, "aliyun-iot");
    if (standard && ours)
        used = use(context, uri) > 1;
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(standard);
    OSSL_LIB_CTX_free(context);
    return used;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int used = 0;

    if (argc != 3)
        return 2;
    if (strcmp(argv[1], "exit") == 0) {
        pthread_create(&thread, NULL, use_in_thread, argv[2]);
        while (getchar() != EOF) {
        }
        return 0;
    }
    if (strcmp(argv[1], "linger") == 0)
        return use_for_each_line(argv[2]);
    if (strcmp(argv[1], "cleanup") == 0) {
        used = use(NULL, argv[2]) > 1;
        OPENSSL_cleanup();
        return !used;
    }
    for (int index = 0; index < CONTEXTS; index++)
        used += use_in_context(argv[2]);
    return used != CONTEXTS;
}
