/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include "cloud/http_failure.h"

/* A provider that has a digest and cannot decode keys, as OpenSSL's FIPS provider alone. */
static void *new_digest(void *context)
{
    return context;
}

static void free_digest(void *digest)
{
    (void)digest;
}

static int begin_digest(void *digest, const OSSL_PARAM parameters[])
{
    (void)digest;
    (void)parameters;
    return 1;
}

static int update_digest(void *digest, const unsigned char *bytes, size_t size)
{
    (void)digest;
    (void)bytes;
    (void)size;
    return 1;
}

static int end_digest(void *digest, unsigned char *out, size_t *size, size_t room)
{
    (void)digest;
    (void)out;
    (void)room;
    *size = 0;
    return 1;
}

static int get_digest_parameters(OSSL_PARAM parameters[])
{
    (void)parameters;
    return 1;
}

#define ENTRY(id, function)                                                                        \
    {                                                                                              \
        id, (void (*)(void))(function)                                                             \
    }

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
    static const OSSL_DISPATCH functions[] = {ENTRY(OSSL_FUNC_DIGEST_NEWCTX, new_digest),
            ENTRY(OSSL_FUNC_DIGEST_FREECTX, free_digest),
            ENTRY(OSSL_FUNC_DIGEST_INIT, begin_digest),
            ENTRY(OSSL_FUNC_DIGEST_UPDATE, update_digest),
            ENTRY(OSSL_FUNC_DIGEST_FINAL, end_digest),
            ENTRY(OSSL_FUNC_DIGEST_GET_PARAMS, get_digest_parameters), {0, NULL}};
    static const OSSL_ALGORITHM digests[] = {
            {"SHA2-256:SHA-256:SHA256", "provider=digests", functions, NULL},
            {NULL, NULL, NULL, NULL}};

    (void)context;
    *no_cache = 0;
    return operation == OSSL_OP_DIGEST ? digests : NULL;
}

static int functions_loaded;

static int initialise(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
        const OSSL_DISPATCH **out, void **context)
{
    static const OSSL_DISPATCH functions[] = {
            ENTRY(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), {0, NULL}};

    (void)in;
    *out = functions;
    (void)handle;
    *context = &functions_loaded;
    return 1;
}

static void assert_explained(CURLcode code, enum aliyun_iot_reason reason, const char *phrase)
{
    const struct http_failure failure = {.code = code, .detail = ""};
    struct aliyun_iot_error *error = NULL;

    http_failure_explain(&failure, "https://host.example/path?token", &error);
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), "path"));
    assert_error(error, reason, phrase);
}

static void a_program_with_the_base_provider_alone_is_told_to_activate_the_default(void **state)
{
    OSSL_PROVIDER *base = OSSL_PROVIDER_load(NULL, "base");

    (void)state;
    assert_explained(CURLE_SSL_CONNECT_ERROR, ALIYUN_IOT_REASON_INTERNAL,
            "https://host.example: TLS has no algorithms in this program; activate OpenSSL's "
            "default provider");
    assert_explained(CURLE_OUT_OF_MEMORY, ALIYUN_IOT_REASON_INTERNAL, "default provider");
    OSSL_PROVIDER_unload(base);
}

static void a_program_that_cannot_decode_keys_is_told_to_activate_the_base_provider(void **state)
{
    OSSL_PROVIDER *digests;

    (void)state;
    OSSL_PROVIDER_add_builtin(NULL, "digests", initialise);
    digests = OSSL_PROVIDER_load(NULL, "digests");
    assert_non_null(digests);
    assert_explained(CURLE_PEER_FAILED_VERIFICATION, ALIYUN_IOT_REASON_INTERNAL,
            "activate OpenSSL's base provider");
    assert_explained(CURLE_COULDNT_CONNECT, ALIYUN_IOT_REASON_UNREACHABLE, "check the network");
    OSSL_PROVIDER_unload(digests);
}

static void fips_that_is_demanded_and_not_there_is_named(void **state)
{
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(NULL, "default");

    (void)state;
    assert_explained(CURLE_SSL_CONNECT_ERROR, ALIYUN_IOT_REASON_UNREACHABLE, "check the network");
    assert_int_equal(1, EVP_set_default_properties(NULL, "fips=yes"));
    assert_explained(CURLE_SSL_CONNECT_ERROR, ALIYUN_IOT_REASON_INTERNAL, "demands fips=yes");
    assert_int_equal(1, EVP_set_default_properties(NULL, ""));
    OSSL_PROVIDER_unload(provider);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(
                    a_program_with_the_base_provider_alone_is_told_to_activate_the_default),
            cmocka_unit_test(
                    a_program_that_cannot_decode_keys_is_told_to_activate_the_base_provider),
            cmocka_unit_test(fips_that_is_demanded_and_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
