/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of the scheme aliyun-iot: a URI opens to the leaf, the intermediates and the key of a
 * device, in this order. A program that expects a public key gets the leaf's, and nothing else.
 *
 * open does everything that may fail or take time. load only returns what open has fetched, because
 * programs call it repeatedly until eof returns 1.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <openssl/x509.h>

#include "library.h"
#include "opaque_key.h"
#include "operations.h"
#include "private/cleanup.h"
#include "provider.h"

static void certificate_free(X509 *certificate)
{
    X509_free(certificate);
}
DEFINE_CLEANUP(X509 *, certificate_free);

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_settable_ctx_params_fn store_settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn store_set_ctx_params;
static OSSL_FUNC_store_load_fn store_load;
static OSSL_FUNC_store_eof_fn store_eof;
static OSSL_FUNC_store_close_fn store_close;
static OSSL_FUNC_store_export_object_fn store_export_object;

/* libcrypto does not change it, but takes a pointer to memory that is not const. */
static char subject_public_key_info[] = "SubjectPublicKeyInfo";

struct loader {
    const struct provider *provider;
    struct resolved resolved;
    int expect;         /* OSSL_STORE_INFO_ what the program wants; 0: anything */
    X509_NAME *subject; /* of the certificates that the program searches; NULL: all objects */
    size_t next; /* the certificates come first, by their index; then the key; then the end */
    bool failed;
    char uri[]; /* for messages */
};

static void *store_open(void *context, const char *uri)
{
    const struct provider *provider = context;
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
    /* Python reports errno as the cause of the failure; a search for a file may have set it. */
    errno = 0;
    return NULL;
}

static const OSSL_PARAM *store_settable_ctx_params(void *context)
{
    static const OSSL_PARAM settable[] = {
            OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
            OSSL_PARAM_octet_string(OSSL_STORE_PARAM_SUBJECT, NULL, 0),
            OSSL_PARAM_END,
    };

    (void)context;
    return settable;
}

static int set_subject(struct loader *loader, const OSSL_PARAM *subject)
{
    const unsigned char *der = NULL;
    size_t size = 0;

    X509_NAME_free(loader->subject);
    loader->subject = NULL;
    if (OSSL_PARAM_get_octet_string_ptr(subject, (const void **)&der, &size) && size <= LONG_MAX)
        loader->subject = d2i_X509_NAME(NULL, &der, (long)size);
    return loader->subject != NULL;
}

/*
 * Ignores properties and input type: a device's URI has no use for them. Refuses the other criteria
 * of a search, so that a program does not take every certificate for the one that it searched.
 */
static int store_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    static const char *const other_criteria[] = {OSSL_STORE_PARAM_ISSUER, OSSL_STORE_PARAM_SERIAL,
            OSSL_STORE_PARAM_FINGERPRINT, OSSL_STORE_PARAM_ALIAS};
    struct loader *loader = context;
    const OSSL_PARAM *expect = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
    const OSSL_PARAM *subject = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_SUBJECT);

    for (size_t index = 0; index < sizeof(other_criteria) / sizeof(other_criteria[0]); index++) {
        if (!OSSL_PARAM_locate_const(params, other_criteria[index]))
            continue;
        provider_raise(loader->provider, ALIYUN_IOT_REASON_BAD_URI,
                "%s: certificates can be searched by their subject, but not by %s", loader->uri,
                other_criteria[index]);
        return 0;
    }
    if (subject && !set_subject(loader, subject))
        return 0;
    return !expect || OSSL_PARAM_get_int(expect, &loader->expect);
}

static size_t certificate_count(const struct loader *loader)
{
    const struct resolved *resolved = &loader->resolved;

    return resolved->library->identity_certificate_count(resolved->identity);
}

static X509 *decode_certificate(const struct loader *loader, size_t index)
{
    const struct resolved *resolved = &loader->resolved;
    size_t size;
    const unsigned char *der =
            resolved->library->identity_certificate(resolved->identity, index, &size);

    return d2i_X509(NULL, &der, (long)size);
}

static bool certificates_are_wanted(const struct loader *loader)
{
    return loader->resolved.object != ALIYUN_IOT_OBJECT_KEY &&
           (loader->expect == 0 || loader->expect == OSSL_STORE_INFO_CERT);
}

static bool has_wanted_subject(const struct loader *loader, size_t index)
{
    CLEANUP(certificate_free) X509 *certificate = NULL;

    if (!loader->subject)
        return true;
    certificate = decode_certificate(loader, index);
    return certificate && X509_NAME_cmp(X509_get_subject_name(certificate), loader->subject) == 0;
}

/* The key has no subject. */
static bool key_is_wanted(const struct loader *loader)
{
    return loader->resolved.object != ALIYUN_IOT_OBJECT_CERTIFICATE && !loader->subject &&
           (loader->expect == 0 || loader->expect == OSSL_STORE_INFO_PKEY ||
                   loader->expect == OSSL_STORE_INFO_PUBKEY);
}

/* Skips objects that the URI or the program does not ask for, so that they are not decoded. */
static void skip_unwanted(struct loader *loader)
{
    size_t count = certificate_count(loader);

    if (!certificates_are_wanted(loader) && loader->next < count)
        loader->next = count;
    while (loader->next < count && !has_wanted_subject(loader, loader->next))
        loader->next++;
    if (loader->next == count && !key_is_wanted(loader))
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

static int pass_key(const struct loader *loader, const void *reference, size_t reference_size,
        OSSL_CALLBACK *callback, void *argument)
{
    const struct resolved *resolved = &loader->resolved;
    const char *key_type = resolved->library->identity_key_type(resolved->identity);
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM object[] = {
            OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
            OSSL_PARAM_construct_utf8_string(
                    OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)key_type, 0),
            OSSL_PARAM_construct_octet_string(
                    OSSL_OBJECT_PARAM_REFERENCE, (void *)(uintptr_t)reference, reference_size),
            OSSL_PARAM_construct_end(),
    };

    return callback(object, argument);
}

/*
 * Passes a key that is data by reference. libcrypto then lets the key management that the program
 * uses import it with store_export_object(), and needs no decoders.
 */
static int load_key_data(const struct loader *loader, OSSL_CALLBACK *callback, void *argument)
{
    const struct resolved *resolved = &loader->resolved;
    const struct aliyun_iot_identity *reference = resolved->identity;

    if (pass_key(loader, &reference, sizeof(reference), callback, argument))
        return 1;
    provider_raise(loader->provider, ALIYUN_IOT_REASON_INTERNAL,
            "%s: the program has no provider that takes a private key of type %s, or excludes it; "
            "activate OpenSSL's default provider in openssl.cnf",
            loader->uri, resolved->library->identity_key_type(resolved->identity));
    return 0;
}

/*
 * Passes any other key as an opaque one. libcrypto first tries the program's own key management,
 * for which store_export_object() exports nothing, and then ours.
 */
static int load_opaque_key(const struct loader *loader, OSSL_CALLBACK *callback, void *argument)
{
    struct opaque_key *key;
    int done = 0;

    if (!opaque_keys_enable(loader->provider, loader->uri))
        return 0;
    key = opaque_key_new(loader->provider, &loader->resolved, loader->uri);
    if (key) {
        done = pass_key(loader, &key, sizeof(key), callback, argument);
        if (!done)
            provider_raise(loader->provider, ALIYUN_IOT_REASON_INTERNAL,
                    "%s: the program excludes the provider of this key by the properties of its "
                    "algorithms, such as fips=yes or provider=default",
                    loader->uri);
    }
    opaque_key_free(key); /* NULL if libcrypto took it */
    return done;
}

static int load_key(const struct loader *loader, OSSL_CALLBACK *callback, void *argument)
{
    const struct resolved *resolved = &loader->resolved;

    return resolved->library->identity_key_parameters(resolved->identity)
                   ? load_key_data(loader, callback, argument)
                   : load_opaque_key(loader, callback, argument);
}

/* The leaf's, so that a public key is there wherever the private key lives. */
static int load_public_key(const struct loader *loader, OSSL_CALLBACK *callback, void *argument)
{
    CLEANUP(certificate_free) X509 *leaf = decode_certificate(loader, 0);
    unsigned char *der = NULL;
    int size = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der) : -1;
    int type = OSSL_OBJECT_PKEY, done = 0;

    if (size > 0) {
        OSSL_PARAM object[] = {
                OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
                OSSL_PARAM_construct_utf8_string(
                        OSSL_OBJECT_PARAM_DATA_STRUCTURE, subject_public_key_info, 0),
                OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, (size_t)size),
                OSSL_PARAM_construct_end(),
        };

        done = callback(object, argument);
    }
    OPENSSL_free(der);
    return done;
}

static int load_object(
        const struct loader *loader, size_t index, OSSL_CALLBACK *callback, void *argument)
{
    if (index < certificate_count(loader))
        return load_certificate(loader, index, callback, argument);
    if (loader->expect == OSSL_STORE_INFO_PUBKEY)
        return load_public_key(loader, callback, argument);
    return load_key(loader, callback, argument);
}

static int store_load(void *context, OSSL_CALLBACK *callback, void *argument,
        OSSL_PASSPHRASE_CALLBACK *passphrase_callback, void *passphrase_argument)
{
    struct loader *loader = context;
    size_t count = certificate_count(loader);

    (void)passphrase_callback;
    (void)passphrase_argument;
    skip_unwanted(loader);
    if (loader->failed || loader->next > count) {
        loader->failed = false;
        loader->next = count + 1;
        return 0;
    }
    loader->failed = !load_object(loader, loader->next++, callback, argument);
    return !loader->failed;
}

/*
 * After a load that failed, eof returns 0 until the next load, although there is nothing more to
 * load: programs that see the end do not ask whether there was an error.
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
    X509_NAME_free(loader->subject);
    OPENSSL_free(loader);
    return 1;
}

static int store_export_object(void *context, const void *reference, size_t reference_size,
        OSSL_CALLBACK *callback, void *argument)
{
    struct loader *loader = context;
    const struct resolved *resolved = &loader->resolved;

    const OSSL_PARAM *parameters = resolved->library->identity_key_parameters(resolved->identity);

    if (!parameters || reference_size != sizeof(resolved->identity) ||
            memcmp(reference, &resolved->identity, reference_size) != 0)
        return 0;
    return callback(parameters, argument);
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
