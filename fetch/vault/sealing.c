/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/sealing.h"

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/cryptography.h"

#define MAGIC "AIOTSEAL"

enum { MAGIC_SIZE = sizeof(MAGIC) - 1, VERSION_1 = 1, NONCE_SIZE = 12, TAG_SIZE = 16 };

/* What comes before the names. */
enum {
    ID_AT = MAGIC_SIZE + 1,
    NONCE_AT = ID_AT + SEALING_ID_SIZE,
    LENGTH_AT = NONCE_AT + NONCE_SIZE,
    NAMES_AT = LENGTH_AT + 2
};

DEFINE_CLEANUP(EVP_CIPHER *, EVP_CIPHER_free);
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free);

int sealing_key_identify(struct sealing_key *key, struct aliyun_iot_error **error)
{
    static const char purpose[] = "aliyun-iot vault key id 1";
    OSSL_LIB_CTX *context = cryptography_context(error);
    unsigned char text[sizeof(purpose) + SEALING_KEY_SIZE], digest[SHA256_DIGEST_LENGTH];
    int done;

    if (!context)
        return 0;
    memcpy(text, purpose, sizeof(purpose));
    memcpy(text + sizeof(purpose), key->bytes, SEALING_KEY_SIZE);
    done = EVP_Q_digest(context, "SHA256", NULL, text, sizeof(text), digest, NULL);
    OPENSSL_cleanse(text, sizeof(text));
    if (!done)
        return error_set_openssl(error, "the sealing key's id cannot be computed");
    memcpy(key->id, digest, SEALING_ID_SIZE);
    return 1;
}

bool sealed_parse(struct bytes bytes, struct sealed *sealed)
{
    const unsigned char *start = bytes.at;
    struct bytes fixed, names;

    if (!bytes_take(&bytes, LENGTH_AT, &fixed) || memcmp(start, MAGIC, MAGIC_SIZE) != 0 ||
            start[MAGIC_SIZE] != VERSION_1 || !bytes_take_vector(&bytes, 2, &names) ||
            bytes.left < TAG_SIZE || (names.left > 0 && names.at[names.left - 1] != '\0'))
        return false;
    *sealed = (struct sealed){.id = start + ID_AT,
            .names = names,
            .head = {start, NAMES_AT + names.left},
            .body = bytes};
    return true;
}

static EVP_CIPHER_CTX *begin(const struct sealing_key *key, const unsigned char *nonce,
        struct bytes head, bool encrypts, struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);
    CLEANUP(EVP_CIPHER_free)
    EVP_CIPHER *cipher = context ? EVP_CIPHER_fetch(context, "AES-256-GCM", NULL) : NULL;
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *operation = EVP_CIPHER_CTX_new();
    int written;

    if (!context)
        return NULL;
    if (cipher && operation &&
            EVP_CipherInit_ex2(operation, cipher, key->bytes, nonce, encrypts, NULL) == 1 &&
            EVP_CipherUpdate(operation, NULL, &written, head.at, (int)head.left) == 1)
        return take(operation);
    error_set_openssl(error, "AES-256-GCM cannot be used");
    return NULL;
}

static bool append_head(const struct sealing_key *key, const unsigned char *nonce,
        struct bytes names, BUF_MEM *sealed)
{
    const unsigned char version = VERSION_1;
    const unsigned char length[] = {(unsigned char)(names.left >> 8), (unsigned char)names.left};

    return buffer_append(sealed, MAGIC, MAGIC_SIZE) && buffer_append(sealed, &version, 1) &&
           buffer_append(sealed, key->id, SEALING_ID_SIZE) &&
           buffer_append(sealed, nonce, NONCE_SIZE) &&
           buffer_append(sealed, length, sizeof(length)) &&
           buffer_append(sealed, names.at, names.left);
}

int seal(const struct sealing_key *key, struct bytes names, struct bytes content, BUF_MEM *sealed,
        struct aliyun_iot_error **error)
{
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *operation = NULL;
    OSSL_LIB_CTX *context = cryptography_context(error);
    size_t before = sealed->length, head_size = NAMES_AT + names.left;
    unsigned char nonce[NONCE_SIZE], *body;
    int written, rest;

    if (!context)
        return 0;
    if (names.left > UINT16_MAX || content.left > INT_MAX)
        return error_set(error, ALIYUN_IOT_REASON_INTERNAL, "there is too much to be sealed");
    if (RAND_bytes_ex(context, nonce, sizeof(nonce), 0) != 1)
        return error_set_openssl(error, "there are no random bytes");
    if (!append_head(key, nonce, names, sealed) ||
            !BUF_MEM_grow_clean(sealed, before + head_size + content.left + TAG_SIZE))
        return error_set_out_of_memory(error);
    operation = begin(key, nonce,
            (struct bytes){(const unsigned char *)sealed->data + before, head_size}, true, error);
    if (!operation)
        return 0;
    body = (unsigned char *)sealed->data + before + head_size;
    if (EVP_CipherUpdate(operation, body, &written, content.at, (int)content.left) != 1 ||
            EVP_CipherFinal_ex(operation, body + written, &rest) != 1 ||
            EVP_CIPHER_CTX_ctrl(operation, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, body + content.left) !=
                    1)
        return error_set_openssl(error, "AES-256-GCM failed");
    return 1;
}

int unseal(const struct sealing_key *key, const struct sealed *sealed, BUF_MEM *content,
        struct aliyun_iot_error **error)
{
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *operation = NULL;
    size_t before = content->length, size = sealed->body.left - TAG_SIZE;
    unsigned char tag[TAG_SIZE], *place;
    int written, rest;

    if (memcmp(key->id, sealed->id, SEALING_ID_SIZE) != 0 || size > INT_MAX)
        return 0;
    operation = begin(key, sealed->head.at + NONCE_AT, sealed->head, false, error);
    if (!operation)
        return -1;
    /* One byte more, because there may be nothing in it. */
    if (!BUF_MEM_grow_clean(content, before + size + 1))
        return error_set_out_of_memory(error) - 1;
    content->length = before + size;
    memcpy(tag, sealed->body.at + size, TAG_SIZE);
    place = (unsigned char *)content->data + before;
    if (EVP_CipherUpdate(operation, place, &written, sealed->body.at, (int)size) == 1 &&
            EVP_CIPHER_CTX_ctrl(operation, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
            EVP_CipherFinal_ex(operation, place + written, &rest) == 1)
        return 1;
    /* What did not prove authentic is not to be seen. */
    OPENSSL_cleanse(place, size);
    content->length = before;
    return 0;
}
