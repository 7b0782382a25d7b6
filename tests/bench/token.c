/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signature by a key in a token costs, through the provider and through libp11 alone:
 *
 *     bench_token MODULE PIN LABEL ROUNDS URI
 *
 * Both in turn, with the device's key under that label; prints the microseconds of each round: the
 * provider's, libp11's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libp11.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "programs/store_key.h"

static void give_up(const char *what)
{
    fprintf(stderr, "bench_token: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* What it makes lives as long as the process. */
static EVP_PKEY *key_of_libp11(const char *module, const char *pin, const char *label)
{
    PKCS11_CTX *context = PKCS11_CTX_new();
    PKCS11_SLOT *slots, *slot;
    PKCS11_KEY *keys;
    unsigned count;

    if (!context || PKCS11_CTX_load(context, module) != 0 ||
            PKCS11_enumerate_slots(context, &slots, &count) != 0)
        give_up(module);
    slot = PKCS11_find_token(context, slots, count);
    if (!slot || PKCS11_login(slot, 0, pin) != 0 ||
            PKCS11_enumerate_keys(slot->token, &keys, &count) != 0)
        give_up("the token");
    for (unsigned index = 0; index < count; index++)
        if (strcmp(keys[index].label, label) == 0)
            return PKCS11_get_private_key(&keys[index]);
    give_up(label);
    return NULL;
}

static double microseconds_to_sign(EVP_PKEY *key)
{
    static const unsigned char message[128];
    unsigned char signature[512];
    size_t size = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct timespec begun, ended;

    clock_gettime(CLOCK_MONOTONIC, &begun);
    if (EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) != 1 ||
            EVP_DigestSign(context, signature, &size, message, sizeof(message)) != 1)
        give_up("no signature");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    EVP_MD_CTX_free(context);
    return (double)(ended.tv_sec - begun.tv_sec) * 1e6 +
           (double)(ended.tv_nsec - begun.tv_nsec) / 1e3;
}

int main(int argc, char **argv)
{
    EVP_PKEY *ours, *theirs;

    if (argc != 6)
        give_up("expected MODULE PIN LABEL ROUNDS URI");
    ours = load_key(argv[5]);
    if (!ours)
        give_up(argv[5]);
    theirs = key_of_libp11(argv[1], argv[2], argv[3]);
    for (int round = atoi(argv[4]); round > 0; round--) {
        double time = microseconds_to_sign(ours);

        printf("%f %f\n", time, microseconds_to_sign(theirs));
    }
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
    return 0;
}
