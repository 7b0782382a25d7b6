/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/wrapping.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <libp11.h>

#include "vault/token/open_token.h"

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);

/*
 * RSA-OAEP (RFC 8017, 7.1) with SHA-1 for the hash and for MGF1: the one that every token has, and
 * it does not rest on what is broken of SHA-1.
 */
static bool set_padding(EVP_PKEY_CTX *operation)
{
    return EVP_PKEY_CTX_set_rsa_padding(operation, RSA_PKCS1_OAEP_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(operation, EVP_sha1()) > 0 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(operation, EVP_sha1()) > 0;
}

/* Returns whether it is done; out has room for *size bytes, and *size is how many it got. */
static bool decrypt(EVP_PKEY *pair, struct bytes in, unsigned char *out, size_t *size)
{
#ifdef HAVE_PKCS11_EVP_PKEY_DECRYPT
    /* libp11 since 0.4.19; since 0.4.18 it refuses what EVP_PKEY_decrypt() asks of it. */
    return PKCS11_evp_pkey_decrypt(pair, EVP_PKEY_RSA, "SHA1", RSA_PKCS1_OAEP_PADDING, "SHA1", NULL,
                   0, out, size, in.at, in.left) > 0;
#else
    CLEANUP(EVP_PKEY_CTX_free) EVP_PKEY_CTX *operation = EVP_PKEY_CTX_new(pair, NULL);

    return operation && EVP_PKEY_decrypt_init(operation) > 0 && set_padding(operation) &&
           EVP_PKEY_decrypt(operation, out, size, in.at, in.left) > 0;
#endif
}

static int fail(const char *what, const char *uri, struct aliyun_iot_error **error)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return error_set(error, ALIYUN_IOT_REASON_TOKEN, "the vault's key cannot be %s with %.300s: %s",
            what, uri, reason ? reason : "no reason given");
}

static int wrap(const struct settings *settings, const char *uri, struct bytes key,
        BUF_MEM *wrapped, struct aliyun_iot_error **error)
{
    const struct token_place place = token_place_of_vault(settings, uri);
    CLEANUP(EVP_PKEY_free) EVP_PKEY *pair = open_token_key(&place, error);
    CLEANUP(EVP_PKEY_CTX_free) EVP_PKEY_CTX *operation = NULL;
    size_t size = pair ? (size_t)EVP_PKEY_get_size(pair) : 0;
    int done;

    if (!pair)
        return 0;
    wrapped->length = 0;
    if (!BUF_MEM_grow(wrapped, size))
        return error_set_out_of_memory(error);
    ERR_set_mark();
    operation = EVP_PKEY_CTX_new(pair, NULL);
    done = operation && EVP_PKEY_encrypt_init(operation) > 0 && set_padding(operation) &&
           EVP_PKEY_encrypt(operation, (unsigned char *)wrapped->data, &size, key.at, key.left) > 0;
    if (done)
        wrapped->length = size;
    else
        fail("wrapped", uri, error);
    ERR_pop_to_mark();
    return done;
}

static int unwrap(const struct settings *settings, const char *uri, struct bytes wrapped,
        BUF_MEM *key, struct aliyun_iot_error **error)
{
    const struct token_place place = token_place_of_vault(settings, uri);
    CLEANUP(EVP_PKEY_free) EVP_PKEY *pair = open_token_key(&place, error);
    size_t size = pair ? (size_t)EVP_PKEY_get_size(pair) : 0;
    int done;

    if (!pair)
        return 0;
    key->length = 0;
    if (!BUF_MEM_grow_clean(key, size))
        return error_set_out_of_memory(error);
    ERR_set_mark();
    done = decrypt(pair, wrapped, (unsigned char *)key->data, &size);
    if (done)
        key->length = size;
    else
        fail("unwrapped", uri, error);
    ERR_pop_to_mark();
    return done;
}

const struct key_wrapper wrapping = {wrap, unwrap};
