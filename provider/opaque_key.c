/* SPDX-License-Identifier: Apache-2.0 */
#include "opaque_key.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "operations.h"
#include "private/cleanup.h"

static void certificate_free(X509 *certificate)
{
    X509_free(certificate);
}
DEFINE_CLEANUP(X509 *, certificate_free);
DEFINE_CLEANUP(struct opaque_key *, opaque_key_free);

/* The leaf's public key, in the program's library context. */
static EVP_PKEY *public_key_of(const struct provider *provider, const struct resolved *resolved)
{
    size_t size;
    const unsigned char *der =
            resolved->library->identity_certificate(resolved->identity, 0, &size);
    CLEANUP(certificate_free) X509 *leaf = X509_new_ex(provider->library_context, NULL);

    return leaf && size <= LONG_MAX && d2i_X509(&leaf, &der, (long)size) ? X509_get_pubkey(leaf)
                                                                         : NULL;
}

struct opaque_key *opaque_key_new(
        const struct provider *provider, const struct resolved *resolved, const char *uri)
{
    size_t uri_size = strlen(uri) + 1;
    CLEANUP(opaque_key_free)
    struct opaque_key *key = OPENSSL_zalloc(sizeof(*key) + uri_size);

    if (!key) {
        provider_raise(provider, ALIYUN_IOT_REASON_OUT_OF_MEMORY, "%s: out of memory", uri);
        return NULL;
    }
    key->provider = provider;
    memcpy(key->uri, uri, uri_size);
    key->resolved = *resolved;
    key->resolved.identity = resolved->library->identity_reference(resolved->identity);
    key->public_key = public_key_of(provider, resolved);
    if (!key->public_key) {
        library_refuse(provider, ALIYUN_IOT_REASON_INTERNAL,
                "%s: the certificate's public key cannot be read in this program's library context",
                uri);
        return NULL;
    }
    return take(key);
}

void opaque_key_free(struct opaque_key *key)
{
    if (!key)
        return;
    resolved_clear(&key->resolved);
    EVP_PKEY_free(key->public_key);
    OPENSSL_free(key);
}

static _Thread_local enum opaque_keys_step step;

enum opaque_keys_step opaque_keys_step(void)
{
    return step;
}

static bool fetch_key_management(OSSL_LIB_CTX *context, const char *properties)
{
    EVP_KEYMGMT *found;

    ERR_set_mark();
    found = EVP_KEYMGMT_fetch(context, "RSA", properties);
    ERR_pop_to_mark();
    EVP_KEYMGMT_free(found);
    return found != NULL;
}

bool opaque_keys_enable(const struct provider *provider, const char *uri)
{
    bool found;

    if (!provider->shares_libcrypto) {
        library_refuse(provider, ALIYUN_IOT_REASON_LIBRARY,
                "%s: the private key stays where it is and signs there, which needs a program that "
                "uses the same libcrypto as the provider module",
                uri);
        return false;
    }
    step = OPAQUE_KEYS_OTHERS;
    /* It may be there from before, but not for ever: a provider may be deactivated meanwhile. */
    found = fetch_key_management(provider->library_context, OPAQUE_KEY_PROPERTY);
    if (!found) {
        fetch_key_management(provider->library_context, NULL);
        step = OPAQUE_KEYS_OURS;
        found = fetch_key_management(provider->library_context, OPAQUE_KEY_PROPERTY);
    }
    step = OPAQUE_KEYS_IDLE;
    if (!found)
        library_refuse(provider, ALIYUN_IOT_REASON_INTERNAL,
                "%s: OpenSSL does not take the provider's key management", uri);
    return found;
}
