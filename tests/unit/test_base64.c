/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/base64.h"

static void bytes_come_back_from_base64(void **state)
{
    unsigned char bytes[67];

    (void)state;
    for (size_t index = 0; index < sizeof(bytes); index++)
        bytes[index] = (unsigned char)(255 - 3 * index);
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        CLEANUP(BUF_MEM_free) BUF_MEM *encoded = BUF_MEM_new();
        CLEANUP(BUF_MEM_free) BUF_MEM *decoded = BUF_MEM_new();

        assert_true(base64_append(encoded, bytes, size));
        assert_int_equal((size + 2) / 3 * 4, encoded->length);
        assert_null(base64_decode(encoded->data, encoded->length, decoded));
        assert_int_equal(size, decoded->length);
        assert_memory_equal(bytes, decoded->data, size);
    }
}

static void base64_is_appended(void **state)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *buffer = BUF_MEM_new();

    (void)state;
    assert_true(buffer_append_text(buffer, "\""));
    assert_true(base64_append(buffer, "ab", 2));
    assert_string_equal("\"YWI=", buffer->data);
}

static void other_text_than_padded_base64_is_refused(void **state)
{
    static const char *const texts[] = {"YQ", "YQ=", "YQ==YQ==", "YR==", "YW=I",
            "Y===", "====", "YWJj\n", " YWJj", "YWJj    ", "YW-_", "YW\nJj"};
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        assert_string_equal(
                "is not base64", base64_decode(texts[index], strlen(texts[index]), content));
    assert_string_equal("is not base64", base64_decode("YQ\0=", 4, content));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_come_back_from_base64),
            cmocka_unit_test(base64_is_appended),
            cmocka_unit_test(other_text_than_padded_base64_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
