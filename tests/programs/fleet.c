/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolves the URIs on standard input, one a line, with many threads at once:
 *
 *     fleet THREADS < URIS
 *
 * Prints for each, as soon as it is known, "URI SERIAL" (of the leaf, decimal), or
 * "URI error REASON MESSAGE".
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/x509.h>

#include <aliyun-iot/identity.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The next line of standard input in a new string; NULL: the end. */
static char *next_uri(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    pthread_mutex_lock(&lock);
    length = getline(&line, &size, stdin);
    pthread_mutex_unlock(&lock);
    if (length <= 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static char *serial_of(const struct aliyun_iot_identity *identity)
{
    size_t size;
    const unsigned char *der = aliyun_iot_identity_certificate(identity, 0, &size);
    X509 *leaf = d2i_X509(NULL, &der, (long)size);
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    char *serial = BN_bn2dec(number);

    BN_free(number);
    X509_free(leaf);
    return serial;
}

static void resolve(const char *uri)
{
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;

    if (aliyun_iot_identity_resolve(NULL, uri, &identity, NULL, &error)) {
        char *serial = serial_of(identity);

        printf("%s %s\n", uri, serial);
        OPENSSL_free(serial);
        aliyun_iot_identity_free(identity);
    } else {
        printf("%s error %d %s\n", uri, (int)aliyun_iot_error_reason(error),
                aliyun_iot_error_message(error));
        aliyun_iot_error_free(error);
    }
}

static void *work(void *unused)
{
    char *uri;

    (void)unused;
    while ((uri = next_uri())) {
        resolve(uri);
        free(uri);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int count = argc == 2 ? atoi(argv[1]) : 0;
    pthread_t *threads = calloc((size_t)(count > 0 ? count : 1), sizeof(*threads));

    if (count <= 0 || !threads) {
        fputs("usage: fleet THREADS < URIS\n", stderr);
        return 2;
    }
    setlinebuf(stdout);
    for (int index = 0; index < count; index++)
        if (pthread_create(&threads[index], NULL, work, NULL) != 0)
            return 1;
    for (int index = 0; index < count; index++)
        pthread_join(threads[index], NULL);
    free(threads);
    return 0;
}
