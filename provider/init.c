/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module's one exported function, OSSL_provider_init(), and the table of its operations.
 *
 * Every process whose openssl.cnf has the provider calls OSSL_provider_init(), perhaps from within
 * OPENSSL_init_crypto(), even if it never uses a URI. So nothing here does I/O, reads a secret or
 * starts a thread.
 */
#include <dlfcn.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "opaque_key.h"
#include "operations.h"
#include "private/reasons.h"
#include "provider.h"

static OSSL_FUNC_provider_gettable_params_fn provider_gettable_params;
static OSSL_FUNC_provider_get_params_fn provider_get_params;
static OSSL_FUNC_provider_get_reason_strings_fn provider_get_reason_strings;
static OSSL_FUNC_provider_query_operation_fn provider_query_operation;
static OSSL_FUNC_provider_teardown_fn provider_teardown;

static const OSSL_PARAM *provider_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {
            OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
            OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
            OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, NULL, 0),
            OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
            OSSL_PARAM_END,
    };

    (void)context;
    return gettable;
}

static int set_text(OSSL_PARAM params[], const char *key, const char *text)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, key);

    return !param || OSSL_PARAM_set_utf8_ptr(param, text);
}

static int provider_get_params(void *context, OSSL_PARAM params[])
{
    OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);

    (void)context;
    return set_text(params, OSSL_PROV_PARAM_NAME, "Alibaba Cloud IoT device certificates") &&
           set_text(params, OSSL_PROV_PARAM_VERSION, VERSION) &&
           set_text(params, OSSL_PROV_PARAM_BUILDINFO, VERSION) &&
           (!status || OSSL_PARAM_set_int(status, 1));
}

static const OSSL_ITEM *provider_get_reason_strings(void *context)
{
    /* OSSL_ITEM has pointers to memory that is not const, so the texts are copied into an array. */
#define REASON(name, text) static char text_##name[] = text;
    REASONS(REASON)
#undef REASON

    static const OSSL_ITEM reasons[] = {
#define REASON(name, text) {ALIYUN_IOT_REASON_##name, text_##name},
            REASONS(REASON)
#undef REASON
                    {0, NULL},
    };

    (void)context;
    return reasons;
}

/* fips=yes only if openssl.cnf says that the keys' own places are FIPS's. */
static const OSSL_ALGORITHM *key_managements(const struct provider *provider)
{
#define KEY_MANAGEMENT(name, properties)                                                           \
    {                                                                                              \
        name, properties, keymgmt_functions, "Private keys that are elsewhere"                     \
    }
#define KEY_MANAGEMENTS(properties)                                                                \
    {                                                                                              \
        KEY_MANAGEMENT("RSA", properties), KEY_MANAGEMENT("EC", properties),                       \
                KEY_MANAGEMENT("ED25519", properties), KEY_MANAGEMENT("ED448", properties),        \
                {NULL, NULL, NULL, NULL},                                                          \
    }
    static const OSSL_ALGORITHM plain[] = KEY_MANAGEMENTS(OPAQUE_KEY_PROPERTY);
    static const OSSL_ALGORITHM fips[] = KEY_MANAGEMENTS(OPAQUE_KEY_PROPERTY ",fips=yes");

    return provider->claims_fips ? fips : plain;
}

#define IDENTITY_FILES                                                                             \
    {                                                                                              \
        "PEM", "provider=aliyun-iot,fips=yes,input=pem", decoder_functions, "PEM identity files"   \
    }
#define KEY_DECODER(name, input, functions)                                                        \
    {                                                                                              \
        name, "provider=aliyun-iot,fips=yes,input=" input ",structure=" OPAQUE_KEY_STRUCTURE,      \
                functions, "Private keys that are elsewhere"                                       \
    }

static const OSSL_ALGORITHM *decoders_of(const struct provider *provider)
{
    /*
     * A decoder's name is that of its output. This decoder's output is PEM, which OpenSSL's own
     * decoders read, so OpenSSL calls this decoder first, whatever the order of the providers.
     */
    static const OSSL_ALGORITHM decoders[] = {
            IDENTITY_FILES,
            {NULL, NULL, NULL, NULL},
    };
    static const OSSL_ALGORITHM decoders_of_opaque_keys[] = {
            IDENTITY_FILES,
            KEY_DECODER("DER", "pem", marker_decoder_functions),
            KEY_DECODER("RSA", "der", key_decoder_functions),
            KEY_DECODER("EC", "der", key_decoder_functions),
            KEY_DECODER("ED25519", "der", key_decoder_functions),
            KEY_DECODER("ED448", "der", key_decoder_functions),
            {NULL, NULL, NULL, NULL},
    };
    if (!provider->identity_files)
        return NULL;
    return provider->expects_opaque_keys ? decoders_of_opaque_keys : decoders;
}

/*
 * fips=yes, as in OpenSSL's base provider: these operations load keys and do no cryptography, and a
 * program that asks for FIPS algorithms must still find them.
 */
static const OSSL_ALGORITHM *provider_query_operation(void *context, int operation, int *no_cache)
{
    static const OSSL_ALGORITHM stores[] = {
            {"aliyun-iot", "provider=aliyun-iot,fips=yes", store_functions,
                    "Alibaba Cloud IoT devices by URI"},
            {NULL, NULL, NULL, NULL},
    };
    static const OSSL_ALGORITHM signatures[] = {
            {OPAQUE_KEY_SIGNATURE, "provider=aliyun-iot,fips=yes", signature_functions,
                    "Signatures by private keys that are elsewhere"},
            {NULL, NULL, NULL, NULL},
    };
    const struct provider *provider = context;

    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        if (opaque_keys_step() == OPAQUE_KEYS_OURS)
            return key_managements(provider);
        if (provider->expects_opaque_keys && opaque_keys_step() == OPAQUE_KEYS_IDLE)
            opaque_keys_enable(provider, "PEM identity files");
        /* libcrypto asks again, because the answer is not to be kept. */
        *no_cache = 1;
        return NULL;
    case OSSL_OP_SIGNATURE:
        return signatures;
    case OSSL_OP_STORE:
        return stores;
    case OSSL_OP_DECODER:
        return decoders_of(provider);
    default:
        return NULL;
    }
}

/*
 * This may run while the process exits. It frees the provider's own memory only. It does not unload
 * the library, which other instances may be using and which would have to shut down TLS.
 */
static void provider_teardown(void *context)
{
    struct provider *provider = context;

    provider_free_section(provider);
    OPENSSL_free(provider);
}

static const OSSL_DISPATCH provider_functions[] = {
        {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))provider_gettable_params},
        {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))provider_get_params},
        {OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))provider_get_reason_strings},
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query_operation},
        {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))provider_teardown},
        {0, NULL},
};

/*
 * This module may use the core's library context only if the core is in the libcrypto that this
 * module is linked with. A program may have another one linked into itself.
 */
static void take_library_context(
        struct provider *provider, OSSL_FUNC_core_get_libctx_fn *get_library_context)
{
    Dl_info cores, ours;

    provider->shares_libcrypto = dladdr(__extension__(void *) get_library_context, &cores) &&
                                 dladdr(__extension__(void *) OSSL_LIB_CTX_new, &ours) &&
                                 cores.dli_fbase == ours.dli_fbase;
    if (provider->shares_libcrypto)
        provider->library_context = (OSSL_LIB_CTX *)get_library_context(provider->core);
}

/* Stores the core's functions that the provider needs. *get_params is needed only during init. */
static void take_upcalls(struct provider *provider, const OSSL_DISPATCH *upcalls,
        OSSL_FUNC_core_get_params_fn **get_params)
{
    for (; upcalls->function_id != 0; upcalls++) {
        switch (upcalls->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:
            *get_params = OSSL_FUNC_core_get_params(upcalls);
            break;
        case OSSL_FUNC_CORE_GET_LIBCTX:
            take_library_context(provider, OSSL_FUNC_core_get_libctx(upcalls));
            break;
        case OSSL_FUNC_CORE_NEW_ERROR:
            provider->new_error = OSSL_FUNC_core_new_error(upcalls);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
            provider->set_error_debug = OSSL_FUNC_core_set_error_debug(upcalls);
            break;
        case OSSL_FUNC_CORE_VSET_ERROR:
            provider->vset_error = OSSL_FUNC_core_vset_error(upcalls);
            break;
        case OSSL_FUNC_BIO_GETS:
            provider->bio_gets = OSSL_FUNC_BIO_gets(upcalls);
            break;
        case OSSL_FUNC_BIO_CTRL:
            provider->bio_ctrl = OSSL_FUNC_BIO_ctrl(upcalls);
            break;
        default:
            break;
        }
    }
}

__attribute__((visibility("default"))) int OSSL_provider_init(const OSSL_CORE_HANDLE *core,
        const OSSL_DISPATCH *upcalls, const OSSL_DISPATCH **functions, void **context)
{
    struct provider *provider = OPENSSL_zalloc(sizeof(*provider));
    OSSL_FUNC_core_get_params_fn *get_params = NULL;

    if (!provider)
        return 0;
    provider->core = core;
    take_upcalls(provider, upcalls, &get_params);
    if (!get_params || !provider->new_error || !provider->set_error_debug ||
            !provider->vset_error || !provider->bio_gets || !provider->bio_ctrl ||
            !provider_read_section(provider, get_params)) {
        provider_teardown(provider);
        return 0;
    }
    *functions = provider_functions;
    *context = provider;
    return 1;
}
