/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/params.h>
#include <openssl/x509.h>

#include "base/pkcs8.h"

/* Byte for byte, because programs compare files. */
static void assert_encoded_as_by_openssl(EVP_PKEY *key)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    unsigned char *expected = NULL, *der = NULL;
    int size = i2d_PKCS8_PRIV_KEY_INFO(info, &expected);
    OSSL_PARAM *parameters;

    assert_true(size > 0);
    assert_int_equal(1, EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &parameters));
    assert_int_equal(size, pkcs8_encode(key, parameters, &der));
    assert_memory_equal(expected, der, (size_t)size);
    OSSL_PARAM_free(parameters);
    OPENSSL_free(expected);
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
    EVP_PKEY_free(key);
}

static void keys_of_each_type_are_encoded_as_by_openssl(void **state)
{
    static const char *const types[] = {"RSA", "EC", "ED25519", "ED448"};

    (void)state;
    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++)
        assert_encoded_as_by_openssl(pair_key(types[index]));
}

static EVP_PKEY *rsa_key(unsigned bits, size_t primes)
{
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_uint("bits", &bits),
            OSSL_PARAM_construct_size_t("primes", &primes), OSSL_PARAM_construct_end()};

    assert_int_equal(1, EVP_PKEY_keygen_init(maker));
    assert_int_equal(1, EVP_PKEY_CTX_set_params(maker, parameters));
    assert_int_equal(1, EVP_PKEY_generate(maker, &key));
    EVP_PKEY_CTX_free(maker);
    return key;
}

static void an_rsa_key_of_any_size_and_number_of_primes_is_encoded_as_by_openssl(void **state)
{
    (void)state;
    for (unsigned bits = 1024; bits < 1032; bits++)
        assert_encoded_as_by_openssl(rsa_key(bits, 2));
    assert_encoded_as_by_openssl(rsa_key(2048, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(keys_of_each_type_are_encoded_as_by_openssl),
            cmocka_unit_test(an_rsa_key_of_any_size_and_number_of_primes_is_encoded_as_by_openssl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
