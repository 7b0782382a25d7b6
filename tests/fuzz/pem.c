/* SPDX-License-Identifier: Apache-2.0 */
/* A PEM file as the decoder reads it, line by line from the program's BIO. */
#include "fuzz.h"

#include <openssl/bio.h>

#include "../../provider/pem.h"

static int core_gets(OSSL_CORE_BIO *bio, char *line, int size)
{
    return BIO_gets((BIO *)bio, line, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct provider provider = {.bio_gets = core_gets};
    BIO *bio = BIO_new_mem_buf(data, (int)size);
    struct pem pem = {.provider = &provider, .bio = (OSSL_CORE_BIO *)bio};

    if (!bio)
        return 0;
    while (pem_next_block(&pem)) {
        BUF_MEM *content = NULL;

        if (!pem_label_is(&pem, "ALIYUN-IOT IDENTITY")) {
            pem_skip_block(&pem);
            continue;
        }
        if ((pem_read_block(&pem, "ALIYUN-IOT IDENTITY", 8192, &content) == NULL) !=
                (content != NULL))
            abort();
        BUF_MEM_free(content);
    }
    BIO_free(bio);
    return 0;
}
