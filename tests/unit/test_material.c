/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <stdbool.h>

#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cloud/material.h"

enum { DAY = 24 * 60 * 60 };

static EVP_PKEY *rsa, *other_rsa, *ec, *other_ec, *ed25519;

/* Takes the certificate. */
static char *pem_of_certificate(X509 *certificate)
{
    char *text = pair_certificate_pem(certificate);

    X509_free(certificate);
    return text;
}

static char *certificate_pem(EVP_PKEY *key, long from, long to)
{
    return pem_of_certificate(pair_certificate(key, from, to));
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
    char *certificate = certificate_pem(rsa, -DAY, DAY), *key = pair_key_pem(rsa, "type-specific");
    const char *line_breaks[] = {"\n", "\r\n", "\\n", "\\r\\n", " ", "  ", "\t", " \n", ""};
    char *bare_certificate = bare(certificate), *bare_key = bare(key);

    (void)state;
    assert_non_null(strstr(key, "BEGIN RSA PRIVATE KEY"));
    for (size_t index = 0; index < sizeof(line_breaks) / sizeof(line_breaks[0]); index++) {
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
        char *key = pair_key_pem(cases[index].key, cases[index].structure);
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
    char *key = pair_key_pem(rsa, "PrivateKeyInfo");
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
    char *other = pair_key_pem(other_rsa, "type-specific"),
         *other_type = pair_key_pem(ec, "type-specific");

    (void)state;
    assert_refused(certificate, other, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
    assert_refused(certificate, other_type, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
    free(certificate);
    free(other);
    free(other_type);
}

static EVP_PKEY *generate(const char *type, const char *parameter, const char *value)
{
    EVP_PKEY_CTX *generator = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    assert_int_equal(1, EVP_PKEY_keygen_init(generator));
    if (strncmp(type, "RSA", 3) == 0)
        assert_int_equal(1, EVP_PKEY_CTX_ctrl_str(generator, "bits", "1024"));
    if (parameter)
        assert_int_equal(1, EVP_PKEY_CTX_ctrl_str(generator, parameter, value));
    assert_int_equal(1, EVP_PKEY_keygen(generator, &key));
    EVP_PKEY_CTX_free(generator);
    return key;
}

static void the_pair_is_proven_for_every_type_of_key(void **state)
{
    static const struct {
        const char *type, *parameter, *value;
    } cases[] = {
            {"RSA", NULL, NULL},
            {"RSA-PSS", NULL, NULL},
            {"RSA-PSS", "digest", "SHA256"},
            {"EC", "group", "P-256"},
            {"EC", "group", "P-384"},
            {"EC", "group", "P-521"},
            {"EC", "group", "secp256k1"},
            {"EC", "group", "brainpoolP256r1"},
            {"ED25519", NULL, NULL},
            {"ED448", NULL, NULL},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        EVP_PKEY *key = generate(cases[index].type, cases[index].parameter, cases[index].value);
        EVP_PKEY *other = generate(cases[index].type, cases[index].parameter, cases[index].value);
        char *certificate = certificate_pem(key, -DAY, DAY);
        char *text = pair_key_pem(key, "PrivateKeyInfo"),
             *wrong = pair_key_pem(other, "PrivateKeyInfo");

        assert_read(certificate, text, cases[index].type);
        assert_refused(certificate, wrong, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
        free(certificate);
        free(text);
        free(wrong);
    }
}

static void a_private_half_that_does_not_fit_its_public_half_is_refused(void **state)
{
    const struct {
        EVP_PKEY *key, *other;
        const char *names[8];
    } cases[] = {
            {rsa, other_rsa,
                    {"d", "rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2",
                            "rsa-coefficient1"}},
            {rsa, other_rsa,
                    {"rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2",
                            "rsa-coefficient1"}},
            {rsa, other_rsa, {"d"}},
            {rsa, other_rsa, {"rsa-factor1"}},
            {rsa, other_rsa, {"rsa-factor2"}},
            {rsa, other_rsa, {"rsa-exponent1"}},
            {rsa, other_rsa, {"rsa-exponent2"}},
            {rsa, other_rsa, {"rsa-coefficient1"}},
            {ec, other_ec, {"priv"}},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        EVP_PKEY *grafted = graft(cases[index].key, cases[index].other, cases[index].names);
        char *certificate = certificate_pem(cases[index].key, -DAY, DAY);
        char *text = pair_key_pem(grafted, "PrivateKeyInfo");

        assert_refused(certificate, text, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not belong");
        EVP_PKEY_free(grafted);
        free(certificate);
        free(text);
    }
}

static void a_key_that_cannot_sign_is_refused(void **state)
{
    EVP_PKEY *key = generate("X25519", NULL, NULL);
    char *certificate = pem_of_certificate(pair_certificate_by(key, rsa, -DAY, DAY));
    char *text = pair_key_pem(key, "PrivateKeyInfo");

    (void)state;
    assert_refused(certificate, text, ALIYUN_IOT_REASON_BAD_ANSWER, "cannot sign");
    EVP_PKEY_free(key);
    free(certificate);
    free(text);
}

static void a_certificate_outside_its_dates_is_refused(void **state)
{
    char *expired = certificate_pem(ec, -2 * DAY, -DAY), *early = certificate_pem(ec, DAY, 2 * DAY);
    char *key = pair_key_pem(ec, "PrivateKeyInfo");

    (void)state;
    assert_refused(expired, key, ALIYUN_IOT_REASON_NOT_VALID, "valid from");
    assert_refused(early, key, ALIYUN_IOT_REASON_NOT_VALID, "valid from");
    free(expired);
    free(early);
    free(key);
}

static void nothing_is_guessed_about_broken_material(void **state)
{
    char *certificate = certificate_pem(rsa, -DAY, DAY), *key = pair_key_pem(rsa, "type-specific");
    char *two_keys = join(key, key), *cut = strndup(key, strlen(key) / 2);
    char *garbage_after = NULL, *bare_key = bare(key);
    BIO *bio = BIO_new(BIO_s_mem());
    char *encrypted;

    (void)state;
    assert_int_equal(
            1, PEM_write_bio_PKCS8PrivateKey(bio, rsa, EVP_aes_128_cbc(), "secret", 6, NULL, NULL));
    encrypted = pair_text_of_bio(bio);
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
    rsa = pair_key("RSA");
    other_rsa = pair_key("RSA");
    ec = pair_key("EC");
    other_ec = pair_key("EC");
    ed25519 = pair_key("ED25519");
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(other_ec);
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
            cmocka_unit_test(the_pair_is_proven_for_every_type_of_key),
            cmocka_unit_test(a_private_half_that_does_not_fit_its_public_half_is_refused),
            cmocka_unit_test(a_key_that_cannot_sign_is_refused),
            cmocka_unit_test(a_certificate_outside_its_dates_is_refused),
            cmocka_unit_test(nothing_is_guessed_about_broken_material),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
