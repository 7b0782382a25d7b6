/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/signing_keys.h"

#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cryptography.h"
#include "base/scheme.h"

enum { KEYS_MAX = 1024 };

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
    const struct key_signer *signer = identity_signer(identity);
    CLEANUP(EVP_PKEY_free)
    EVP_PKEY *key =
            signer ? identity_public_key(identity, error) : identity_key_pair(identity, error);
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
    entry->key.signer = signer;
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

int signing_key_sign(const struct signing_key *key, enum key_scheme scheme, const BUF_MEM *message,
        BUF_MEM *signature, struct aliyun_iot_error **error)
{
    const struct bytes bytes = {(const unsigned char *)message->data, message->length};
    size_t size = (size_t)EVP_PKEY_get_size(key->key);

    if (!BUF_MEM_grow_clean(signature, size))
        return error_set_out_of_memory(error);
    if (key->signer) {
        if (!key->signer->sign(key->signer->context, scheme, bytes.at, bytes.left,
                    (unsigned char *)signature->data, &size, error))
            return 0;
    } else if (!scheme_sign(key->key, cryptography_context(NULL), scheme, bytes,
                       (unsigned char *)signature->data, &size)) {
        return error_set_openssl(error, "the signature cannot be made");
    }
    signature->length = size;
    return 1;
}
