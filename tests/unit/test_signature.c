/* SPDX-License-Identifier: Apache-2.0 */
/* The signatures against results of the official SDKs: tests/signature-vectors.json. */
#include "unit.h"

#include <cjson/cJSON.h>

#include "cloud/signature.h"

enum { PAIRS_MAX = 32 };

static cJSON *vectors;

static int load_vectors(void **state)
{
    static char text[1 << 17];
    FILE *file = fopen(getenv("SIGNATURE_VECTORS"), "r");
    size_t size;

    (void)state;
    if (!file)
        return -1;
    size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    vectors = cJSON_Parse(text);
    return vectors ? 0 : -1;
}

static int free_vectors(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
}

static size_t pairs_of(const cJSON *object, struct signature_pair *pairs)
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, object)
    {
        assert_true(count < PAIRS_MAX);
        pairs[count++] = (struct signature_pair){item->string, item->valuestring};
    }
    return count;
}

static void percent_encoding_is_that_of_the_sdks(void **state)
{
    const cJSON *vector;
    int count = 0;

    (void)state;
    cJSON_ArrayForEach(vector, cJSON_GetObjectItem(vectors, "percent_encode"))
    {
        BUF_MEM *encoded = BUF_MEM_new();

        assert_true(buffer_append_percent_encoded(encoded, text_of(vector, "input")));
        assert_string_equal(buffer_text(encoded), text_of(vector, "output"));
        BUF_MEM_free(encoded);
        count++;
    }
    assert_true(count >= 18);
}

static void check_rpc(const cJSON *vector, const char *secret, const char *expected)
{
    struct signature_pair pairs[PAIRS_MAX];
    size_t count = pairs_of(cJSON_GetObjectItem(vector, "params"), pairs);
    BUF_MEM *query = BUF_MEM_new();
    BUF_MEM *signature = BUF_MEM_new();

    assert_int_equal(1,
            signature_rpc(text_of(vector, "method"), pairs, count, secret, query, signature, NULL));
    assert_string_equal(buffer_text(query), text_of(vector, "canonical_query"));
    assert_string_equal(buffer_text(signature), expected);
    BUF_MEM_free(query);
    BUF_MEM_free(signature);
}

static void rpc_signatures_are_those_of_the_sdks(void **state)
{
    const cJSON *vector;
    int count = 0;

    (void)state;
    cJSON_ArrayForEach(vector, cJSON_GetObjectItem(vectors, "v1"))
    {
        check_rpc(vector, text_of(vector, "access_key_secret"), text_of(vector, "signature"));
        count++;
    }
    assert_true(count >= 17);
}

static void rpc_signatures_are_those_of_the_documents(void **state)
{
    const cJSON *vector;
    int count = 0;

    (void)state;
    cJSON_ArrayForEach(vector, cJSON_GetObjectItem(vectors, "official_v1"))
    {
        check_rpc(vector, text_of(vector, "secret"), text_of(vector, "expect"));
        count++;
    }
    assert_true(count >= 3);
}

static void check_acs3(const cJSON *vector)
{
    struct signature_pair parameters[PAIRS_MAX], headers[PAIRS_MAX];
    size_t parameter_count = pairs_of(cJSON_GetObjectItem(vector, "query"), parameters);
    size_t header_count = pairs_of(cJSON_GetObjectItem(vector, "signed_headers"), headers);
    const char *body = text_of(vector, "body");
    BUF_MEM *query = BUF_MEM_new();
    BUF_MEM *digest = BUF_MEM_new();
    BUF_MEM *authorization = BUF_MEM_new();

    assert_int_equal(1, signature_acs3_body_digest(body, strlen(body), digest, NULL));
    assert_string_equal(buffer_text(digest),
            text_of(cJSON_GetObjectItem(vector, "signed_headers"), "x-acs-content-sha256"));
    assert_int_equal(
            1, signature_acs3(text_of(vector, "method"), text_of(vector, "pathname"), parameters,
                       parameter_count, headers, header_count, text_of(vector, "access_key_id"),
                       text_of(vector, "access_key_secret"), query, authorization, NULL));
    if (text_of(vector, "canonical_query"))
        assert_string_equal(
                query->length ? buffer_text(query) : "", text_of(vector, "canonical_query"));
    assert_string_equal(buffer_text(authorization), text_of(vector, "authorization"));
    BUF_MEM_free(query);
    BUF_MEM_free(digest);
    BUF_MEM_free(authorization);
}

static void acs3_signatures_are_those_of_the_sdks(void **state)
{
    const cJSON *vector;
    int count = 0;

    (void)state;
    cJSON_ArrayForEach(vector, cJSON_GetObjectItem(vectors, "v3"))
    {
        check_acs3(vector);
        count++;
    }
    assert_true(count >= 17);
}

static void acs3_signatures_are_those_of_the_documents(void **state)
{
    const cJSON *vector;
    int count = 0;

    (void)state;
    cJSON_ArrayForEach(vector, cJSON_GetObjectItem(vectors, "official_v3"))
    {
        check_acs3(vector);
        count++;
    }
    assert_true(count >= 1);
}

static void a_parameter_without_value_is_not_sent(void **state)
{
    struct signature_pair pairs[] = {{"b", "2"}, {"none", NULL}, {"a", "1"}};
    BUF_MEM *query = BUF_MEM_new();

    (void)state;
    assert_int_equal(1, signature_canonical_query(pairs, 3, query, NULL));
    assert_string_equal(buffer_text(query), "a=1&b=2");
    BUF_MEM_free(query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(percent_encoding_is_that_of_the_sdks),
            cmocka_unit_test(rpc_signatures_are_those_of_the_sdks),
            cmocka_unit_test(rpc_signatures_are_those_of_the_documents),
            cmocka_unit_test(acs3_signatures_are_those_of_the_sdks),
            cmocka_unit_test(acs3_signatures_are_those_of_the_documents),
            cmocka_unit_test(a_parameter_without_value_is_not_sent),
    };

    return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
