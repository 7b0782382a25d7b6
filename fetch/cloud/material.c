/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/material.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/buffer.h"
#include "base/cryptography.h"

#define DASHES "-----"

enum { CERTIFICATES_MAX = 16 };

DEFINE_CLEANUP(BIO *, BIO_free_all);
DEFINE_CLEANUP(OSSL_DECODER_CTX *, OSSL_DECODER_CTX_free);
DEFINE_CLEANUP(EVP_ENCODE_CTX *, EVP_ENCODE_CTX_free);

/* What a PEM block or a bare base64 text holds. */
struct block {
    char *label; /* of PEM; NULL: bare */
    unsigned char *der;
    long size;
};

static void block_release(struct block *block)
{
    OPENSSL_free(block->label);
    OPENSSL_clear_free(block->der, (size_t)block->size);
    *block = (struct block){0};
}

static int refuse_field(struct aliyun_iot_error **error, const char *field, const char *problem)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER, "the answer's %s %s", field, problem);
}

/* Text with room for all that is appended, and whether a new line begins before the next character.
 */
struct lines {
    BUF_MEM *text;
    bool new_line;
};

static void append_character(struct lines *lines, char character)
{
    BUF_MEM *text = lines->text;

    if (lines->new_line && character != '\n' && text->length > 0 &&
            text->data[text->length - 1] != '\n')
        text->data[text->length++] = '\n';
    lines->new_line = false;
    text->data[text->length++] = character;
}

/*
 * A copy of text with the line breaks that it means: a literal \n or \r\n stands for one, a blank
 * too, and there is one before and after each BEGIN and END line, which alone may have blanks.
 * Nothing makes an empty line that was not there: that would end the headers which PEM may have.
 */
static BUF_MEM *restore_line_breaks(const char *text)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *plain = BUF_MEM_new();
    struct lines lines = {.text = plain};
    bool in_marker = false; /* between the dashes of a BEGIN or END line */

    if (!plain || !BUF_MEM_grow_clean(plain, 2 * strlen(text) + 1))
        return NULL;
    plain->length = 0;
    for (; *text; text++) {
        if (strncmp(text, DASHES, strlen(DASHES)) == 0) {
            lines.new_line = lines.new_line || !in_marker;
            for (size_t dash = 0; dash < strlen(DASHES); dash++)
                append_character(&lines, '-');
            text += strlen(DASHES) - 1;
            lines.new_line = in_marker;
            in_marker = !in_marker;
        } else if (text[0] == '\\' && (text[1] == 'n' || text[1] == 'r')) {
            in_marker = false;
            if (*++text == 'n')
                append_character(&lines, '\n');
        } else if (!in_marker && strchr(" \t\r", *text)) {
            lines.new_line = true;
        } else {
            in_marker = in_marker && *text != '\n';
            append_character(&lines, *text);
        }
    }
    plain->data[plain->length] = '\0';
    return take(plain);
}

static int decode_bare_base64(const char *field, const BUF_MEM *text, struct block *block,
        struct aliyun_iot_error **error)
{
    CLEANUP(EVP_ENCODE_CTX_free) EVP_ENCODE_CTX *decoder = EVP_ENCODE_CTX_new();
    int size = 0, rest = 0;

    block->size = (long)text->length;
    block->der = OPENSSL_malloc(text->length + 1);
    if (!decoder || !block->der)
        return error_set_out_of_memory(error);
    EVP_DecodeInit(decoder);
    if (EVP_DecodeUpdate(decoder, block->der, &size, (const unsigned char *)text->data,
                (int)text->length) < 0 ||
            EVP_DecodeFinal(decoder, block->der + size, &rest) < 0 || size + rest == 0)
        return refuse_field(error, field, "is neither PEM nor base64");
    /* The tail was never written; what was decoded is all there is to cleanse. */
    block->size = size + rest;
    return 1;
}

/* Reads the next block of PEM. Returns 1, 0 with *error set, or -1: none is left. */
static int next_pem_block(
        BIO *bio, const char *field, struct block *block, struct aliyun_iot_error **error)
{
    char *header = NULL;
    bool encrypted;

    if (!PEM_read_bio(bio, &block->label, &header, &block->der, &block->size)) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            return -1;
        return refuse_field(error, field, "is broken PEM");
    }
    encrypted = header && *header;
    OPENSSL_free(header);
    if (encrypted)
        return refuse_field(error, field, "is encrypted PEM, which has no place in an answer");
    return 1;
}

static int append_certificate(STACK_OF(X509) *certificates, const struct block *block,
        OSSL_LIB_CTX *context, struct aliyun_iot_error **error)
{
    CLEANUP(X509_free) X509 *certificate = X509_new_ex(context, NULL);
    const unsigned char *place = block->der;

    if (!certificate)
        return error_set_out_of_memory(error);
    if (!d2i_X509(&certificate, &place, block->size) || place != block->der + block->size)
        return refuse_field(error, "Certificate", "is not an X.509 certificate");
    if (sk_X509_num(certificates) >= CERTIFICATES_MAX)
        return refuse_field(error, "Certificate", "holds more than 16 certificates");
    if (!sk_X509_push(certificates, certificate))
        return error_set_out_of_memory(error);
    certificate = NULL;
    return 1;
}

/* PKCS#1, SEC1 or PKCS#8, found by its content. type: OpenSSL's name of it; NULL: any. */
static EVP_PKEY *decode_key_of_type(
        const struct block *block, const char *type, OSSL_LIB_CTX *context)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
    CLEANUP(OSSL_DECODER_CTX_free)
    OSSL_DECODER_CTX *decoder =
            OSSL_DECODER_CTX_new_for_pkey(&key, "DER", NULL, type, EVP_PKEY_KEYPAIR, context, NULL);
    const unsigned char *place = block->der;
    size_t left = (size_t)block->size;

    if (!decoder || !OSSL_DECODER_from_data(decoder, &place, &left) || left != 0)
        return NULL;
    return take(key);
}

/*
 * The leaf says which type of key to expect, and OpenSSL 3.0 then sets up its decoders in a quarter
 * of the time. Any other type is read too: that it does not belong to the leaf is said later.
 */
static EVP_PKEY *decode_key(const struct block *block, const X509 *leaf, OSSL_LIB_CTX *context)
{
    EVP_PKEY *public_key = leaf ? X509_get0_pubkey(leaf) : NULL;
    EVP_PKEY *key = NULL;

    if (public_key)
        key = decode_key_of_type(block, EVP_PKEY_get0_type_name(public_key), context);
    return key ? key : decode_key_of_type(block, NULL, context);
}

/* What a field is read into. */
struct target {
    const char *field;
    STACK_OF(X509) *certificates; /* to add to; for a key, what it should belong to */
    EVP_PKEY **key;               /* NULL: certificates are wanted */
};

static int set_key(const struct target *target, const struct block *block, OSSL_LIB_CTX *context,
        struct aliyun_iot_error **error)
{
    if (*target->key)
        return refuse_field(error, "PrivateKey", "holds more than one key");
    if (block->label && strcmp(block->label, PEM_STRING_PKCS8) == 0)
        return refuse_field(error, "PrivateKey", "is encrypted");
    *target->key = decode_key(block, sk_X509_value(target->certificates, 0), context);
    if (!*target->key)
        return refuse_field(error, "PrivateKey", "is not a private key that OpenSSL can read");
    return 1;
}

static int take_block(const struct target *target, const struct block *block, OSSL_LIB_CTX *context,
        struct aliyun_iot_error **error)
{
    const char *label = block->label;

    if (target->key) {
        /* openssl ecparam writes the curve's block before the key's. */
        if (label && strcmp(label, PEM_STRING_ECPARAMETERS) == 0)
            return 1;
        return set_key(target, block, context, error);
    }
    if (label && strcmp(label, PEM_STRING_X509) != 0 && strcmp(label, PEM_STRING_X509_OLD) != 0)
        return refuse_field(error, target->field, "holds a PEM block that is no certificate");
    return append_certificate(target->certificates, block, context, error);
}

static int read_pem(const struct target *target, const BUF_MEM *text, OSSL_LIB_CTX *context,
        struct aliyun_iot_error **error)
{
    CLEANUP(BIO_free_all) BIO *bio = BIO_new_mem_buf(text->data, (int)text->length);

    if (!bio)
        return error_set_out_of_memory(error);
    for (;;) {
        struct block block = {0};
        int found = next_pem_block(bio, target->field, &block, error);
        int taken = found == 1 && take_block(target, &block, context, error);

        block_release(&block);
        if (found < 0)
            return 1;
        if (!taken)
            return 0;
    }
}

static int read_field(const struct target *target, const char *text, OSSL_LIB_CTX *context,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *plain = restore_line_breaks(text);
    struct block block = {0};
    int done;

    if (!plain)
        return error_set_out_of_memory(error);
    if (plain->length > INT_MAX)
        return refuse_field(error, target->field, "is too long");
    if (strstr(plain->data, "-----BEGIN "))
        return read_pem(target, plain, context, error);
    done = decode_bare_base64(target->field, plain, &block, error) &&
           take_block(target, &block, context, error);
    block_release(&block);
    return done;
}

static struct aliyun_iot_identity *parse_material(const char *certificate, const char *private_key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error)
{
    CLEANUP(certificates_free) STACK_OF(X509) *certificates = sk_X509_new_null();
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
    OSSL_LIB_CTX *context = cryptography_context(error);

    if (!context)
        return NULL;
    if (!certificates) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!read_field(
                &(struct target){"Certificate", certificates, NULL}, certificate, context, error) ||
            !read_field(&(struct target){"PrivateKey", certificates, &key}, private_key, context,
                    error))
        return NULL;
    if (sk_X509_num(certificates) == 0 || !key) {
        if (key)
            refuse_field(error, "Certificate", "is PEM without a certificate");
        else
            refuse_field(error, "PrivateKey", "is PEM without a private key");
        return NULL;
    }
    return identity_new(certificates, key, serial_number, request_id, error);
}

struct aliyun_iot_identity *material_parse(const char *certificate, const char *private_key,
        const char *serial_number, const char *request_id, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity;

    ERR_set_mark();
    identity = parse_material(certificate, private_key, serial_number, request_id, error);
    ERR_pop_to_mark();
    return identity;
}
