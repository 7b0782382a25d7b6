/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "base/identity_record.h"
#include "base/text.h"
#include "vault/entry.h"
#include "vault/sealing.h"

/*
 * A file of a vault. Random bytes never unseal, so the input is also taken for what a seal held,
 * and sealed first.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sealing_key key;
    CLEANUP(BUF_MEM_free) BUF_MEM *sealed_again = BUF_MEM_new(), *content = BUF_MEM_new();
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    /* A copy, so that a read past its end is seen. */
    CLEANUP(free) char *text = text_of_input(data, size);
    const struct bytes bytes = {(const unsigned char *)text, size};
    struct entry_names names;
    struct sealed sealed;
    bool lacks_memory;

    if (!sealing_key_identify(&key, NULL))
        abort();
    if (sealed_parse(bytes, &sealed)) {
        if (entry_names_read(sealed.names, &names) && strlen(names.device_name) > size)
            abort();
        if (unseal(&key, &sealed, content, NULL) < 0)
            abort();
    }
    content->length = 0;
    if (!seal(&key, (struct bytes){(const unsigned char *)"n", 2}, bytes, sealed_again, NULL) ||
            !sealed_parse(
                    (struct bytes){(const unsigned char *)sealed_again->data, sealed_again->length},
                    &sealed) ||
            unseal(&key, &sealed, content, NULL) != 1 || content->length != size)
        abort();
    identity = identity_record_read(bytes, &lacks_memory);
    return 0;
}
