/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/device_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/cryptography.h"
#include "base/text.h"
#include "vault/entry.h"

void device_key_free(struct device_key *key)
{
    if (!key)
        return;
    free(key->uri);
    free(key->module_path);
    free(key->pin_source);
    BUF_MEM_free(key->modulus);
    free(key);
}

static bool copy(const char *text, char **to)
{
    *to = text ? strdup(text) : NULL;
    return *to || !text;
}

/* The beginning of a digest of all that names the device, as in a vault. */
static int find_id(const struct settings *settings, const struct device *device,
        struct device_key *key, struct aliyun_iot_error **error)
{
    const struct entry_names names = entry_names_of(settings->quota_account, device);
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new();
    OSSL_LIB_CTX *context = cryptography_context(error);
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (!context)
        return 0;
    if (!bytes || !entry_names_write(&names, bytes))
        return error_set_out_of_memory(error);
    if (!EVP_Q_digest(context, "SHA256", NULL, bytes->data, bytes->length, digest, NULL))
        return error_set_openssl(error, "SHA-256 failed");
    memcpy(key->id, digest, DEVICE_KEY_ID_SIZE);
    return 1;
}

struct device_key *device_key_new(const struct settings *settings, const struct device *device,
        struct aliyun_iot_error **error)
{
    CLEANUP(device_key_free) struct device_key *key = calloc(1, sizeof(*key));

    if (!key || !copy(settings->token_uri, &key->uri) ||
            !copy(settings->token_module_path, &key->module_path) ||
            !copy(settings->token_pin_source, &key->pin_source) ||
            !(key->modulus = BUF_MEM_new())) {
        error_set_out_of_memory(error);
        return NULL;
    }
    snprintf(key->label, sizeof(key->label), "%s/%s", device->product_key, device->device_name);
    return find_id(settings, device, key, error) ? take(key) : NULL;
}

struct token_place device_key_place(const struct device_key *key)
{
    return (struct token_place){"token", key->uri, key->module_path, key->pin_source};
}

struct bytes device_key_id(const struct device_key *key)
{
    return (struct bytes){key->id, DEVICE_KEY_ID_SIZE};
}

struct bytes device_key_modulus(const struct device_key *key)
{
    return (struct bytes){(const unsigned char *)key->modulus->data, key->modulus->length};
}
