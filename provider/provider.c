/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door that OpenSSL knocks at. Every process that has the provider in its openssl.cnf comes
 * here, even if it never uses a URI, and perhaps within OPENSSL_init_crypto(): so nothing is read,
 * asked or started here.
 */
#include "provider.h"

#include <stdarg.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "../fetch/reasons.h"

static OSSL_FUNC_provider_gettable_params_fn provider_gettable_params;
static OSSL_FUNC_provider_get_params_fn provider_get_params;
static OSSL_FUNC_provider_get_reason_strings_fn provider_get_reason_strings;
static OSSL_FUNC_provider_query_operation_fn provider_query_operation;
static OSSL_FUNC_provider_teardown_fn provider_teardown;

void provider_raise_at(const struct provider *provider, const char *file, int line,
        const char *function, enum aliyun_iot_reason reason, const char *format, ...)
{
    va_list arguments;

    provider->new_error(provider->core);
    provider->set_error_debug(provider->core, file, line, function);
    va_start(arguments, format);
    provider->vset_error(provider->core, reason, format, arguments);
    va_end(arguments);
}

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
    /* OSSL_ITEM points to what may be written to, so the texts get a place of their own. */
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

/*
 * fips=yes as OpenSSL's own base provider has it: these bring keys in and do no cryptography with
 * them, and a program that asks for FIPS algorithms would not find them otherwise.
 */
static const OSSL_ALGORITHM *provider_query_operation(void *context, int operation, int *no_cache)
{
    static const OSSL_ALGORITHM stores[] = {
            {"aliyun-iot", "provider=aliyun-iot,fips=yes", store_functions,
                    "Alibaba Cloud IoT devices by URI"},
            {NULL, NULL, NULL, NULL},
    };
    /* A decoder has the name of what it makes. */
    static const OSSL_ALGORITHM decoders[] = {
            {"DER", "provider=aliyun-iot,fips=yes,input=pem", decoder_functions,
                    "PEM identity files"},
            {NULL, NULL, NULL, NULL},
    };

    (void)context;
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_STORE:
        return stores;
    case OSSL_OP_DECODER:
        return decoders;
    default:
        return NULL;
    }
}

/*
 * May run while the process ends: it frees its own memory and leaves the library alone, which may
 * serve other instances and would have to touch TLS.
 */
static void provider_teardown(void *context)
{
    struct provider *provider = context;

    OPENSSL_free(provider->settings_file);
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

/* Takes the upcalls that are needed; *get_params serves only here. */
static void take_upcalls(struct provider *provider, const OSSL_DISPATCH *upcalls,
        OSSL_FUNC_core_get_params_fn **get_params)
{
    for (; upcalls->function_id != 0; upcalls++) {
        switch (upcalls->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:
            *get_params = OSSL_FUNC_core_get_params(upcalls);
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

/* The core keeps its own copy only as long as the provider's section lives: take another. */
static int copy_settings_file(struct provider *provider, OSSL_FUNC_core_get_params_fn *get_params)
{
    char *path = NULL;
    OSSL_PARAM params[] = {
            OSSL_PARAM_utf8_ptr("config", &path, 0),
            OSSL_PARAM_END,
    };

    if (!get_params(provider->core, params) || !path || !*path)
        return 1;
    provider->settings_file = OPENSSL_strdup(path);
    return provider->settings_file != NULL;
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
            !copy_settings_file(provider, get_params)) {
        provider_teardown(provider);
        return 0;
    }
    *functions = provider_functions;
    *context = provider;
    return 1;
}
