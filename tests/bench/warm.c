/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A warm URI to certificate and key, against reading the same from PEM files, in one process:
 *
 *     bench_warm URI CERTIFICATE.pem KEY.pem ROUNDS
 *
 * Prints the median of each in microseconds, of runs that alternate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/store.h>

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void give_up(const char *what)
{
    fprintf(stderr, "bench_warm: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void by_uri(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;

    if (!store)
        give_up(uri);
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_CERT && !certificate)
            certificate = OSSL_STORE_INFO_get1_CERT(info);
        else if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    if (!certificate || !key)
        give_up("the URI gave no certificate or no key");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void by_file(const char *certificate_file, const char *key_file)
{
    BIO *certificate_bio = BIO_new_file(certificate_file, "r");
    BIO *key_bio = BIO_new_file(key_file, "r");
    X509 *certificate =
            certificate_bio ? PEM_read_bio_X509(certificate_bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;

    if (!certificate || !key)
        give_up("the PEM files cannot be read");
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificate_bio);
    BIO_free(key_bio);
}

static int compare(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;

    return (difference > 0) - (difference < 0);
}

static double median(double *times, int count)
{
    qsort(times, (size_t)count, sizeof(*times), compare);
    return times[count / 2];
}

int main(int argc, char **argv)
{
    int rounds = argc == 5 ? atoi(argv[4]) : 0;
    double *uri_times = calloc((size_t)rounds + 1, sizeof(double));
    double *file_times = calloc((size_t)rounds + 1, sizeof(double));

    if (rounds <= 0 || !uri_times || !file_times) {
        fputs("usage: bench_warm URI CERTIFICATE.pem KEY.pem ROUNDS\n", stderr);
        return 2;
    }
    by_uri(argv[1]);
    for (int round = 0; round < rounds; round++) {
        double begun = microseconds();

        by_uri(argv[1]);
        uri_times[round] = microseconds() - begun;
        begun = microseconds();
        by_file(argv[2], argv[3]);
        file_times[round] = microseconds() - begun;
    }
    printf("%.1f %.1f\n", median(uri_times, rounds), median(file_times, rounds));
    free(uri_times);
    free(file_times);
    return 0;
}
