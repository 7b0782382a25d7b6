/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/signing_keys.h"

#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/rsa.h>

#include "base/cryptography.h"

enum { KEYS_MAX = 1024 };

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free);

struct kept_key {
    struct signing_key key; /* the first member, so that a pointer to it is one to this */
    atomic_int references;
    struct aliyun_iot_identity *identity; /* a reference, so that no other has its address */
    struct kept_key *newer, *older;
};

struct signing_keys {
    pthread_mutex_t lock;
    void *tree; /* by the address of the identity, for tsearch(3) */
    struct kept_key *newest, *oldest;
    int count;
};

struct signing_keys *signing_keys_new(void)
{
    struct signing_keys *keys = calloc(1, sizeof(*keys));

    if (keys)
        pthread_mutex_init(&keys->lock, NULL);
    return keys;
}

void signing_key_free(const struct signing_key *key)
{
    /* Only its owner sees it as constant. */
    union {
        const struct signing_key *constant;
        struct kept_key *entry;
    } freed = {.constant = key};

    if (!key || atomic_fetch_sub(&freed.entry->references, 1) > 1)
        return;
    EVP_PKEY_free(freed.entry->key.key);
    aliyun_iot_identity_free(freed.entry->identity);
    free(freed.entry);
}

static int compare(const void *left, const void *right)
{
    uintptr_t one = (uintptr_t)((const struct kept_key *)left)->identity;
    uintptr_t other = (uintptr_t)((const struct kept_key *)right)->identity;

    return (one > other) - (one < other);
}

static void unlink_entry(struct signing_keys *keys, struct kept_key *entry)
{
    *(entry->newer ? &entry->newer->older : &keys->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &keys->oldest) = entry->newer;
}

static void link_newest(struct signing_keys *keys, struct kept_key *entry)
{
    entry->newer = NULL;
    entry->older = keys->newest;
    *(keys->newest ? &keys->newest->newer : &keys->oldest) = entry;
    keys->newest = entry;
}

/* With the lock held. */
static void remove_oldest(struct signing_keys *keys)
{
    struct kept_key *entry = keys->oldest;

    tdelete(entry, &keys->tree, compare);
    unlink_entry(keys, entry);
    keys->count--;
    signing_key_free(&entry->key);
}

void signing_keys_clear(struct signing_keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    while (keys->oldest)
        remove_oldest(keys);
    pthread_mutex_unlock(&keys->lock);
}

void signing_keys_free(struct signing_keys *keys)
{
    if (!keys)
        return;
    signing_keys_clear(keys);
    pthread_mutex_destroy(&keys->lock);
    free(keys);
}

/* With the lock held. */
static struct kept_key *find(struct signing_keys *keys, struct aliyun_iot_identity *identity)
{
    struct kept_key **found = tfind(&(struct kept_key){.identity = identity}, &keys->tree, compare);

    if (!found)
        return NULL;
    unlink_entry(keys, *found);
    link_newest(keys, *found);
    atomic_fetch_add(&(*found)->references, 1);
    return *found;
}

static struct kept_key *make(struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = identity_key_pair(identity, error);
    CLEANUP(X509_free) X509 *leaf = key ? identity_leaf(identity, error) : NULL;
    struct kept_key *entry;

    if (!leaf)
        return NULL;
    entry = calloc(1, sizeof(*entry));
    if (!entry) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!agent_key_hash(cryptography_context(NULL), leaf, entry->key.hash)) {
        free(entry);
        error_set_openssl(error, "the hash of the public key cannot be made");
        return NULL;
    }
    entry->key.key = take(key);
    entry->identity = identity_reference(identity);
    entry->references = 1;
    return entry;
}

/* Without memory for it nothing is lost: the key is made again the next time. */
static void remember(struct signing_keys *keys, struct kept_key *entry)
{
    pthread_mutex_lock(&keys->lock);
    if (!tfind(entry, &keys->tree, compare) && tsearch(entry, &keys->tree, compare)) {
        link_newest(keys, entry);
        keys->count++;
        atomic_fetch_add(&entry->references, 1);
        if (keys->count > KEYS_MAX)
            remove_oldest(keys);
    }
    pthread_mutex_unlock(&keys->lock);
}

const struct signing_key *signing_keys_get(struct signing_keys *keys,
        struct aliyun_iot_identity *identity, struct aliyun_iot_error **error)
{
    struct kept_key *entry;

    pthread_mutex_lock(&keys->lock);
    entry = find(keys, identity);
    pthread_mutex_unlock(&keys->lock);
    if (!entry) {
        entry = make(identity, error);
        if (entry)
            remember(keys, entry);
    }
    return entry ? &entry->key : NULL;
}

static const char *const digests[] = {
        [KEY_SCHEME_RSA_PKCS1_SHA256] = "SHA256",
        [KEY_SCHEME_RSA_PKCS1_SHA384] = "SHA384",
        [KEY_SCHEME_RSA_PKCS1_SHA512] = "SHA512",
        [KEY_SCHEME_RSA_PSS_SHA256] = "SHA256",
        [KEY_SCHEME_RSA_PSS_SHA384] = "SHA384",
        [KEY_SCHEME_RSA_PSS_SHA512] = "SHA512",
        [KEY_SCHEME_ECDSA_SHA256] = "SHA256",
        [KEY_SCHEME_ECDSA_SHA384] = "SHA384",
        [KEY_SCHEME_ECDSA_SHA512] = "SHA512",
        [KEY_SCHEME_ED25519] = NULL, /* the schemes have their own */
        [KEY_SCHEME_ED448] = NULL,
};

static bool is_pss(enum key_scheme scheme)
{
    return scheme == KEY_SCHEME_RSA_PSS_SHA256 || scheme == KEY_SCHEME_RSA_PSS_SHA384 ||
           scheme == KEY_SCHEME_RSA_PSS_SHA512;
}

static bool sign(EVP_MD_CTX *operation, const struct signing_key *key, enum key_scheme scheme,
        const BUF_MEM *message, BUF_MEM *signature)
{
    EVP_PKEY_CTX *parameters;
    size_t size = (size_t)EVP_PKEY_get_size(key->key);

    if (EVP_DigestSignInit_ex(operation, &parameters, digests[scheme], cryptography_context(NULL),
                NULL, key->key, NULL) != 1)
        return false;
    if (is_pss(scheme) &&
            (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) != 1))
        return false;
    if (!BUF_MEM_grow_clean(signature, size) ||
            EVP_DigestSign(operation, (unsigned char *)signature->data, &size,
                    (const unsigned char *)message->data, message->length) != 1)
        return false;
    signature->length = size;
    return true;
}

int signing_key_sign(const struct signing_key *key, enum key_scheme scheme, const BUF_MEM *message,
        BUF_MEM *signature, struct aliyun_iot_error **error)
{
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *operation = EVP_MD_CTX_new();

    if (!operation)
        return error_set_out_of_memory(error);
    return sign(operation, key, scheme, message, signature) ||
           error_set_openssl(error, "the signature cannot be made");
}
