/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client of TLS signs: a byte that names the scheme, and the message. In the message, each
 * "LEAF" stands for the certificate of the device, whose size is always the same.
 */
#include "fuzz.h"

#include "../unit/pair.h"
#include "agent/handshake/handshake.h"
#include "base/buffer.h"
#include "base/identity.h"

static X509 *leaf;
static struct aliyun_iot_identity *identity;

static void make_identity(void)
{
    EVP_PKEY *key = pair_key("ED25519");
    STACK_OF(X509) *chain = sk_X509_new_null();

    leaf = pair_certificate(key, -60, 86400);
    sk_X509_push(chain, leaf);
    identity = identity_new(chain, key, NULL, NULL, NULL);
    if (!identity)
        abort();
    sk_X509_free(chain);
    EVP_PKEY_free(key);
}

static void append_with_leaves(BUF_MEM *message, const uint8_t *data, size_t size)
{
    unsigned char *der = NULL;
    size_t der_size = (size_t)i2d_X509(leaf, &der);

    while (size > 0) {
        bool is_leaf = size >= 4 && memcmp(data, "LEAF", 4) == 0;
        size_t taken = is_leaf ? 4 : 1;

        if (!(is_leaf ? buffer_append(message, der, der_size) : buffer_append(message, data, 1)))
            abort();
        data += taken;
        size -= taken;
    }
    OPENSSL_free(der);
}

static void check_names(const struct transcript *transcript)
{
    for (size_t index = 0; index < transcript->names->count; index++)
        if (transcript->names->names[index].kind == SERVER_NAME_DNS)
            dns_name_overlaps(transcript->names->names[index].dns, "*.example");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *message = BUF_MEM_new();
    struct handshake handshake;

    if (!identity)
        make_identity();
    if (size < 1)
        return 0;
    append_with_leaves(message, data + 1, size - 1);
    handshake_read(message->data, message->length,
            (enum key_scheme)(data[0] % (KEY_SCHEME_ED448 + 1)), identity, &handshake);
    /* A handshake of TLS 1.2 shows its server; nothing else does. */
    if ((!handshake.problem && !handshake.is_tls_1_3) != (handshake.transcript.names != NULL))
        abort();
    if (handshake.transcript.names)
        check_names(&handshake.transcript);
    handshake_release(&handshake);
    return 0;
}
