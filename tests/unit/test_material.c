/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cloud/material.h"

enum { DAY = 24 * 60 * 60 };

static EVP_PKEY *rsa, *other_rsa, *ec, *ed25519;

static X509 *make_certificate(EVP_PKEY *key, long from, long to)
{
    X509 *certificate = X509_new();
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();

    assert_int_equal(1, X509_set_version(certificate, X509_VERSION_3));
    assert_int_equal(1, ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), from));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), to));
    assert_int_equal(1, X509_set_pubkey(certificate, key));
    assert_true(X509_sign(certificate, key, digest) > 0);
    return certificate;
}

/* The text of what print writes to a BIO, to be freed with free(). */
static char *text_of_bio(BIO *bio)
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)size);

    BIO_free(bio);
    return text;
}

static char *certificate_pem(EVP_PKEY *key, long from, long to)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *certificate = make_certificate(key, from, to);

    assert_int_equal(1, PEM_write_bio_X509(bio, certificate));
    X509_free(certificate);
    return text_of_bio(bio);
}

/* structure: "PrivateKeyInfo" (PKCS#8) or "type-specific" (PKCS#1, SEC1). */
static char *key_pem(EVP_PKEY *key, const char *structure)
{
    BIO *bio = BIO_new(BIO_s_mem());
    OSSL_ENCODER_CTX *encoder =
            OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, "PEM", structure, NULL);

    assert_int_equal(1, OSSL_ENCODER_to_bio(encoder, bio));
    OSSL_ENCODER_CTX_free(encoder);
    return text_of_bio(bio);
}

/* Replaces every line break. */
static char *reframe(const char *text, const char *line_break)
{
    char *reframed = calloc(strlen(text) * 3 + 1, 1), *end = reframed;

    for (; *text; text++) {
        if (*text == '\n')
            end = stpcpy(end, line_break);
        else
            *end++ = *text;
    }
    return reframed;
}

/* What stands between the lines BEGIN and END: base64, with its line breaks. */
static char *bare(const char *pem)
{
    const char *begin = strchr(pem, '\n') + 1;

    return strndup(begin, (size_t)(strstr(begin, "-----END") - begin));
}

static void assert_read(const char *certificate, const char *key, const char *key_type)
{
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity =
            material_parse(certificate, key, "sn-1", "request-1", &error);
    size_t size = 0;

    if (!identity)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(aliyun_iot_identity_key_type(identity), key_type);
    assert_string_equal(aliyun_iot_identity_serial_number(identity), "sn-1");
    assert_string_equal(aliyun_iot_identity_request_id(identity), "request-1");
    assert_non_null(aliyun_iot_identity_key(identity, &size));
    assert_true(size > 0);
    assert_non_null(aliyun_iot_identity_key_parameters(identity));
    aliyun_iot_identity_free(identity);
}

static void assert_refused(
        const char *certificate, const char *key, enum aliyun_iot_reason reason, const char *phrase)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(material_parse(certificate, key, NULL, NULL, &error));
    assert_error(error, reason, phrase);
    assert_int_equal(ERR_peek_error(), 0);
}

static void every_framing_of_a_pair_is_read(void **state)
{
    char *certificate = certificate_pem(rsa, -DAY, DAY), *key = key_pem(rsa, "type-specific");
    const char *line_breaks[] = {"\n", "\r\n", "\\n", "\\r\\n"};
    char *bare_certificate = bare(certificate), *bare_key = bare(key);

    (void)state;
    assert_non_null(strstr(key, "BEGIN RSA PRIVATE KEY"));
    for (size_t index = 0; index < 4; index++) {
        char *framed_certificate = reframe(certificate, line_breaks[index]);
        char *framed_key = reframe(key, line_breaks[index]);
        char *framed_bare = reframe(bare_certificate, line_breaks[index]);

        assert_read(framed_certificate, framed_key, "RSA");
        assert_read(framed_bare, framed_key, "RSA");
        free(framed_certificate);
        free(framed_key);
        free(framed_bare);
    }
    assert_read(bare_certificate, bare_key, "RSA");
    char *one_line = reframe(bare_certificate, ""), *one_line_key = reframe(bare_key, "");
    assert_read(one_line, one_line_key, "RSA");
    free(one_line);
    free(one_line_key);
    free(bare_certificate);
    free(bare_key);
    free(certificate);
    free(key);
}

static void every_structure_of_key_is_read(void **state)
{
    const struct {
        EVP_PKEY *key;
        const char *structure, *type;
    } cases[] = {
            {rsa, "type-specific", "RSA"},
            {rsa, "PrivateKeyInfo", "RSA"},
            {ec, "type-specific", "EC"},
            {ec, "PrivateKeyInfo", "EC"},
            {ed25519, "PrivateKeyInfo", "ED25519"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char *certificate = certificate_pem(cases[index].key, -DAY, DAY);
        char *key = key_pem(cases[index].key, cases[index].structure);
        char *bare_key = bare(key);

        assert_read(certificate, key, cases[index].type);
        assert_read(certificate, bare_key, cases[index].type);
        free(certificate);
        free(key);
        free(bare_key);
    }
}

static char *join(const char *first, const char *second)
{
    char *joined = NULL;

    assert_true(asprintf(&joined, "%s%s", first, second) > 0);
    return joined;
}

static void certificates_after_the_leaf_stay_in_order(void **state)
{
    char *leaf = certificate_pem(rsa, -DAY, DAY), *issuer = certificate_pem(ec, -DAY, DAY);
    char *chain = join(leaf, issuer), *reversed = join(issuer, leaf);
    char *key = key_pem(rsa, "PrivateKeyInfo");
    struct aliyun_iot_identity *identity = material_parse(chain, key, NULL, NULL, NULL);

    (void)state;
    assert_non_null(identity);
    assert_int_equal(aliyun_iot_identity_certificate_count(identity), 2);
    aliyun_iot_identity_free(identity);
    assert_refused(reversed, key, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
    free(leaf);
    free(issuer);
    free(chain);
    free(reversed);
    free(key);
}

static void a_pair_that_does_not_match_is_refused(void **state)
{
    char *certificate = certificate_pem(rsa, -DAY, DAY);
    char *other = key_pem(other_rsa, "type-specific"), *other_type = key_pem(ec, "type-specific");

    (void)state;
    assert_refused(certificate, other, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
    assert_refused(certificate, other_type, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
    free(certificate);
    free(other);
    free(other_type);
}

static void a_certificate_outside_its_dates_is_refused(void **state)
{
    char *expired = certificate_pem(ec, -2 * DAY, -DAY), *early = certificate_pem(ec, DAY, 2 * DAY);
    char *key = key_pem(ec, "PrivateKeyInfo");

    (void)state;
    assert_refused(expired, key, ALIYUN_IOT_REASON_NOT_VALID, "valid from");
    assert_refused(early, key, ALIYUN_IOT_REASON_NOT_VALID, "valid from");
    free(expired);
    free(early);
    free(key);
}

static void nothing_is_guessed_about_broken_material(void **state)
{
    char *certificate = certificate_pem(rsa, -DAY, DAY), *key = key_pem(rsa, "type-specific");
    char *two_keys = join(key, key), *cut = strndup(key, strlen(key) / 2);
    char *garbage_after = NULL, *bare_key = bare(key);
    BIO *bio = BIO_new(BIO_s_mem());
    char *encrypted;

    (void)state;
    assert_int_equal(
            1, PEM_write_bio_PKCS8PrivateKey(bio, rsa, EVP_aes_128_cbc(), "secret", 6, NULL, NULL));
    encrypted = text_of_bio(bio);
    garbage_after = join(bare_key, "AAAA");
    assert_refused(certificate, "", ALIYUN_IOT_REASON_BAD_ANSWER, "PrivateKey");
    assert_refused("", key, ALIYUN_IOT_REASON_BAD_ANSWER, "Certificate");
    assert_refused(certificate, "hello world!", ALIYUN_IOT_REASON_BAD_ANSWER, "PrivateKey");
    assert_refused("!", key, ALIYUN_IOT_REASON_BAD_ANSWER, "neither PEM nor base64");
    assert_refused(certificate, two_keys, ALIYUN_IOT_REASON_BAD_ANSWER, "more than one key");
    assert_refused(certificate, cut, ALIYUN_IOT_REASON_BAD_ANSWER, "PrivateKey is broken PEM");
    assert_refused(certificate, encrypted, ALIYUN_IOT_REASON_BAD_ANSWER, "encrypted");
    assert_refused(certificate, certificate, ALIYUN_IOT_REASON_BAD_ANSWER, "PrivateKey");
    assert_refused(key, key, ALIYUN_IOT_REASON_BAD_ANSWER, "no certificate");
    assert_refused(certificate, garbage_after, ALIYUN_IOT_REASON_BAD_ANSWER, "PrivateKey");
    free(certificate);
    free(key);
    free(two_keys);
    free(cut);
    free(encrypted);
    free(garbage_after);
    free(bare_key);
}

static int make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return rsa && other_rsa && ec && ed25519 ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ed25519);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_framing_of_a_pair_is_read),
            cmocka_unit_test(every_structure_of_key_is_read),
            cmocka_unit_test(certificates_after_the_leaf_stay_in_order),
            cmocka_unit_test(a_pair_that_does_not_match_is_refused),
            cmocka_unit_test(a_certificate_outside_its_dates_is_refused),
            cmocka_unit_test(nothing_is_guessed_about_broken_material),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
