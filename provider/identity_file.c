/* SPDX-License-Identifier: Apache-2.0 */
#include "identity_file.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>

#define CERTIFICATE_LABEL "CERTIFICATE"

enum {
    CERTIFICATE_MAX_BYTES = 64 * 1024, /* of base64 */
    /* If the key block comes after many certificates, each block is the start of a new search. */
    LOOK_AHEAD_BLOCKS = 16,
    LOOK_AHEAD_BYTES = 256 * 1024
};

/* Reads over certificates. Returns true if it has come to the identity block. */
static bool look_ahead(struct pem *pem)
{
    for (int block = 0; block < LOOK_AHEAD_BLOCKS; block++) {
        if (!pem_next_block(pem))
            return false;
        if (pem_label_is(pem, IDENTITY_LABEL))
            return true;
        if (!pem_label_is(pem, CERTIFICATE_LABEL))
            return false;
        pem_skip_block(pem);
    }
    return false;
}

bool identity_file_find_block(struct pem *pem, bool look_ahead_allowed)
{
    bool found;

    if (!pem_next_block(pem))
        return false;
    if (pem_label_is(pem, IDENTITY_LABEL))
        return true;
    if (!look_ahead_allowed || !pem_label_is(pem, CERTIFICATE_LABEL) || !pem_can_look_ahead(pem))
        return false;
    pem->size_max = pem->size_read + LOOK_AHEAD_BYTES;
    pem_skip_block(pem);
    found = look_ahead(pem);
    pem->size_max = 0;
    return found;
}

/* Bytes in DER, borrowed. */
struct der_element {
    const unsigned char *bytes;
    size_t size;
};

/*
 * Takes the first element off *rest. *whole is the element, *inside is its content. inside may be
 * rest, in order to go on with the content. Returns false if the element is not well-formed.
 */
static bool der_next(
        struct der_element *rest, struct der_element *inside, struct der_element *whole)
{
    const unsigned char *content = rest->bytes;
    long content_size;
    int tag, class, form;

    ERR_set_mark();
    form = ASN1_get_object(&content, &content_size, &tag, &class, (long)rest->size);
    ERR_pop_to_mark();
    /* 0x80: malformed; 1: of indefinite length, which DER does not have. */
    if ((form & 0x80) != 0 || (form & 1) != 0)
        return false;
    whole->bytes = rest->bytes;
    whole->size = (size_t)(content - rest->bytes) + (size_t)content_size;
    rest->bytes += whole->size;
    rest->size -= whole->size;
    inside->bytes = content;
    inside->size = (size_t)content_size;
    return true;
}

/*
 * Finds SubjectPublicKeyInfo in a certificate (RFC 5280, 4.1). An X509 would set up decoders for
 * the key, which is only compared here.
 */
static bool find_public_key(struct der_element certificate, struct der_element *public_key)
{
    enum { SERIAL_NUMBER, SIGNATURE, ISSUER, VALIDITY, SUBJECT, PUBLIC_KEY };
    struct der_element rest, inside, whole;

    if (!der_next(&certificate, &rest, &whole) || !der_next(&rest, &rest, &whole))
        return false;
    if (rest.size > 0 && rest.bytes[0] == (V_ASN1_CONTEXT_SPECIFIC | V_ASN1_CONSTRUCTED) &&
            !der_next(&rest, &inside, &whole)) /* the version */
        return false;
    for (int field = SERIAL_NUMBER; field <= PUBLIC_KEY; field++)
        if (!der_next(&rest, &inside, public_key))
            return false;
    return true;
}

static void look_at_certificate(
        struct pem *pem, struct der_element leaf_public_key, struct identity_file *file)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *content = NULL;
    struct der_element certificate, public_key;

    if (pem_read_block(pem, CERTIFICATE_LABEL, CERTIFICATE_MAX_BYTES, &content))
        return;
    certificate.bytes = (const unsigned char *)content->data;
    certificate.size = content->length;
    if (!find_public_key(certificate, &public_key))
        return;
    file->certificates++;
    if (public_key.size == leaf_public_key.size &&
            memcmp(public_key.bytes, leaf_public_key.bytes, public_key.size) == 0)
        file->has_leaf = true;
}

bool identity_file_read(
        struct pem *pem, const unsigned char *leaf, size_t leaf_size, struct identity_file *file)
{
    struct der_element leaf_public_key;
    long position = pem_position(pem);
    struct pem whole;

    *file = (struct identity_file){0};
    if (position <= 0 || !find_public_key((struct der_element){leaf, leaf_size}, &leaf_public_key))
        return false;
    pem_go_to(pem, 0);
    if (!pem_open(&whole, pem->provider, pem->bio) || whole.start != 0) {
        pem_go_to(pem, position);
        return false;
    }
    while (pem_next_block(&whole)) {
        if (pem_label_is(&whole, CERTIFICATE_LABEL)) {
            look_at_certificate(&whole, leaf_public_key, file);
            continue;
        }
        file->blocks += pem_label_is(&whole, IDENTITY_LABEL);
        pem_skip_block(&whole);
    }
    pem_go_to(pem, position);
    return true;
}
