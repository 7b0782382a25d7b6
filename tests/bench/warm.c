/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a warm URI costs, and what the same costs with PEM files, in one process:
 *
 *     bench_warm OURS THEIRS ROUNDS URI CERTIFICATE.pem KEY.pem
 *         both in turn; prints the microseconds of each round: ours, theirs
 *     bench_warm WORK ROUNDS URI CERTIFICATE.pem KEY.pem
 *         one alone, to count instructions
 *
 * OURS, THEIRS and WORK are names of the table below.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/store.h>

#include <aliyun-iot/ssl.h>

static const char *uri, *certificate_file, *key_file;

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

static void load_uri(void)
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

static void read_certificate(void)
{
    BIO *bio = BIO_new_file(certificate_file, "r");
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    if (!certificate)
        give_up(certificate_file);
    X509_free(certificate);
    BIO_free(bio);
}

static void read_key(void)
{
    BIO *bio = BIO_new_file(key_file, "r");
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

    if (!key)
        give_up(key_file);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void read_files(void)
{
    read_certificate();
    read_key();
}

static void use_uri(void)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());

    if (!ssl_ctx || !aliyun_iot_use_identity(ssl_ctx, uri))
        give_up(uri);
    SSL_CTX_free(ssl_ctx);
}

static void use_files(void)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());

    if (!ssl_ctx || SSL_CTX_use_certificate_chain_file(ssl_ctx, certificate_file) != 1 ||
            SSL_CTX_use_PrivateKey_file(ssl_ctx, key_file, SSL_FILETYPE_PEM) != 1)
        give_up("the PEM files cannot be used");
    SSL_CTX_free(ssl_ctx);
}

static const struct {
    const char *name;
    void (*run)(void);
} works[] = {
        {"load-uri", load_uri},
        {"read-files", read_files},
        {"read-certificate", read_certificate},
        {"read-key", read_key},
        {"use-uri", use_uri},
        {"use-files", use_files},
};

static void (*find_work(const char *name))(void)
{
    for (size_t index = 0; index < sizeof(works) / sizeof(works[0]); index++)
        if (strcmp(works[index].name, name) == 0)
            return works[index].run;
    give_up(name);
    return NULL;
}

static double time_of(void (*work)(void))
{
    double begun = microseconds();

    work();
    return microseconds() - begun;
}

int main(int argc, char **argv)
{
    void (*ours)(void), (*theirs)(void);
    int rounds;

    if (argc != 6 && argc != 7) {
        fputs("usage: bench_warm OURS [THEIRS] ROUNDS URI CERTIFICATE.pem KEY.pem\n", stderr);
        return 2;
    }
    rounds = atoi(argv[argc - 4]);
    uri = argv[argc - 3];
    certificate_file = argv[argc - 2];
    key_file = argv[argc - 1];
    ours = find_work(argv[1]);
    ours();
    if (argc == 6) {
        for (int round = 0; round < rounds; round++)
            ours();
        return 0;
    }
    theirs = find_work(argv[2]);
    theirs();
    for (int round = 0; round < rounds; round++) {
        double time = time_of(ours);

        printf("%.2f %.2f\n", time, time_of(theirs));
    }
    return 0;
}
