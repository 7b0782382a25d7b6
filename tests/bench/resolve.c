/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver alone, over a network that answers at once:
 *
 *     bench_resolve warm THREADS ROUNDS [TRACE_FILE]
 *         microseconds that a warm resolution takes, median and 99th percentile, and warm
 *         resolutions a second; with the trace at debug if there is a file for it
 *     bench_resolve memory COUNT
 *         bytes of memory for each identity, and of its material
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <aliyun-iot/identity.h>

#include "../unit/answer.h"
#include "../unit/http_double.h"

static char settings_file[] = "/tmp/bench-resolve-XXXXXX";
static char *answer_text;
static int rounds;
static pthread_barrier_t all_started;

enum { DEVICES = 1000 };

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

/*
 * All threads begin together, and each goes through all devices: no resolution is for the device
 * before, which the thread would find in its own memory.
 */
static void *resolve_often(void *context)
{
    double *times = context;

    pthread_barrier_wait(&all_started);
    for (int round = 0; round < rounds; round++) {
        double begun = microseconds();

        resolve(round % DEVICES);
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
    double *times = calloc(total, sizeof(*times)), begun, elapsed;
    pthread_t *threads = calloc((size_t)thread_count, sizeof(*threads));

    for (int number = 0; number < DEVICES; number++)
        resolve(number);
    pthread_barrier_init(&all_started, NULL, (unsigned)thread_count + 1);
    for (int index = 0; index < thread_count; index++)
        pthread_create(&threads[index], NULL, resolve_often, times + (size_t)index * rounds);
    pthread_barrier_wait(&all_started);
    begun = microseconds();
    for (int index = 0; index < thread_count; index++)
        pthread_join(threads[index], NULL);
    elapsed = microseconds() - begun;
    qsort(times, total, sizeof(*times), compare);
    printf("%.2f %.2f %.0f\n", times[total / 2], times[total / 100 * 99],
            (double)total / elapsed * 1e6);
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

int main(int argc, char **argv)
{
    int file = mkstemp(settings_file);

    answer_set_access_key();
    if (dprintf(file, "[quota]\nrate = 1000\nburst = 100\n[cache]\nentries = 1000000\n") < 0)
        return 1;
    if (argc == 5 && dprintf(file, "[trace]\nlevel = debug\nfile = %s\n", argv[4]) < 0)
        return 1;
    answer_text = answer_of_device("RSA");
    if ((argc == 4 || argc == 5) && strcmp(argv[1], "warm") == 0) {
        rounds = atoi(argv[3]);
        measure_warm(atoi(argv[2]));
    } else if (argc == 3 && strcmp(argv[1], "memory") == 0) {
        measure_memory(atoi(argv[2]));
    } else {
        return 2;
    }
    return unlink(settings_file);
}
