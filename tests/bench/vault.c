/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vault of many devices:
 *
 *     bench_vault fill COUNT      puts device-2 to device-COUNT into the vault, of one RSA-2048 key
 *     bench_vault unseal COUNT    resolves each of them once, without the memory cache and without
 *                                 the cloud, and prints how many a second, on one thread
 *
 * ALIYUN_IOT_CONFIG names the settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/deadline.h"
#include "base/settings.h"
#include "unit/pair.h"
#include "vault/vault.h"

static STACK_OF(X509) *chain;
static EVP_PKEY *key;

static struct aliyun_iot_identity *answer(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    (void)source;
    (void)background;
    (void)deadline;
    if (!key) {
        error_set(error, ALIYUN_IOT_REASON_NOT_FOUND, "not in the vault");
        return NULL;
    }
    return identity_new(chain, key, device->device_name, "request", error);
}

static void keep_source(struct source *source)
{
    (void)source;
}

static void resolve_all(struct source *vault, int count)
{
    char name[32];

    for (int number = 2; number <= count; number++) {
        const struct device device = {"cn-shanghai", "https://h", "a1X509rsa00", name, NULL};
        CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
        struct aliyun_iot_identity *identity;

        snprintf(name, sizeof(name), "device-%d", number);
        identity = vault->fetch(vault, &device, false, monotonic_milliseconds() + 10000, &error);
        if (!identity) {
            fprintf(stderr, "%s: %s\n", name, aliyun_iot_error_message(error));
            exit(1);
        }
        aliyun_iot_identity_free(identity);
    }
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct aliyun_iot_error *error = NULL;
    struct source upstream = {answer, keep_source}, *vault = NULL;
    struct settings *settings = settings_load(NULL, &error);
    int count = argc == 3 ? atoi(argv[2]) : 0;
    double begun;

    if (settings)
        vault = vault_source_new(settings, &upstream, NULL, &error);
    if (!vault || count < 2) {
        fprintf(stderr, "%s\n", error ? aliyun_iot_error_message(error) : "wrong arguments");
        return 1;
    }
    if (strcmp(argv[1], "fill") == 0) {
        key = pair_key("RSA");
        chain = sk_X509_new_null();
        if (!chain || !sk_X509_push(chain, pair_certificate(key, -60, 365L * 24 * 3600)))
            return 1;
    }
    /* Once more, so that the files are in the system's memory. */
    resolve_all(vault, count);
    begun = seconds();
    resolve_all(vault, count);
    printf("%.0f\n", (count - 1) / (seconds() - begun));
    source_free(vault);
    settings_free(settings);
    return 0;
}
