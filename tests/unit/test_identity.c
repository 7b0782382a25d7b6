/* SPDX-License-Identifier: Apache-2.0 */
/* An identity's key is data, or a signer. */
#include "signer_double.h"

#include "base/identity.h"

static const char *const key_types[] = {"RSA", "EC", "ED25519"};
enum { TYPES = sizeof(key_types) / sizeof(key_types[0]) };

static EVP_PKEY *keys[TYPES], *others[TYPES];

/* A chain with a certificate of the key alone. */
static STACK_OF(X509) *chain_of(EVP_PKEY *key, long from, long to)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    assert_true(sk_X509_push(chain, pair_certificate(key, from, to)));
    return chain;
}

/* Of a certificate of key. The signer has a key of its own, which may be another. */
static struct aliyun_iot_identity *new_with_signer(
        EVP_PKEY *key, struct signer_double *signer, struct aliyun_iot_error **error)
{
    CLEANUP(certificates_free) STACK_OF(X509) *chain = chain_of(key, -60, 3600);
    const struct key_signer key_signer = signer_double(signer);

    return identity_new_with_signer(chain, &key_signer, "serial", "request", error);
}

static void a_key_that_is_data_has_no_signer(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        CLEANUP(certificates_free) STACK_OF(X509) *chain = chain_of(keys[type], -60, 3600);
        CLEANUP(aliyun_iot_identity_free)
        struct aliyun_iot_identity *identity = identity_new(chain, keys[type], NULL, NULL, NULL);
        CLEANUP(EVP_PKEY_free) EVP_PKEY *public_key = identity_public_key(identity, NULL);
        size_t size;

        assert_null(identity_signer(identity));
        assert_non_null(aliyun_iot_identity_key(identity, &size));
        assert_true(size > 0);
        assert_non_null(aliyun_iot_identity_key_parameters(identity));
        assert_string_equal(aliyun_iot_identity_key_type(identity), key_types[type]);
        assert_int_equal(1, EVP_PKEY_eq(public_key, keys[type]));
    }
}

static void a_signer_has_no_key_data_but_a_public_half(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        struct signer_double signer = {.key = keys[type]};
        CLEANUP(aliyun_iot_identity_free)
        struct aliyun_iot_identity *identity = new_with_signer(keys[type], &signer, NULL);
        CLEANUP(EVP_PKEY_free) EVP_PKEY *public_key = identity_public_key(identity, NULL);
        size_t size = 1;

        assert_null(aliyun_iot_identity_key(identity, &size));
        assert_int_equal(size, 0);
        assert_null(aliyun_iot_identity_key_parameters(identity));
        assert_string_equal(aliyun_iot_identity_key_type(identity), key_types[type]);
        assert_string_equal(aliyun_iot_identity_serial_number(identity), "serial");
        assert_string_equal(aliyun_iot_identity_request_id(identity), "request");
        assert_int_equal(aliyun_iot_identity_certificate_count(identity), 1);
        assert_int_equal(1, EVP_PKEY_eq(public_key, keys[type]));
    }
}

static void assert_verifies(
        EVP_PKEY *public_key, enum key_scheme scheme, const unsigned char *signature, size_t size)
{
    EVP_MD_CTX *operation = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;

    assert_int_equal(1, EVP_DigestVerifyInit(operation, &padding, signer_double_digest(scheme),
                                NULL, public_key));
    if (signer_double_is_pss(scheme))
        assert_int_equal(1, EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING));
    assert_int_equal(
            1, EVP_DigestVerify(operation, signature, size, (const unsigned char *)"message", 7));
    EVP_MD_CTX_free(operation);
}

static void what_a_signer_signs_the_public_half_verifies(void **state)
{
    static const struct {
        size_t type;
        enum key_scheme scheme;
    } rows[] = {
            {0, KEY_SCHEME_RSA_PKCS1_SHA256},
            {0, KEY_SCHEME_RSA_PSS_SHA384},
            {1, KEY_SCHEME_ECDSA_SHA512},
            {2, KEY_SCHEME_ED25519},
    };

    (void)state;
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        EVP_PKEY *key = keys[rows[row].type];
        struct signer_double signer = {.key = key};
        CLEANUP(aliyun_iot_identity_free)
        struct aliyun_iot_identity *identity = new_with_signer(key, &signer, NULL);
        const struct key_signer *given = identity_signer(identity);
        unsigned char signature[512];
        size_t size = sizeof(signature);

        assert_int_equal(1, given->sign(given->context, rows[row].scheme,
                                    (const unsigned char *)"message", 7, signature, &size, NULL));
        assert_verifies(key, rows[row].scheme, signature, size);
    }
}

static void a_signer_is_freed_with_the_last_reference(void **state)
{
    struct signer_double signer = {.key = keys[1]};
    struct aliyun_iot_identity *identity = new_with_signer(keys[1], &signer, NULL);

    (void)state;
    aliyun_iot_identity_free(identity_reference(identity));
    assert_int_equal(signer.freed, 0);
    aliyun_iot_identity_free(identity);
    assert_int_equal(signer.freed, 1);
}

static void a_signer_with_another_key_is_refused_and_freed(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        struct signer_double signer = {.key = others[type]};

        assert_null(new_with_signer(keys[type], &signer, &error));
        assert_error(error, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not verify");
        assert_int_equal(signer.freed, 1);
    }
}

static void a_signer_that_fails_or_overstates_its_signature_is_refused(void **state)
{
    struct signer_double failing = {.key = keys[1], .failure = ALIYUN_IOT_REASON_UNREACHABLE};
    struct signer_double lying = {.key = keys[1], .lies = true};
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_null(new_with_signer(keys[1], &failing, &error));
    assert_error(error, ALIYUN_IOT_REASON_UNREACHABLE, "does not sign");
    assert_int_equal(failing.freed, 1);
    assert_null(new_with_signer(keys[1], &lying, &error));
    assert_error(error, ALIYUN_IOT_REASON_KEY_MISMATCH, "does not verify");
    assert_int_equal(lying.freed, 1);
}

static void a_signer_is_refused_if_its_certificate_is_not_valid_or_its_key_cannot_sign(void **state)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *agreement = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    CLEANUP(certificates_free) STACK_OF(X509) *expired = chain_of(keys[1], -3600, -60);
    CLEANUP(certificates_free) STACK_OF(X509) *unable = sk_X509_new_null();
    struct signer_double signer = {.key = keys[1]};
    const struct key_signer key_signer = signer_double(&signer);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    sk_X509_push(unable, pair_certificate_by(agreement, keys[1], -60, 3600));
    assert_null(identity_new_with_signer(expired, &key_signer, NULL, NULL, &error));
    assert_error(error, ALIYUN_IOT_REASON_NOT_VALID, "valid from");
    assert_int_equal(signer.freed, 1);
    assert_null(identity_new_with_signer(unable, &key_signer, NULL, NULL, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_ANSWER, "X25519");
    assert_int_equal(signer.freed, 2);
}

static int make_keys(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        keys[type] = pair_key(key_types[type]);
        /* To make a second RSA key takes minutes under valgrind, and one of EC is as wrong. */
        others[type] = pair_key(type == 0 ? "EC" : key_types[type]);
    }
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        EVP_PKEY_free(keys[type]);
        EVP_PKEY_free(others[type]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_key_that_is_data_has_no_signer),
            cmocka_unit_test(a_signer_has_no_key_data_but_a_public_half),
            cmocka_unit_test(what_a_signer_signs_the_public_half_verifies),
            cmocka_unit_test(a_signer_is_freed_with_the_last_reference),
            cmocka_unit_test(a_signer_with_another_key_is_refused_and_freed),
            cmocka_unit_test(a_signer_that_fails_or_overstates_its_signature_is_refused),
            cmocka_unit_test(
                    a_signer_is_refused_if_its_certificate_is_not_valid_or_its_key_cannot_sign),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
