/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder of PEM identity files. It turns the identity block into PEM of the private key, which
 * OpenSSL's own decoders then read.
 *
 * OpenSSL gives it every PEM file that the process reads a key from, before OpenSSL's own decoders.
 * For a file without an identity block, it only reads: it allocates nothing and raises no error.
 * libcrypto then sets the BIO back to its position for the next decoder.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#include "identity_file.h"
#include "library.h"
#include "opaque_key.h"
#include "operations.h"
#include "pem.h"
#include "provider.h"

DEFINE_CLEANUP(BIO *, BIO_free);

enum { IDENTITY_MAX_BYTES = 8 * 1024 /* of base64; a URI is far shorter */ };

static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_settable_ctx_params_fn decoder_settable_ctx_params;
static OSSL_FUNC_decoder_set_ctx_params_fn decoder_set_ctx_params;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_decode;

/* A decoder has no state of its own, so the provider is its context. */
static void *decoder_newctx(void *provider)
{
    return provider;
}

static void decoder_freectx(void *context)
{
    (void)context;
}

static const OSSL_PARAM *decoder_settable_ctx_params(void *provider)
{
    static const OSSL_PARAM settable[] = {
            OSSL_PARAM_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, NULL, 0),
            OSSL_PARAM_END,
    };

    (void)provider;
    return settable;
}

/*
 * Since version 3.5, OpenSSL's file store says what the program looks for, and does not use a
 * decoder that returns 0. If the program looks for anything but a key, nothing must be fetched.
 */
static int decoder_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    static const char *const others[] = {"Certificate", "CertificateList", "SubjectPublicKeyInfo"};
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, OSSL_OBJECT_PARAM_DATA_STRUCTURE);
    const char *structure;

    (void)context;
    if (!param)
        return 1;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &structure))
        return 0;
    for (size_t index = 0; index < sizeof(others) / sizeof(others[0]); index++)
        if (strcasecmp(structure, others[index]) == 0)
            return 0;
    return 1;
}

/*
 * libcrypto asks this to find decoders that make keys, before it compares a decoder's names with
 * all types of keys. This decoder makes PEM and is found in another way; 0 saves the comparisons.
 */
static int decoder_does_selection(void *provider, int selection)
{
    (void)provider;
    (void)selection;
    return 0;
}

static int bad_block(const struct pem *pem, const char *problem)
{
    return library_refuse(pem->provider, ALIYUN_IOT_REASON_BAD_IDENTITY_FILE,
            "the block " IDENTITY_LABEL
            " in the PEM file %s; write the file anew: aliyun-iot pem URI "
            "-o FILE",
            problem);
}

/*
 * The cloud may have issued another certificate since the identity file was written. The program
 * would only say that key and certificate differ; this says why. It also refuses a file with two
 * identity blocks, because a program could take the certificate of one device and the key of the
 * other. It does not check a file that cannot be read again, or one without certificates.
 */
static int check_file(struct pem *pem, const struct resolved *resolved, const char *uri)
{
    struct identity_file file;
    size_t size;
    const unsigned char *leaf =
            resolved->library->identity_certificate(resolved->identity, 0, &size);

    if (!identity_file_read(pem, leaf, size, &file))
        return 1;
    if (file.blocks > 1)
        return bad_block(pem, "stands there more than once, and a file is for one device");
    if (file.certificates == 0 || file.has_leaf)
        return 1;
    return library_refuse(pem->provider, ALIYUN_IOT_REASON_KEY_MISMATCH,
            "%s: the certificate in the PEM file is not the one that the cloud gives for the "
            "device now; renew the file: aliyun-iot pem %s -o FILE",
            uri, uri);
}

static int give_opaque_key(const struct pem *pem, const struct resolved *resolved, const char *uri,
        OSSL_CALLBACK *callback, void *argument)
{
    struct opaque_key *key;

    if (!pem->provider->expects_opaque_keys)
        return library_refuse(pem->provider, ALIYUN_IOT_REASON_INTERNAL,
                "%s: the private key stays where it is and signs there; for such keys in PEM "
                "identity files, add opaque-keys = yes to the provider's section of openssl.cnf; a "
                "program that reads none needs ALIYUN_IOT_AGENT in its environment",
                uri);
    key = opaque_key_new(pem->provider, resolved, uri);
    return key && key_decoder_give(key, callback, argument);
}

/* Gives the key to libcrypto, as PKCS#8 in PEM. */
static int give_key_data(
        const unsigned char *der, size_t size, OSSL_CALLBACK *callback, void *argument)
{
    CLEANUP(BIO_free) BIO *text_bio = BIO_new(BIO_s_mem()); /* cleanses its memory */
    int type = OSSL_OBJECT_PKEY;
    char *text;
    long text_size;
    OSSL_PARAM object[3];

    if (!text_bio || !PEM_write_bio(text_bio, PEM_STRING_PKCS8INF, "", der, (long)size))
        return 0;
    text_size = BIO_get_mem_data(text_bio, &text);
    object[0] = OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type);
    object[1] = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, text, (size_t)text_size);
    object[2] = OSSL_PARAM_construct_end();
    return callback(object, argument);
}

static int give_key(const struct pem *pem, const struct resolved *resolved, const char *uri,
        OSSL_CALLBACK *callback, void *argument)
{
    size_t size;
    const unsigned char *der = resolved->library->identity_key(resolved->identity, &size);

    return der ? give_key_data(der, size, callback, argument)
               : give_opaque_key(pem, resolved, uri, callback, argument);
}

static int decode_identity(struct pem *pem, OSSL_CALLBACK *callback, void *argument)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *content = NULL;
    __attribute__((cleanup(resolved_clear))) struct resolved resolved = {0};
    const char *problem = pem_read_block(pem, IDENTITY_LABEL, IDENTITY_MAX_BYTES, &content);
    const char *uri;

    if (problem)
        return bad_block(pem, problem);
    if (memchr(content->data, '\0', content->length))
        return bad_block(pem, "holds a NUL byte, which no URI has");
    if (!BUF_MEM_grow(content, content->length + 1))
        return bad_block(pem, "does not fit into memory");
    uri = content->data;
    if (!library_resolve(pem->provider, uri, &resolved))
        return 0;
    if (resolved.object == ALIYUN_IOT_OBJECT_CERTIFICATE)
        return bad_block(pem, "asks for a certificate (object=cert), but stands for a key");
    return check_file(pem, &resolved, uri) && give_key(pem, &resolved, uri, callback, argument);
}

/* Set while store_wants_key() waits for the answer of decoder_decode(); otherwise NULL. */
static _Thread_local bool *answer;

/*
 * If the program expects only certificates, nothing must be fetched. Before version 3.5, OpenSSL's
 * file store does not say what the program expects. But the store decodes an object of type PKEY
 * only if the program may want a key, and it uses the same decoders. So this function gives the
 * store a dummy object. If the store then calls this decoder, it wants a key. If the caller is not
 * a store but a program that uses decoders directly, the key is wanted.
 */
static bool store_wants_key(
        const struct provider *provider, OSSL_CALLBACK *callback, void *argument)
{
    int type = OSSL_OBJECT_PKEY;
    char structure[] = "aliyun-iot-question";
    char data[] = "?";
    const OSSL_PARAM question[] = {
            OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
            OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
            OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, data, strlen(data)),
            OSSL_PARAM_construct_end(),
    };
    bool wanted = false;
    bool is_store;

    ERR_set_mark();
    /* To see whether the callback raises an error of its own. */
    provider_raise(provider, ALIYUN_IOT_REASON_INTERNAL, "does the store want a key?");
    answer = &wanted;
    callback(question, argument);
    answer = NULL;
    is_store = ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_OSSL_STORE;
    ERR_pop_to_mark();
    return wanted || !is_store;
}

/*
 * Returns 1 also if there is no identity block: libcrypto then drops all errors and goes on.
 *
 * A store returns the objects of a file one by one, so a decoder that it calls must not skip a
 * block. A store's selection is 0, which means any object.
 */
static int decoder_decode(void *context, OSSL_CORE_BIO *bio, int selection, OSSL_CALLBACK *callback,
        void *argument, OSSL_PASSPHRASE_CALLBACK *passphrase_callback, void *passphrase_argument)
{
    const struct provider *provider = context;
    bool may_be_store = selection == 0;
    bool has_older_error = ERR_peek_error() != 0;
    struct pem pem;

    (void)passphrase_callback;
    (void)passphrase_argument;
    if (!may_be_store && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0)
        return 1;
    if (answer) {
        *answer = true;
        return 1;
    }
    if (!pem_open(&pem, provider, bio) ||
            !identity_file_find_block(&pem, has_older_error && !may_be_store))
        return 1;
    if (may_be_store && !store_wants_key(provider, callback, argument))
        return 1;
    if (decode_identity(&pem, callback, argument))
        return 1;
    /* If there were more to read, PEM_read_bio_PrivateKey() might drop our error and go on. */
    if (!may_be_store && pem_can_look_ahead(&pem))
        pem_skip_file(&pem);
    /* Python reports errno as the cause of the failure; a search for a file may have set it. */
    errno = 0;
    return 0;
}

const OSSL_DISPATCH decoder_functions[] = {
        {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_newctx},
        {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_freectx},
        {OSSL_FUNC_DECODER_SETTABLE_CTX_PARAMS, (void (*)(void))decoder_settable_ctx_params},
        {OSSL_FUNC_DECODER_SET_CTX_PARAMS, (void (*)(void))decoder_set_ctx_params},
        {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))decoder_does_selection},
        {OSSL_FUNC_DECODER_DECODE, (void (*)(void))decoder_decode},
        {0, NULL},
};
