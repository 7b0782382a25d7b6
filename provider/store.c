/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of the scheme aliyun-iot: a URI opens to the leaf, the intermediates and the key of a
 * device, in this order.
 *
 * All that can take time or fail is done by open, once: programs call load again and again until
 * eof says that there is no more, so load only hands out what open brought.
 */
#include "provider.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/store.h>

#include "library.h"

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_settable_ctx_params_fn store_settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn store_set_ctx_params;
static OSSL_FUNC_store_load_fn store_load;
static OSSL_FUNC_store_eof_fn store_eof;
static OSSL_FUNC_store_close_fn store_close;
static OSSL_FUNC_store_export_object_fn store_export_object;

struct loader {
    const struct provider *provider;
    struct resolved resolved;
    int expect;  /* OSSL_STORE_INFO_ what the program wants; 0: anything */
    size_t next; /* the certificates come first, by their index; then the key; then the end */
    bool failed;
    char uri[]; /* for messages */
};

static void *store_open(void *context, const char *uri)
{
    struct provider *provider = context;
    size_t uri_size = strlen(uri) + 1;
    struct loader *loader = OPENSSL_zalloc(sizeof(*loader) + uri_size);

    if (!loader) {
        provider_raise(provider, ALIYUN_IOT_REASON_OUT_OF_MEMORY, "%s: out of memory", uri);
        return NULL;
    }
    loader->provider = provider;
    memcpy(loader->uri, uri, uri_size);
    if (library_resolve(provider, uri, &loader->resolved))
        return loader;
    OPENSSL_free(loader);
    /* Python takes what is left there (a file looked for in vain) for the cause of the failure. */
    errno = 0;
    return NULL;
}

static const OSSL_PARAM *store_settable_ctx_params(void *context)
{
    static const OSSL_PARAM settable[] = {
            OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
            OSSL_PARAM_END,
    };

    (void)context;
    return settable;
}

/* Properties, input type and subject come here too: they mean nothing to a device's URI. */
static int store_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    struct loader *loader = context;
    const OSSL_PARAM *expect = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);

    return !expect || OSSL_PARAM_get_int(expect, &loader->expect);
}

static size_t certificate_count(const struct loader *loader)
{
    const struct resolved *resolved = &loader->resolved;

    return resolved->library->identity_certificate_count(resolved->identity);
}

/* Steps over what neither the URI nor the program asks for, so that it is not decoded in vain. */
static void skip_unwanted(struct loader *loader)
{
    size_t count = certificate_count(loader);

    if (loader->next < count &&
            (loader->resolved.object == ALIYUN_IOT_OBJECT_KEY ||
                    (loader->expect != 0 && loader->expect != OSSL_STORE_INFO_CERT)))
        loader->next = count;
    if (loader->next == count &&
            (loader->resolved.object == ALIYUN_IOT_OBJECT_CERTIFICATE ||
                    (loader->expect != 0 && loader->expect != OSSL_STORE_INFO_PKEY)))
        loader->next = count + 1;
}

static int load_certificate(
        const struct loader *loader, size_t index, OSSL_CALLBACK *callback, void *argument)
{
    const struct resolved *resolved = &loader->resolved;
    int type = OSSL_OBJECT_CERT;
    size_t size;
    const unsigned char *der =
            resolved->library->identity_certificate(resolved->identity, index, &size);
    OSSL_PARAM object[] = {
            OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
            OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, (void *)(uintptr_t)der, size),
            OSSL_PARAM_construct_end(),
    };

    return callback(object, argument);
}

/*
 * The key goes by reference: libcrypto then has the key management of the program's own choice
 * import it through store_export_object(), without setting up decoders.
 */
static int load_key(const struct loader *loader, OSSL_CALLBACK *callback, void *argument)
{
    const struct resolved *resolved = &loader->resolved;
    const char *key_type = resolved->library->identity_key_type(resolved->identity);
    const struct aliyun_iot_identity *reference = resolved->identity;
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM object[] = {
            OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
            OSSL_PARAM_construct_utf8_string(
                    OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)key_type, 0),
            OSSL_PARAM_construct_octet_string(
                    OSSL_OBJECT_PARAM_REFERENCE, &reference, sizeof(reference)),
            OSSL_PARAM_construct_end(),
    };

    if (callback(object, argument))
        return 1;
    provider_raise(loader->provider, ALIYUN_IOT_REASON_INTERNAL,
            "%s: the program has no provider that takes a private key of type %s, or excludes it; "
            "activate OpenSSL's default provider in openssl.cnf",
            loader->uri, key_type);
    return 0;
}

static int store_load(void *context, OSSL_CALLBACK *callback, void *argument,
        OSSL_PASSPHRASE_CALLBACK *passphrase_callback, void *passphrase_argument)
{
    struct loader *loader = context;
    size_t count = certificate_count(loader);
    size_t index;

    (void)passphrase_callback;
    (void)passphrase_argument;
    skip_unwanted(loader);
    if (loader->failed || loader->next > count) {
        loader->failed = false;
        loader->next = count + 1;
        return 0;
    }
    index = loader->next++;
    loader->failed = !(index < count ? load_certificate(loader, index, callback, argument)
                                     : load_key(loader, callback, argument));
    return !loader->failed;
}

/*
 * A load that failed is not the end yet, although nothing follows: programs that see the end do not
 * ask whether there was an error. The end comes with the next load.
 */
static int store_eof(void *context)
{
    struct loader *loader = context;

    skip_unwanted(loader);
    return !loader->failed && loader->next > certificate_count(loader);
}

static int store_close(void *context)
{
    struct loader *loader = context;

    resolved_clear(&loader->resolved);
    OPENSSL_free(loader);
    return 1;
}

static int store_export_object(void *context, const void *reference, size_t reference_size,
        OSSL_CALLBACK *callback, void *argument)
{
    struct loader *loader = context;
    const struct resolved *resolved = &loader->resolved;

    if (reference_size != sizeof(resolved->identity) ||
            memcmp(reference, &resolved->identity, reference_size) != 0)
        return 0;
    return callback(resolved->library->identity_key_parameters(resolved->identity), argument);
}

const OSSL_DISPATCH store_functions[] = {
        {OSSL_FUNC_STORE_OPEN, (void (*)(void))store_open},
        {OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))store_settable_ctx_params},
        {OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))store_set_ctx_params},
        {OSSL_FUNC_STORE_LOAD, (void (*)(void))store_load},
        {OSSL_FUNC_STORE_EOF, (void (*)(void))store_eof},
        {OSSL_FUNC_STORE_CLOSE, (void (*)(void))store_close},
        {OSSL_FUNC_STORE_EXPORT_OBJECT, (void (*)(void))store_export_object},
        {0, NULL},
};
