/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second step of reading an opaque key (opaque_key.h) from a PEM identity file. The first step,
 * decoder.c, cannot give libcrypto the key itself: a store would pass it to the key management of
 * the program, which would take our object for one of its own. So the first step gives a marker
 * with a structure of our own, and keeps the key; libcrypto looks for a decoder of that structure,
 * which is key_decoder, and takes its object for one of our key management. All steps are on one
 * thread.
 *
 * Between them stands marker_decoder, which passes the marker on as if it were DER. It is there for
 * two reasons. Since version 3.5, libcrypto considers decoders of PEM and DER alone for a program
 * that begins with PEM. And libcrypto tries last what it found first, so it must find the decoder
 * of PEM identity files after its own PEM decoder: it looks for what gives a decoder its input,
 * step by step, and so finds the decoder of PEM identity files one step after those that give DER.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>

#include "opaque_key.h"
#include "operations.h"

static OSSL_FUNC_decoder_newctx_fn key_decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn key_decoder_freectx;
static OSSL_FUNC_decoder_does_selection_fn marker_decoder_does_selection;
static OSSL_FUNC_decoder_does_selection_fn key_decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn marker_decoder_decode;
static OSSL_FUNC_decoder_decode_fn key_decoder_decode;
static OSSL_FUNC_decoder_export_object_fn key_decoder_export_object;

/* The key between the two steps; NULL at any other time. */
static _Thread_local struct opaque_key *kept;

/*
 * key_type: NULL to say nothing of it, because libcrypto then considers only decoders of that name.
 */
static int give_marker(const char *key_type, OSSL_CALLBACK *callback, void *argument)
{
    int type = OSSL_OBJECT_PKEY;
    char structure[] = OPAQUE_KEY_STRUCTURE, marker[] = "a marker";
    const OSSL_PARAM object[] = {
            OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
            OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
            OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, marker, sizeof(marker) - 1),
            key_type ? OSSL_PARAM_construct_utf8_string(
                               OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)key_type, 0)
                     : OSSL_PARAM_construct_end(),
            OSSL_PARAM_construct_end(),
    };

    return callback(object, argument);
}

static const char *type_of(const struct opaque_key *key)
{
    return key->resolved.library->identity_key_type(key->resolved.identity);
}

int key_decoder_give(struct opaque_key *key, OSSL_CALLBACK *callback, void *argument)
{
    int done;

    kept = key;
    done = give_marker(NULL, callback, argument);
    opaque_key_free(kept);
    kept = NULL;
    return done;
}

/* libcrypto gives this decoder every PEM file, too: then no key is kept. */
static int marker_decoder_decode(void *context, OSSL_CORE_BIO *bio, int selection,
        OSSL_CALLBACK *callback, void *argument, OSSL_PASSPHRASE_CALLBACK *passphrase_callback,
        void *passphrase_argument)
{
    (void)context;
    (void)bio;
    (void)selection;
    (void)passphrase_callback;
    (void)passphrase_argument;
    return !kept || give_marker(type_of(kept), callback, argument);
}

static void *key_decoder_newctx(void *provider)
{
    return provider;
}

static void key_decoder_freectx(void *context)
{
    (void)context;
}

/* It makes no keys: see decoder_does_selection() in decoder.c. */
static int marker_decoder_does_selection(void *provider, int selection)
{
    (void)provider;
    (void)selection;
    return 0;
}

static int key_decoder_does_selection(void *provider, int selection)
{
    (void)provider;
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

static int key_decoder_decode(void *context, OSSL_CORE_BIO *bio, int selection,
        OSSL_CALLBACK *callback, void *argument, OSSL_PASSPHRASE_CALLBACK *passphrase_callback,
        void *passphrase_argument)
{
    int type = OSSL_OBJECT_PKEY;
    const char *key_type;
    OSSL_PARAM object[4];

    (void)context;
    (void)bio;
    (void)selection;
    (void)passphrase_callback;
    (void)passphrase_argument;
    if (!kept)
        return 1;
    key_type = type_of(kept);
    object[0] = OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type);
    object[1] = OSSL_PARAM_construct_utf8_string(
            OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)key_type, 0);
    object[2] = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &kept, sizeof(kept));
    object[3] = OSSL_PARAM_construct_end();
    return callback(object, argument);
}

/*
 * libcrypto calls this without looking whether it is there, if it found no key management of ours.
 * With the public half it would make a public key, and the program would look for the private one.
 */
static int key_decoder_export_object(void *context, const void *reference, size_t reference_size,
        OSSL_CALLBACK *callback, void *argument)
{
    (void)context;
    (void)reference;
    (void)reference_size;
    (void)callback;
    (void)argument;
    return 0;
}

const OSSL_DISPATCH marker_decoder_functions[] = {
        {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))key_decoder_newctx},
        {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))key_decoder_freectx},
        {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))marker_decoder_does_selection},
        {OSSL_FUNC_DECODER_DECODE, (void (*)(void))marker_decoder_decode},
        {0, NULL},
};

const OSSL_DISPATCH key_decoder_functions[] = {
        {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))key_decoder_newctx},
        {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))key_decoder_freectx},
        {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))key_decoder_does_selection},
        {OSSL_FUNC_DECODER_DECODE, (void (*)(void))key_decoder_decode},
        {OSSL_FUNC_DECODER_EXPORT_OBJECT, (void (*)(void))key_decoder_export_object},
        {0, NULL},
};
