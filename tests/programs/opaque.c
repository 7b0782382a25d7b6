/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that has ordinary keys beside opaque ones, in one library context:
 *
 *     opaque CASE RSA_URI EC_URI ED25519_URI KEY.pem
 *
 * Ends with 0 if all of them do what they should; or says what does not.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/store.h>

enum { KEYS = 3 };

static const char *const types[KEYS] = {"RSA", "EC", "ED25519"};
static char **uris;
static const char *key_file;
static const unsigned char text[] = "a message that is longer than one update";

#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #condition);                        \
            ERR_print_errors_fp(stderr);                                                           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static EVP_PKEY *load(OSSL_LIB_CTX *context, const char *uri, int type)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, context, NULL, NULL, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    check(store && OSSL_STORE_expect(store, type));
    while (!key && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        check(info);
        key = type == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info)
                                           : OSSL_STORE_INFO_get1_PUBKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    check(key);
    return key;
}

static void check_signature(
        OSSL_LIB_CTX *context, EVP_PKEY *public_key, EVP_PKEY *key, const char *digest, bool pss)
{
    EVP_MD_CTX *signing = EVP_MD_CTX_new(), *verification = EVP_MD_CTX_new();
    EVP_PKEY_CTX *signing_parameters, *verification_parameters;
    unsigned char signature[1024];
    size_t size = sizeof(signature);

    check(EVP_DigestSignInit_ex(signing, &signing_parameters, digest, context, NULL, key, NULL));
    check(EVP_DigestVerifyInit_ex(
            verification, &verification_parameters, digest, context, NULL, public_key, NULL));
    if (pss) {
        check(EVP_PKEY_CTX_set_rsa_padding(signing_parameters, RSA_PKCS1_PSS_PADDING) == 1);
        check(EVP_PKEY_CTX_set_rsa_pss_saltlen(signing_parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
        check(EVP_PKEY_CTX_set_rsa_padding(verification_parameters, RSA_PKCS1_PSS_PADDING) == 1);
        check(EVP_PKEY_CTX_set_rsa_pss_saltlen(verification_parameters, RSA_PSS_SALTLEN_DIGEST) ==
                1);
    }
    check(EVP_DigestSign(signing, signature, &size, text, sizeof(text)) == 1);
    check(EVP_DigestVerify(verification, signature, size, text, sizeof(text)) == 1);
    EVP_MD_CTX_free(signing);
    EVP_MD_CTX_free(verification);
}

/* In two updates, and once more by a copy of the context that is made between them. */
static void check_updates(OSSL_LIB_CTX *context, EVP_PKEY *public_key, EVP_PKEY *key)
{
    EVP_MD_CTX *signing = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();

    check(EVP_DigestSignInit_ex(signing, NULL, "SHA256", context, NULL, key, NULL));
    check(EVP_DigestSignUpdate(signing, text, 10));
    check(EVP_MD_CTX_copy_ex(copy, signing));
    for (EVP_MD_CTX **which = (EVP_MD_CTX *[]){signing, copy, NULL}; *which; which++) {
        EVP_MD_CTX *verification = EVP_MD_CTX_new();
        unsigned char signature[1024];
        size_t size = sizeof(signature);

        check(EVP_DigestSignUpdate(*which, text + 10, sizeof(text) - 10));
        check(EVP_DigestSignFinal(*which, signature, &size));
        check(EVP_DigestVerifyInit_ex(
                verification, NULL, "SHA256", context, NULL, public_key, NULL));
        check(EVP_DigestVerify(verification, signature, size, text, sizeof(text)) == 1);
        EVP_MD_CTX_free(verification);
        EVP_MD_CTX_free(*which);
    }
}

/* One beginning, two messages: whether the second one can be signed. */
static bool signs_twice(OSSL_LIB_CTX *context, EVP_PKEY *public_key, EVP_PKEY *key)
{
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    bool done = true;

    check(EVP_DigestSignInit_ex(signing, NULL, NULL, context, NULL, key, NULL));
    for (size_t message_size = 3; message_size < 5 && done; message_size++) {
        EVP_MD_CTX *verification = EVP_MD_CTX_new();
        unsigned char signature[128];
        size_t size = sizeof(signature);

        done = EVP_DigestSign(signing, signature, &size, text, message_size) == 1;
        check(done || message_size == 4);
        check(EVP_DigestVerifyInit_ex(verification, NULL, NULL, context, NULL, public_key, NULL));
        check(!done || EVP_DigestVerify(verification, signature, size, text, message_size) == 1);
        EVP_MD_CTX_free(verification);
    }
    EVP_MD_CTX_free(signing);
    ERR_clear_error();
    return done;
}

/* Newer versions of OpenSSL demand a beginning for each message, of every key. */
static void check_two_messages(OSSL_LIB_CTX *context, EVP_PKEY *public_key, EVP_PKEY *key)
{
    EVP_PKEY *ordinary = EVP_PKEY_Q_keygen(context, NULL, "ED25519");

    check(signs_twice(context, public_key, key) == signs_twice(context, ordinary, ordinary));
    EVP_PKEY_free(ordinary);
}

static void check_opaque_key(OSSL_LIB_CTX *context, int index)
{
    static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
    EVP_PKEY *key = load(context, uris[index], OSSL_STORE_INFO_PKEY);
    EVP_PKEY *public_key = load(context, uris[index], OSSL_STORE_INFO_PUBKEY);

    check(EVP_PKEY_is_a(key, types[index]));
    check(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "default") != 0);
    check(EVP_PKEY_eq(key, public_key) == 1 && EVP_PKEY_eq(public_key, key) == 1);
    if (index == 2) {
        check_signature(context, public_key, key, NULL, false);
        check_two_messages(context, public_key, key);
    } else {
        for (int number = 0; number < 3; number++) {
            check_signature(context, public_key, key, digests[number], false);
            if (index == 0)
                check_signature(context, public_key, key, digests[number], true);
        }
        check_updates(context, public_key, key);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(public_key);
}

static void check_opaque_keys(OSSL_LIB_CTX *context)
{
    for (int index = 0; index < KEYS; index++)
        check_opaque_key(context, index);
}

static EVP_PKEY *generate(OSSL_LIB_CTX *context, const char *properties, const char *type)
{
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(context, type, properties);
    EVP_PKEY *key = NULL;

    check(maker && EVP_PKEY_keygen_init(maker) == 1);
    if (strcmp(type, "EC") == 0)
        check(EVP_PKEY_CTX_set_group_name(maker, "P-256") == 1);
    if (strcmp(type, "RSA") == 0)
        check(EVP_PKEY_CTX_set_rsa_keygen_bits(maker, 1024) == 1);
    check(EVP_PKEY_generate(maker, &key) == 1);
    EVP_PKEY_CTX_free(maker);
    return key;
}

static void check_exchange(OSSL_LIB_CTX *context, const char *properties)
{
    EVP_PKEY *mine = generate(context, properties, "EC");
    EVP_PKEY *theirs = generate(context, properties, "EC");
    EVP_PKEY_CTX *exchange = EVP_PKEY_CTX_new_from_pkey(context, mine, properties);
    unsigned char secret[32];
    size_t size = sizeof(secret);

    check(EVP_PKEY_derive_init(exchange) == 1 && EVP_PKEY_derive_set_peer(exchange, theirs) == 1 &&
            EVP_PKEY_derive(exchange, secret, &size) == 1);
    EVP_PKEY_CTX_free(exchange);
    EVP_PKEY_free(mine);
    EVP_PKEY_free(theirs);
}

/* Everything that programs do with keys of their own. */
static void check_ordinary_keys(OSSL_LIB_CTX *context)
{
    static const char *const queries[] = {NULL, "?fips=yes", "provider=default", "?provider=other"};

    for (size_t query = 0; query < sizeof(queries) / sizeof(queries[0]); query++) {
        check_exchange(context, queries[query]);
        for (int index = 0; index < KEYS; index++) {
            EVP_PKEY *key = generate(context, queries[query], types[index]);

            check(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "default") == 0);
            check_signature(context, key, key, index == 2 ? NULL : "SHA256", false);
            EVP_PKEY_free(key);
        }
    }
    BIO *file = BIO_new_file(key_file, "r");
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(file, NULL, NULL, NULL, context, NULL);

    check(key && strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "default") == 0);
    check_signature(context, key, key, "SHA256", false);
    EVP_PKEY_free(key);
    BIO_free(file);
}

static void both_kinds(OSSL_LIB_CTX *context)
{
    OSSL_PROVIDER *legacy;

    check_ordinary_keys(context);
    check_opaque_keys(context);
    check_ordinary_keys(context);
    legacy = OSSL_PROVIDER_load(context, "legacy");
    check(legacy);
    check_opaque_keys(context);
    check_ordinary_keys(context);
    OSSL_PROVIDER_unload(legacy);
    check_opaque_keys(context);
    check_ordinary_keys(context);
}

static void opaque_first(OSSL_LIB_CTX *context)
{
    check_opaque_keys(context);
    check_ordinary_keys(context);
}

static OSSL_LIB_CTX *child;

static int child_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
        const OSSL_DISPATCH **out, void **provider)
{
    static const OSSL_DISPATCH nothing[] = {{0, NULL}};

    child = OSSL_LIB_CTX_new_child(core, in);
    *out = nothing;
    *provider = child;
    return child != NULL;
}

/* A provider that uses other providers has a context of its own in which it sees them. */
static void child_context(OSSL_LIB_CTX *context)
{
    OSSL_PROVIDER *parent;

    check_opaque_keys(context);
    check(OSSL_PROVIDER_add_builtin(context, "parent", child_init));
    parent = OSSL_PROVIDER_load(context, "parent");
    check(parent);
    check_exchange(child, NULL);
    check_opaque_keys(context);
    check_exchange(child, NULL);
    check_ordinary_keys(context);
    OSSL_LIB_CTX_free(child);
    OSSL_PROVIDER_unload(parent);
}

/* A key keeps the provider that it came from; the program may load that provider again. */
static void provider_reload(OSSL_LIB_CTX *context)
{
    OSSL_LIB_CTX *bare = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *other = OSSL_PROVIDER_load(bare, "default");
    OSSL_PROVIDER *ours;
    EVP_PKEY *key, *again;

    check_opaque_keys(context);
    check(other && OSSL_PROVIDER_set_default_search_path(bare, getenv("PROVIDERS")));
    ours = OSSL_PROVIDER_load(bare, "aliyun-iot");
    check(ours);
    key = load(bare, uris[1], OSSL_STORE_INFO_PKEY);
    check(OSSL_PROVIDER_unload(ours));
    check_exchange(bare, NULL);
    ours = OSSL_PROVIDER_load(bare, "aliyun-iot");
    check(ours);
    again = load(bare, uris[1], OSSL_STORE_INFO_PKEY);
    check_signature(bare, again, key, "SHA256", false);
    check_signature(bare, key, again, "SHA256", false);
    check_ordinary_keys(bare);
    EVP_PKEY_free(again);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(other);
    OSSL_LIB_CTX_free(bare);
    EVP_PKEY_free(key); /* the last of all */
}

static void *sign_often(void *key)
{
    for (int round = 0; round < 50; round++)
        check_signature(NULL, key, key, "SHA256", false);
    return NULL;
}

static void threads(OSSL_LIB_CTX *context)
{
    EVP_PKEY *key = load(context, uris[1], OSSL_STORE_INFO_PKEY);
    pthread_t running[4];

    for (int index = 0; index < 4; index++)
        check(pthread_create(&running[index], NULL, sign_often, key) == 0);
    for (int index = 0; index < 4; index++)
        pthread_join(running[index], NULL);
    EVP_PKEY_free(key);
}

static void no_opaque_key(OSSL_LIB_CTX *context)
{
    check_ordinary_keys(context);
}

static void find_ours(EVP_KEYMGMT *found, void *count)
{
    const OSSL_PROVIDER *provider = EVP_KEYMGMT_get0_provider(found);

    *(int *)count += strstr(OSSL_PROVIDER_get0_name(provider), "aliyun") != NULL;
}

static int our_key_managements(OSSL_LIB_CTX *context)
{
    int count = 0;

    EVP_KEYMGMT_do_all_provided(context, find_ours, &count);
    return count;
}

static const struct {
    const char *name;
    void (*run)(OSSL_LIB_CTX *context);
    int key_managements; /* of ours, at the end */
} cases[] = {
        {"both-kinds", both_kinds, 4},
        {"opaque-first", opaque_first, 4},
        {"child-context", child_context, 4},
        {"provider-reload", provider_reload, 4},
        {"threads", threads, 4},
        {"no-opaque-key", no_opaque_key, 0},
};

int main(int argc, char **argv)
{
    OSSL_LIB_CTX *own = OSSL_LIB_CTX_new();

    check(argc == 6 && OSSL_LIB_CTX_load_config(own, getenv("OPENSSL_CONF")));
    uris = argv + 2;
    key_file = argv[5];
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        if (strcmp(cases[index].name, argv[1]) != 0)
            continue;
        cases[index].run(NULL);
        check(our_key_managements(NULL) == cases[index].key_managements);
        if (cases[index].run != threads)
            cases[index].run(own);
        OSSL_LIB_CTX_free(own);
        return 0;
    }
    return 2;
}
