/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/key_source.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/cryptography.h"
#include "vault/secret_file.h"

static int take_key(const BUF_MEM *bytes, const struct key_source *source, struct sealing_key *key,
        struct aliyun_iot_error **error)
{
    if (bytes->length != SEALING_KEY_SIZE)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the vault's key, %.300s: it must have 32 bytes, as from: head -c 32 /dev/urandom",
                source->text);
    memcpy(key->bytes, bytes->data, SEALING_KEY_SIZE);
    if (sealing_key_identify(key, error))
        return 1;
    OPENSSL_cleanse(key, sizeof(*key));
    return 0;
}

bool key_source_is_wrapped(const struct key_source *source)
{
    return strncmp(source->text, "pkcs11:", strlen("pkcs11:")) == 0;
}

int key_source_read(
        const struct key_source *source, struct sealing_key *key, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new();

    if (!bytes)
        return error_set_out_of_memory(error);
    return secret_file_read(source->text, "the vault's key", 4096, bytes, error) &&
           take_key(bytes, source, key, error);
}

int key_source_unwrap(const struct key_source *source, struct bytes wrapped,
        struct sealing_key *key, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new();

    if (!bytes)
        return error_set_out_of_memory(error);
    return source->wrapper->unwrap(source->settings, source->text, wrapped, bytes, error) &&
           take_key(bytes, source, key, error);
}

int key_source_make(const struct key_source *source, struct sealing_key *key, BUF_MEM *wrapped,
        struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);

    if (!context)
        return 0;
    if (RAND_priv_bytes_ex(context, key->bytes, SEALING_KEY_SIZE, 0) != 1)
        return error_set_openssl(error, "there are no random bytes");
    if (sealing_key_identify(key, error) &&
            source->wrapper->wrap(source->settings, source->text,
                    (struct bytes){key->bytes, SEALING_KEY_SIZE}, wrapped, error))
        return 1;
    OPENSSL_cleanse(key, sizeof(*key));
    return 0;
}
