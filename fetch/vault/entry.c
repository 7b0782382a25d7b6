/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/entry.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/cryptography.h"
#include "base/text.h"

enum { NAMES = sizeof(struct entry_names) / sizeof(const char *) };

struct entry_names entry_names_of(const char *account, const struct device *device)
{
    return (struct entry_names){account, device->region,
            device->instance_id ? device->instance_id : "", device->product_key,
            device->device_name};
}

bool entry_names_write(const struct entry_names *names, BUF_MEM *bytes)
{
    const char *const texts[NAMES] = {names->account, names->region, names->instance_id,
            names->product_key, names->device_name};

    for (size_t index = 0; index < NAMES; index++)
        if (!buffer_append(bytes, texts[index], strlen(texts[index]) + 1))
            return false;
    return true;
}

bool entry_names_read(struct bytes bytes, struct entry_names *names)
{
    const char *texts[NAMES];

    for (size_t index = 0; index < NAMES; index++) {
        const unsigned char *end = bytes.left > 0 ? memchr(bytes.at, '\0', bytes.left) : NULL;
        struct bytes text;

        if (!end || !bytes_take(&bytes, (size_t)(end - bytes.at) + 1, &text))
            return false;
        texts[index] = (const char *)text.at;
    }
    *names = (struct entry_names){texts[0], texts[1], texts[2], texts[3], texts[4]};
    return bytes.left == 0;
}

int entry_file_name(
        struct bytes names, char name[ENTRY_FILE_NAME_SIZE], struct aliyun_iot_error **error)
{
    OSSL_LIB_CTX *context = cryptography_context(error);
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (!context)
        return 0;
    if (!EVP_Q_digest(context, "SHA256", NULL, names.at, names.left, digest, NULL))
        return error_set_openssl(error, "SHA-256 failed");
    text_write_hexadecimal(name, digest, sizeof(digest));
    return 1;
}
