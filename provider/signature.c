/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures by opaque keys (opaque_key.h). Whoever holds the key gets the message, not its digest,
 * so that it can look at what it signs.
 *
 * The parameters of a signature (digest, padding, salt) are those of a verification with the public
 * half, which another provider does: what a program sets is checked, and what it asks for is
 * answered, as for an ordinary key. Only the signature itself is made elsewhere.
 */
#include <stdbool.h>
#include <string.h>

#include <openssl/buffer.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "opaque_key.h"
#include "operations.h"
#include "private/cleanup.h"

#ifndef RSA_PSS_SALTLEN_AUTO_DIGEST_MAX /* OpenSSL before 3.1 */
#define RSA_PSS_SALTLEN_AUTO_DIGEST_MAX -4
#endif

enum { MESSAGE_MAX_BYTES = 128 * 1024 /* a TLS 1.2 transcript has 2 to 5 KiB */ };

static OSSL_FUNC_signature_newctx_fn signing_new;
static OSSL_FUNC_signature_freectx_fn signing_free;
static OSSL_FUNC_signature_dupctx_fn signing_dup;
static OSSL_FUNC_signature_sign_init_fn signing_init;
static OSSL_FUNC_signature_sign_fn signing_sign;
static OSSL_FUNC_signature_digest_sign_init_fn signing_digest_init;
static OSSL_FUNC_signature_digest_sign_update_fn signing_digest_sign_update;
static OSSL_FUNC_signature_digest_sign_final_fn signing_digest_sign_final;
static OSSL_FUNC_signature_digest_sign_fn signing_digest_sign;
static OSSL_FUNC_signature_digest_verify_fn signing_digest_verify;
static OSSL_FUNC_signature_digest_verify_update_fn signing_digest_verify_update;
static OSSL_FUNC_signature_digest_verify_final_fn signing_digest_verify_final;
static OSSL_FUNC_signature_get_ctx_params_fn signing_get_ctx_params;
static OSSL_FUNC_signature_gettable_ctx_params_fn signing_gettable_ctx_params;
static OSSL_FUNC_signature_set_ctx_params_fn signing_set_ctx_params;
static OSSL_FUNC_signature_settable_ctx_params_fn signing_settable_ctx_params;

struct signing {
    const struct provider *provider;
    char *properties;
    struct opaque_key *key; /* libcrypto keeps it for as long as the operation */
    EVP_MD_CTX *verification;
    BUF_MEM *message;
};

static void signing_release(struct signing *signing)
{
    signing_free(signing);
}
DEFINE_CLEANUP(struct signing *, signing_release);

static void *signing_new(void *provider, const char *properties)
{
    CLEANUP(signing_release) struct signing *signing = OPENSSL_zalloc(sizeof(*signing));

    if (!signing)
        return NULL;
    signing->provider = provider;
    signing->verification = EVP_MD_CTX_new();
    signing->message = BUF_MEM_new();
    signing->properties = properties ? OPENSSL_strdup(properties) : NULL;
    if (!signing->verification || !signing->message || (properties && !signing->properties))
        return NULL;
    return take(signing);
}

static void signing_free(void *context)
{
    struct signing *signing = context;

    if (!signing)
        return;
    EVP_MD_CTX_free(signing->verification);
    BUF_MEM_free(signing->message);
    OPENSSL_free(signing->properties);
    OPENSSL_free(signing);
}

static bool append(struct signing *signing, const unsigned char *bytes, size_t size)
{
    size_t used = signing->message->length;

    if (size > MESSAGE_MAX_BYTES - used) {
        library_refuse(signing->provider, ALIYUN_IOT_REASON_INTERNAL,
                "%s: a message of more than 128 KiB cannot be signed, because the private key is "
                "elsewhere and the whole message must go there",
                signing->key->uri);
        return false;
    }
    if (size == 0)
        return true;
    if (!BUF_MEM_grow_clean(signing->message, used + size))
        return false;
    memcpy(signing->message->data + used, bytes, size);
    return true;
}

static void *signing_dup(void *context)
{
    const struct signing *signing = context;
    CLEANUP(signing_release)
    struct signing *copy = signing_new((void *)(uintptr_t)signing->provider, signing->properties);

    if (!copy)
        return NULL;
    copy->key = signing->key;
    if (!EVP_MD_CTX_copy_ex(copy->verification, signing->verification) ||
            !append(copy, (const unsigned char *)signing->message->data, signing->message->length))
        return NULL;
    return take(copy);
}

/* A digest does not tell what was signed. */
static int signing_init(void *context, void *key, const OSSL_PARAM params[])
{
    const struct signing *signing = context;
    const struct opaque_key *given = key;

    (void)params;
    library_refuse(signing->provider, ALIYUN_IOT_REASON_INTERNAL,
            "%s: the private key is elsewhere and signs messages, but the program gives it a "
            "digest; with openssl pkeyutl add -rawin, or use openssl dgst -sign",
            given ? given->uri : "");
    return 0;
}

static int signing_sign(void *context, unsigned char *signature, size_t *size, size_t size_max,
        const unsigned char *digest, size_t digest_size)
{
    (void)context;
    (void)signature;
    (void)size;
    (void)size_max;
    (void)digest;
    (void)digest_size;
    return 0;
}

static int signing_digest_init(
        void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct signing *signing = context;

    if (key)
        signing->key = key;
    if (!signing->key || !signing->key->public_key)
        return 0;
    signing->message->length = 0;
    EVP_MD_CTX_reset(signing->verification);
    /* No name stands for a key that has its own digest, as Ed25519. */
    return EVP_DigestVerifyInit_ex(signing->verification, NULL, digest && *digest ? digest : NULL,
            signing->provider->library_context, signing->properties, signing->key->public_key,
            params);
}

static int signing_digest_sign_update(void *context, const unsigned char *bytes, size_t size)
{
    return append(context, bytes, size);
}

/* The scheme of the family that begins at first: SHA-256, SHA-384 and SHA-512 in this order. */
static bool find_digest(const struct signing *signing, int first, enum key_scheme *scheme)
{
    static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
    const EVP_MD *digest = EVP_MD_CTX_get0_md(signing->verification);

    for (int index = 0; index < 3; index++) {
        if (digest && EVP_MD_is_a(digest, digests[index])) {
            *scheme = (enum key_scheme)(first + index);
            return true;
        }
    }
    library_refuse(signing->provider, ALIYUN_IOT_REASON_INTERNAL,
            "%s: the private key is elsewhere and signs with SHA-256, SHA-384 and SHA-512 only, "
            "but the program asks for %s",
            signing->key->uri, digest ? EVP_MD_get0_name(digest) : "no digest");
    return false;
}

/* What the program set, or the default. */
struct rsa_parameters {
    int padding;
    int salt_bytes; /* or RSA_PSS_SALTLEN_... */
    char mask_digest[80];
};

static bool get_rsa_parameters(const struct signing *signing, struct rsa_parameters *rsa)
{
    OSSL_PARAM params[] = {
            OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &rsa->padding),
            OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &rsa->salt_bytes),
            OSSL_PARAM_construct_utf8_string(
                    OSSL_SIGNATURE_PARAM_MGF1_DIGEST, rsa->mask_digest, sizeof(rsa->mask_digest)),
            OSSL_PARAM_construct_end(),
    };

    return EVP_PKEY_CTX_get_params(EVP_MD_CTX_get_pkey_ctx(signing->verification), params) == 1;
}

/* Whether the salt is as long as the digest and the mask uses the same digest. */
static bool pss_is_served(const struct signing *signing, const struct rsa_parameters *rsa)
{
    const EVP_MD *digest = EVP_MD_CTX_get0_md(signing->verification);

    /* A signature with this salt is one of those that a verification with "auto" accepts. */
    return digest && EVP_MD_is_a(digest, rsa->mask_digest) &&
           (rsa->salt_bytes == RSA_PSS_SALTLEN_DIGEST || rsa->salt_bytes == RSA_PSS_SALTLEN_AUTO ||
                   rsa->salt_bytes == RSA_PSS_SALTLEN_AUTO_DIGEST_MAX ||
                   rsa->salt_bytes == EVP_MD_get_size(digest));
}

static bool find_rsa_scheme(const struct signing *signing, enum key_scheme *scheme)
{
    struct rsa_parameters rsa = {0};

    if (get_rsa_parameters(signing, &rsa)) {
        if (rsa.padding == RSA_PKCS1_PADDING)
            return find_digest(signing, KEY_SCHEME_RSA_PKCS1_SHA256, scheme);
        if (rsa.padding == RSA_PKCS1_PSS_PADDING && pss_is_served(signing, &rsa))
            return find_digest(signing, KEY_SCHEME_RSA_PSS_SHA256, scheme);
    }
    library_refuse(signing->provider, ALIYUN_IOT_REASON_INTERNAL,
            "%s: the private key is elsewhere and signs with PKCS#1 v1.5, or with PSS and a salt "
            "as "
            "long as the digest (rsa_pss_saltlen:digest), but the program asks for something else",
            signing->key->uri);
    return false;
}

static bool find_scheme(const struct signing *signing, enum key_scheme *scheme)
{
    const EVP_PKEY *key = signing->key->public_key;

    if (EVP_PKEY_is_a(key, "RSA"))
        return find_rsa_scheme(signing, scheme);
    if (EVP_PKEY_is_a(key, "EC"))
        return find_digest(signing, KEY_SCHEME_ECDSA_SHA256, scheme);
    *scheme = EVP_PKEY_is_a(key, "ED25519") ? KEY_SCHEME_ED25519 : KEY_SCHEME_ED448;
    return true;
}

static int sign(const struct signing *signing, unsigned char *signature, size_t *size)
{
    const struct resolved *resolved = &signing->key->resolved;
    struct aliyun_iot_error *error = NULL;
    enum key_scheme scheme;

    if (!find_scheme(signing, &scheme))
        return 0;
    if (resolved->library->identity_sign(resolved->identity, scheme,
                (const unsigned char *)signing->message->data, signing->message->length, signature,
                size, &error))
        return 1;
    /* In the trace too, because programs show libssl's words and not these. */
    library_refuse(signing->provider, resolved->library->error_reason(error), "%s: %s",
            signing->key->uri, resolved->library->error_message(error));
    resolved->library->error_free(error);
    return 0;
}

static int signing_digest_sign_final(
        void *context, unsigned char *signature, size_t *size, size_t size_max)
{
    struct signing *signing = context;
    int needed, done;

    if (!signing->key)
        return 0;
    needed = EVP_PKEY_get_size(signing->key->public_key);
    if (!signature) {
        *size = (size_t)needed;
        return 1;
    }
    if (size_max < (size_t)needed)
        return 0;
    *size = size_max;
    done = sign(signing, signature, size);
    /* An Ed25519 key may sign another message without a new beginning. */
    signing->message->length = 0;
    return done;
}

static int signing_digest_sign(void *context, unsigned char *signature, size_t *size,
        size_t size_max, const unsigned char *message, size_t message_size)
{
    return (!signature || append(context, message, message_size)) &&
           signing_digest_sign_final(context, signature, size, size_max);
}

/* Programs verify what they have just signed, such as openssl req. */
static int signing_digest_verify(void *context, const unsigned char *signature, size_t size,
        const unsigned char *message, size_t message_size)
{
    const struct signing *signing = context;

    return EVP_DigestVerify(signing->verification, signature, size, message, message_size) == 1;
}

static int signing_digest_verify_update(void *context, const unsigned char *bytes, size_t size)
{
    const struct signing *signing = context;

    return EVP_DigestVerifyUpdate(signing->verification, bytes, size) == 1;
}

static int signing_digest_verify_final(void *context, const unsigned char *signature, size_t size)
{
    const struct signing *signing = context;

    return EVP_DigestVerifyFinal(signing->verification, signature, size) == 1;
}

static EVP_PKEY_CTX *parameters_of(void *context)
{
    struct signing *signing = context;

    return signing ? EVP_MD_CTX_get_pkey_ctx(signing->verification) : NULL;
}

static int signing_get_ctx_params(void *context, OSSL_PARAM params[])
{
    EVP_PKEY_CTX *parameters = parameters_of(context);

    return parameters && EVP_PKEY_CTX_get_params(parameters, params);
}

static int signing_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    EVP_PKEY_CTX *parameters = parameters_of(context);

    return parameters && EVP_PKEY_CTX_set_params(parameters, params);
}

static const OSSL_PARAM none[] = {OSSL_PARAM_END};

static const OSSL_PARAM *signing_gettable_ctx_params(void *context, void *provider)
{
    EVP_PKEY_CTX *parameters = parameters_of(context);

    (void)provider;
    return parameters ? EVP_PKEY_CTX_gettable_params(parameters) : none;
}

static const OSSL_PARAM *signing_settable_ctx_params(void *context, void *provider)
{
    EVP_PKEY_CTX *parameters = parameters_of(context);

    (void)provider;
    return parameters ? EVP_PKEY_CTX_settable_params(parameters) : none;
}

const OSSL_DISPATCH signature_functions[] = {
        {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signing_new},
        {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))signing_free},
        {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))signing_dup},
        {OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))signing_init},
        {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))signing_sign},
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))signing_digest_init},
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))signing_digest_sign_update},
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))signing_digest_sign_final},
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))signing_digest_sign},
        {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))signing_digest_init},
        {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (void (*)(void))signing_digest_verify_update},
        {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (void (*)(void))signing_digest_verify_final},
        {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (void (*)(void))signing_digest_verify},
        {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))signing_get_ctx_params},
        {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))signing_gettable_ctx_params},
        {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))signing_set_ctx_params},
        {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))signing_settable_ctx_params},
        {0, NULL},
};
