/* SPDX-License-Identifier: Apache-2.0 */
/* A PEM file as the decoder reads it, line by line from the program's BIO. */
#include "fuzz.h"

#include <openssl/bio.h>

#include "../../provider/identity_file.h"

static int core_gets(OSSL_CORE_BIO *bio, char *line, int size)
{
    return BIO_gets((BIO *)bio, line, size);
}

static int core_ctrl(OSSL_CORE_BIO *bio, int command, long number, void *pointer)
{
    return (int)BIO_ctrl((BIO *)bio, command, number, pointer);
}

/* Every block is looked at, whatever stands before it. */
static void read_all_blocks(struct pem *pem)
{
    while (pem_next_block(pem)) {
        BUF_MEM *content = NULL;

        if (!pem_label_is(pem, IDENTITY_LABEL)) {
            pem_skip_block(pem);
            continue;
        }
        if ((pem_read_block(pem, IDENTITY_LABEL, 8192, &content) == NULL) != (content != NULL))
            abort();
        BUF_MEM_free(content);
    }
}

/* Reading the whole file comes back to where it was. */
static void search(struct pem *pem, const uint8_t *data, size_t size)
{
    struct identity_file file;
    long position;

    identity_file_find_block(pem, true);
    position = pem_position(pem);
    identity_file_read(pem, data, size, &file);
    if (pem_position(pem) != position)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct provider provider = {.bio_gets = core_gets, .bio_ctrl = core_ctrl};
    BIO *bio = BIO_new_mem_buf(data, (int)size);
    struct pem pem;

    if (!bio)
        return 0;
    if (pem_open(&pem, &provider, (OSSL_CORE_BIO *)bio)) {
        search(&pem, data, size);
        pem_go_to(&pem, 0);
        read_all_blocks(&pem);
    }
    BIO_free(bio);
    return 0;
}
