/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key management for opaque keys (opaque_key.h). What can be answered from the public half is
 * answered by the public half, an ordinary key of another provider.
 *
 * There is no import and no key generation: nothing but our store makes such keys. Export gives the
 * public half, even if the private half is asked for. A refusal crashes programs that do not check
 * (ruby: EVP_PKEY_get0_RSA(); node: asymmetricKeyDetails). Whoever then looks for the private half
 * says that it is not there.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "opaque_key.h"
#include "operations.h"

static OSSL_FUNC_keymgmt_new_fn key_new;
static OSSL_FUNC_keymgmt_free_fn key_free;
static OSSL_FUNC_keymgmt_load_fn key_load;
static OSSL_FUNC_keymgmt_has_fn key_has;
static OSSL_FUNC_keymgmt_match_fn key_match;
static OSSL_FUNC_keymgmt_dup_fn key_dup;
static OSSL_FUNC_keymgmt_export_fn key_export;
static OSSL_FUNC_keymgmt_get_params_fn key_get_params;

/* libcrypto calls this before an import, which fails then. */
static void *key_new(void *provider)
{
    (void)provider;
    return OPENSSL_zalloc(sizeof(struct opaque_key) + 1);
}

static void key_free(void *key)
{
    opaque_key_free(key);
}

/* The reference is a pointer to the pointer of the store, which then has the key no longer. */
static void *key_load(const void *reference, size_t reference_size)
{
    struct opaque_key *const *place = reference;
    struct opaque_key *key;

    if (reference_size != sizeof(key))
        return NULL;
    key = *place;
    *(struct opaque_key **)(uintptr_t)place = NULL;
    return key;
}

static int key_has(const void *context, int selection)
{
    const struct opaque_key *key = context;

    (void)selection;
    return key && key->public_key;
}

static int key_match(const void *left, const void *right, int selection)
{
    const struct opaque_key *one = left, *other = right;

    if (!one->public_key || !other->public_key)
        return 0;
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0
                   ? EVP_PKEY_eq(one->public_key, other->public_key) == 1
                   : EVP_PKEY_parameters_eq(one->public_key, other->public_key) == 1;
}

static void *key_dup(const void *context, int selection)
{
    const struct opaque_key *key = context;

    if (!key->public_key || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0)
        return NULL;
    return opaque_key_new(key->provider, &key->resolved, key->uri);
}

static int key_export(void *context, int selection, OSSL_CALLBACK *callback, void *argument)
{
    const struct opaque_key *key = context;
    int public_selection = selection & ~OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
    OSSL_PARAM *params = NULL;
    int done;

    if (!key->public_key)
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0)
        public_selection |= OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
    if (EVP_PKEY_todata(key->public_key, public_selection, &params) != 1)
        return 0;
    done = callback(params, argument);
    OSSL_PARAM_free(params);
    return done;
}

static int key_get_params(void *context, OSSL_PARAM params[])
{
    const struct opaque_key *key = context;
    int done;

    if (!key->public_key)
        return 0;
    /* libcrypto asks for what not every type of key has. */
    ERR_set_mark();
    done = EVP_PKEY_get_params(key->public_key, params);
    ERR_pop_to_mark();
    return done;
}

/*
 * All parameters that a program may ask for are the public half's; these are what libcrypto shows.
 */
static const OSSL_PARAM *key_gettable_params(void *provider)
{
    static const OSSL_PARAM gettable[] = {
            OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
            OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
            OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
            OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
            OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
            OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
            OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
            OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
            OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
            OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
            OSSL_PARAM_END,
    };

    (void)provider;
    return gettable;
}

/* libcrypto compares these with what an import takes; the keys' own parameters are what counts. */
static const OSSL_PARAM *key_export_types(int selection)
{
    static const OSSL_PARAM types[] = {
            OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
            OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
            OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
            OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
            OSSL_PARAM_END,
    };

    (void)selection;
    return types;
}

/*
 * Under a name of its own, no other provider's signature can be taken for ours. NULL would be the
 * key management's own name.
 */
static const char *key_query_operation_name(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? OPAQUE_KEY_SIGNATURE : NULL;
}

const OSSL_DISPATCH keymgmt_functions[] = {
        {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))key_new},
        {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free},
        {OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))key_load},
        {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))key_has},
        {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))key_match},
        {OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))key_dup},
        {OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))key_export},
        {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))key_export_types},
        {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))key_get_params},
        {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))key_gettable_params},
        {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))key_query_operation_name},
        {0, NULL},
};
