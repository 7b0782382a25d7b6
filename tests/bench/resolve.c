/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver alone, over a network that answers at once:
 *
 *     bench_resolve warm THREADS ROUNDS   microseconds of a warm resolution: median, 99th
 * percentile bench_resolve memory COUNT          bytes of memory for each identity, and of its
 * material
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <aliyun-iot/identity.h>

#include "../unit/http_double.h"
#include "cloud/json.h"

static char settings_file[] = "/tmp/bench-resolve-XXXXXX";
static char *answer_text;
static int rounds;

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    (void)client;
    (void)request;
    return http_answer_with(answer, answer_text, error);
}

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The bytes of the identity's certificates and key, as handed out. */
static size_t resolve(int number)
{
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;
    size_t size, total;
    char uri[64];

    snprintf(uri, sizeof(uri), "aliyun-iot:product/device-%d", number);
    if (!aliyun_iot_identity_resolve(settings_file, uri, &identity, NULL, &error)) {
        fprintf(stderr, "%s\n", aliyun_iot_error_message(error));
        exit(1);
    }
    aliyun_iot_identity_certificate(identity, 0, &size);
    total = size;
    aliyun_iot_identity_key(identity, &size);
    total += size;
    for (const OSSL_PARAM *part = aliyun_iot_identity_key_parameters(identity); part->key; part++)
        total += part->data_size;
    aliyun_iot_identity_free(identity);
    return total;
}

static void *resolve_often(void *context)
{
    double *times = context;

    /* Two devices take turns, so that each goes through the cache. */
    for (int round = 0; round < rounds; round++) {
        double begun = microseconds();

        resolve(round & 1);
        times[round] = microseconds() - begun;
    }
    return NULL;
}

static int compare(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;

    return (difference > 0) - (difference < 0);
}

static void measure_warm(int thread_count)
{
    size_t total = (size_t)thread_count * (size_t)rounds;
    double *times = calloc(total, sizeof(*times));
    pthread_t *threads = calloc((size_t)thread_count, sizeof(*threads));

    resolve(0);
    resolve(1);
    for (int index = 0; index < thread_count; index++)
        pthread_create(&threads[index], NULL, resolve_often, times + (size_t)index * rounds);
    for (int index = 0; index < thread_count; index++)
        pthread_join(threads[index], NULL);
    qsort(times, total, sizeof(*times), compare);
    printf("%.2f %.2f\n", times[total / 2], times[total / 100 * 99]);
    free(times);
    free(threads);
}

static void measure_memory(int count)
{
    size_t before, material;

    material = resolve(0);
    before = mallinfo2().uordblks;
    for (int number = 1; number <= count; number++)
        resolve(number);
    printf("%zu %zu\n", (mallinfo2().uordblks - before) / (size_t)count, material);
}

static char *text_of_bio(BIO *bio)
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)size);

    BIO_free(bio);
    return text;
}

static void make_answer(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *certificate = X509_new();
    BIO *certificate_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    cJSON *answer = cJSON_CreateObject();
    cJSON *information = cJSON_AddObjectToObject(answer, "DeviceCertInfo");

    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    PEM_write_bio_X509(certificate_bio, certificate);
    PEM_write_bio_PrivateKey_traditional(key_bio, key, NULL, NULL, 0, NULL, NULL);
    cJSON_AddTrueToObject(answer, "Success");
    cJSON_AddNumberToObject(information, "Status", 2);
    cJSON_AddStringToObject(information, "Certificate", text_of_bio(certificate_bio));
    cJSON_AddStringToObject(information, "PrivateKey", text_of_bio(key_bio));
    answer_text = cJSON_PrintUnformatted(answer);
}

int main(int argc, char **argv)
{
    int file = mkstemp(settings_file);

    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret", 1);
    if (dprintf(file, "[quota]\nrate = 1000\nburst = 100\n[cache]\nentries = 1000000\n") < 0)
        return 1;
    make_answer();
    if (argc == 4 && strcmp(argv[1], "warm") == 0) {
        rounds = atoi(argv[3]);
        measure_warm(atoi(argv[2]));
    } else if (argc == 3 && strcmp(argv[1], "memory") == 0) {
        measure_memory(atoi(argv[2]));
    } else {
        return 2;
    }
    return unlink(settings_file);
}
