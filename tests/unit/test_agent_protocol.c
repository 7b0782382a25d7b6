/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/x509.h>

#include "base/agent_protocol.h"
#include "base/identity.h"
#include "base/text.h"

static void every_scheme_has_a_name_of_its_own(void **state)
{
    int count = 0;

    (void)state;
    for (enum key_scheme scheme = 0; agent_scheme_name(scheme); scheme++, count++) {
        enum key_scheme found;

        assert_true(agent_scheme_find(agent_scheme_name(scheme), &found));
        assert_int_equal(scheme, found);
        assert_non_null(agent_scheme_key_type(scheme));
    }
    assert_int_equal(KEY_SCHEME_ED448 + 1, count);
}

static void a_prefix_of_a_scheme_is_no_scheme(void **state)
{
    enum key_scheme scheme;

    (void)state;
    assert_false(agent_scheme_find("", &scheme));
    assert_false(agent_scheme_find("rsa-pss-sha25", &scheme));
    assert_false(agent_scheme_find("rsa-pss-sha2567", &scheme));
    assert_false(agent_scheme_find("RSA-PSS-SHA256", &scheme));
}

static void reasons_have_the_names_of_the_public_header(void **state)
{
    (void)state;
    assert_string_equal("NOT_FOUND", agent_reason_name(ALIYUN_IOT_REASON_NOT_FOUND));
    assert_int_equal(ALIYUN_IOT_REASON_TIMEOUT, agent_reason_find("TIMEOUT"));
    assert_int_equal(0, agent_reason_find("not_found"));
    assert_int_equal(0, agent_reason_find(""));
    assert_null(agent_reason_name(0));
    for (int reason = 1; agent_reason_name(reason); reason++)
        assert_int_equal(reason, agent_reason_find(agent_reason_name(reason)));
}

static void the_hash_of_a_key_is_that_of_its_public_half_in_the_certificate(void **state)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = pair_key("EC");
    CLEANUP(EVP_PKEY_free) EVP_PKEY *other = pair_key("EC");
    CLEANUP(X509_free) X509 *certificate = pair_certificate(key, -60, 86400);
    CLEANUP(X509_free) X509 *renewed = pair_certificate(key, -30, 86400);
    CLEANUP(X509_free) X509 *of_other = pair_certificate(other, -60, 86400);
    char hash[AGENT_KEY_HASH_SIZE], another[AGENT_KEY_HASH_SIZE], expected[AGENT_KEY_HASH_SIZE];
    unsigned char digest[32], *der = NULL;
    int size = i2d_PUBKEY(key, &der);

    (void)state;
    assert_true(EVP_Digest(der, (size_t)size, digest, NULL, EVP_sha256(), NULL));
    OPENSSL_free(der);
    text_write_hexadecimal(expected, digest, sizeof(digest));
    assert_true(agent_key_hash(NULL, certificate, hash));
    assert_string_equal(expected, hash);
    assert_true(agent_key_hash(NULL, renewed, another));
    assert_string_equal(hash, another);
    assert_true(agent_key_hash(NULL, of_other, another));
    assert_string_not_equal(hash, another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_scheme_has_a_name_of_its_own),
            cmocka_unit_test(a_prefix_of_a_scheme_is_no_scheme),
            cmocka_unit_test(reasons_have_the_names_of_the_public_header),
            cmocka_unit_test(the_hash_of_a_key_is_that_of_its_public_half_in_the_certificate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
