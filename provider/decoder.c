/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM identity files: a block "ALIYUN-IOT IDENTITY" holds a device's URI, in base64, and stands
 * for its private key. What is made of it is PKCS#8 in DER, for OpenSSL's own decoders to go on
 * with; so this decoder has the name "DER".
 *
 * It is offered every PEM file that the process reads a key from. What is not ours is passed
 * over in the same steps that libcrypto takes, with nothing said and nothing allocated.
 */
#include "provider.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "library.h"
#include "pem.h"

#define IDENTITY "ALIYUN-IOT IDENTITY"
#define CERTIFICATE "CERTIFICATE"

enum {
    IDENTITY_MAX = 8 * 1024,    /* bytes of base64; a URI is far shorter */
    CERTIFICATE_MAX = 64 * 1024 /* bytes of base64 */
};

static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_settable_ctx_params_fn decoder_settable_ctx_params;
static OSSL_FUNC_decoder_set_ctx_params_fn decoder_set_ctx_params;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_decode;

/* There is nothing to remember from one block to the next: the provider serves as context. */
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
 * Newer versions of OpenSSL tell in advance what the program looks for, and leave out a decoder
 * that answers 0. For anything but a key, nothing needs to be fetched.
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

/* 0 stands for a program that takes what comes. */
static int decoder_does_selection(void *provider, int selection)
{
    (void)provider;
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

/* Bytes in DER that are not ours. */
struct der {
    const unsigned char *bytes;
    size_t size;
};

/*
 * Takes the element at the start of *rest: what is inside of it, and all of it. Inside may be rest
 * again, to go down into the element. Returns false if it is not well-formed.
 */
static bool der_next(struct der *rest, struct der *inside, struct der *whole)
{
    const unsigned char *content = rest->bytes;
    long content_size;
    int tag, class, form;

    ERR_set_mark();
    form = ASN1_get_object(&content, &content_size, &tag, &class, (long)rest->size);
    ERR_pop_to_mark();
    /* 0x80: malformed; 1: of indefinite length, which DER does not have. */
    if ((form & 0x80) != 0 || (form & 1) != 0)
        return false;
    whole->bytes = rest->bytes;
    whole->size = (size_t)(content - rest->bytes) + (size_t)content_size;
    rest->bytes += whole->size;
    rest->size -= whole->size;
    inside->bytes = content;
    inside->size = (size_t)content_size;
    return true;
}

/*
 * Finds SubjectPublicKeyInfo in a certificate (RFC 5280, 4.1). Parsing it into an X509 would set up
 * decoders for the key, only to compare it.
 */
static bool find_public_key(struct der certificate, struct der *public_key)
{
    enum { SERIAL_NUMBER, SIGNATURE, ISSUER, VALIDITY, SUBJECT, PUBLIC_KEY };
    struct der rest, inside, whole;

    if (!der_next(&certificate, &rest, &whole) || !der_next(&rest, &rest, &whole))
        return false;
    if (rest.size > 0 && rest.bytes[0] == (V_ASN1_CONTEXT_SPECIFIC | V_ASN1_CONSTRUCTED) &&
            !der_next(&rest, &inside, &whole)) /* the version */
        return false;
    for (int field = SERIAL_NUMBER; field <= PUBLIC_KEY; field++)
        if (!der_next(&rest, &inside, public_key))
            return false;
    return true;
}

static int bad_block(const struct pem *pem, const char *problem)
{
    return library_refuse(pem->provider, ALIYUN_IOT_REASON_BAD_IDENTITY_FILE,
            "the block " IDENTITY " in the PEM file %s; write the file anew: aliyun-iot pem URI "
            "-o FILE",
            problem);
}

/* What a file holds that a block stands in. */
struct contents {
    size_t blocks;             /* ours, that block included */
    size_t certificates;       /* that can be read; a broken one is the program's to complain of */
    bool has_that_certificate; /* one with the public key in question */
};

static void look_at_certificate(struct pem *pem, struct der public_key, struct contents *contents)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *content = NULL;
    struct der certificate, its_key;

    if (pem_read_block(pem, CERTIFICATE, CERTIFICATE_MAX, &content))
        return;
    certificate.bytes = (const unsigned char *)content->data;
    certificate.size = content->length;
    if (!find_public_key(certificate, &its_key))
        return;
    contents->certificates++;
    if (its_key.size == public_key.size &&
            memcmp(its_key.bytes, public_key.bytes, its_key.size) == 0)
        contents->has_that_certificate = true;
}

/* Looks through the whole file, and comes back to where it is. Returns false if that can't be. */
static bool look_through_file(
        const struct pem *block, struct der public_key, struct contents *contents)
{
    const struct provider *provider = block->provider;
    struct pem pem = {.provider = provider, .bio = block->bio};
    long position = provider->bio_ctrl(pem.bio, BIO_C_FILE_TELL, 0, NULL);

    if (position < 0)
        return false;
    /* What a seek returns differs from BIO to BIO; where it went, tell says. */
    provider->bio_ctrl(pem.bio, BIO_C_FILE_SEEK, 0, NULL);
    if (provider->bio_ctrl(pem.bio, BIO_C_FILE_TELL, 0, NULL) == 0) {
        while (pem_next_block(&pem)) {
            if (pem_label_is(&pem, CERTIFICATE)) {
                look_at_certificate(&pem, public_key, contents);
                continue;
            }
            contents->blocks += pem_label_is(&pem, IDENTITY);
            pem_skip_block(&pem);
        }
    }
    provider->bio_ctrl(pem.bio, BIO_C_FILE_SEEK, position, NULL);
    return true;
}

/*
 * The certificates of an identity file were written once, and the cloud may have issued a new one
 * since. The program would only say that key and certificate differ: here it is known why. And of
 * two blocks, programs take the certificate of one and the key of the other.
 * A file that cannot be read again is not checked, nor the certificates of one that has none.
 */
static int check_file(const struct pem *block, const struct resolved *resolved, const char *uri)
{
    struct contents contents = {0};
    struct der leaf, public_key;

    leaf.bytes = resolved->library->identity_certificate(resolved->identity, 0, &leaf.size);
    if (!find_public_key(leaf, &public_key) || !look_through_file(block, public_key, &contents))
        return 1;
    if (contents.blocks > 1)
        return bad_block(block, "stands there more than once, and a file is for one device");
    if (contents.certificates == 0 || contents.has_that_certificate)
        return 1;
    return library_refuse(block->provider, ALIYUN_IOT_REASON_KEY_MISMATCH,
            "%s: the certificate in the PEM file is not the one that the cloud gives for the "
            "device now; renew the file: aliyun-iot pem %s -o FILE",
            uri, uri);
}

/* Hands the key to libcrypto, which looks for decoders of PrivateKeyInfo. */
static int give_key(const struct resolved *resolved, OSSL_CALLBACK *callback, void *argument)
{
    int type = OSSL_OBJECT_PKEY;
    const char *key_type = resolved->library->identity_key_type(resolved->identity);
    char structure[] = "PrivateKeyInfo";
    size_t size;
    const unsigned char *der = resolved->library->identity_key(resolved->identity, &size);
    OSSL_PARAM object[] = {
            OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
            OSSL_PARAM_construct_utf8_string(
                    OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)key_type, 0),
            OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
            OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, (void *)(uintptr_t)der, size),
            OSSL_PARAM_construct_end(),
    };

    return callback(object, argument);
}

static int decode_identity(struct pem *pem, OSSL_CALLBACK *callback, void *argument)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *content = NULL;
    __attribute__((cleanup(resolved_clear))) struct resolved resolved = {0};
    const char *problem = pem_read_block(pem, IDENTITY, IDENTITY_MAX, &content);
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
    return check_file(pem, &resolved, uri) && give_key(&resolved, callback, argument);
}

/* Returns 1 for what is not ours as well: libcrypto then drops all errors and goes on. */
static int decoder_decode(void *context, OSSL_CORE_BIO *bio, int selection, OSSL_CALLBACK *callback,
        void *argument, OSSL_PASSPHRASE_CALLBACK *passphrase_callback, void *passphrase_argument)
{
    struct pem pem = {.provider = context, .bio = bio};

    (void)passphrase_callback;
    (void)passphrase_argument;
    if (!pem_next_block(&pem))
        return 1;
    if (!pem_label_is(&pem, IDENTITY) || !decoder_does_selection(context, selection)) {
        pem_skip_block(&pem);
        return 1;
    }
    if (decode_identity(&pem, callback, argument))
        return 1;
    /* Python takes what is left there (a file looked for in vain) for the cause of the failure. */
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
