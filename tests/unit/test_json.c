/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cloud/json.h"

static void assert_refused(const char *text, size_t size, const char *phrase)
{
    const char *problem = NULL;
    cJSON *object = json_parse(text, size, &problem);

    if (object)
        fail_msg("taken: %.*s", (int)size, text);
    assert_non_null(problem);
    assert_non_null(strstr(problem, phrase));
}

static void assert_text_refused(const char *text, const char *phrase)
{
    assert_refused(text, strlen(text), phrase);
}

static void an_object_is_read(void **state)
{
    static const char text[] =
            " {\"a\":\"1\",\"b\":{\"a\":\"2\"},\"c\":[{},{}],\"d\":\"\\u8bbe\"}\r\n";
    const char *problem = NULL;
    cJSON *object = json_parse(text, sizeof(text) - 1, &problem);

    (void)state;
    assert_non_null(object);
    assert_null(problem);
    assert_string_equal(json_string(object, "a"), "1");
    assert_string_equal(json_string(object, "d"), "\xe8\xae\xbe");
    assert_null(json_string(object, "b"));
    assert_null(json_string(object, "A"));
    json_free(object);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    assert_text_refused("", "empty");
    assert_text_refused("[1]", "not a JSON object");
    assert_text_refused("\"a\"", "not a JSON object");
    assert_text_refused("<html>", "not JSON");
    assert_text_refused("{\"a\":1} x", "text follows");
    assert_text_refused("{\"a\":1}{}", "text follows");
}

static void a_repeated_name_is_refused_at_every_level(void **state)
{
    (void)state;
    assert_text_refused("{\"a\":1,\"a\":1}", "repeated");
    assert_text_refused("{\"a\":1,\"b\":2,\"\\u0061\":1}", "repeated");
    assert_text_refused("{\"b\":{\"a\":1,\"a\":1}}", "repeated");
    assert_text_refused("{\"b\":[{\"a\":1,\"a\":1}]}", "repeated");
}

static void nesting_ends_at_16_levels(void **state)
{
    const char *problem;
    cJSON *object;

    (void)state;
    object = json_parse("{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}", 36, &problem);
    assert_non_null(object);
    json_free(object);
    assert_text_refused("{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", "deeper than 16");
}

static void brackets_in_a_string_are_no_nesting(void **state)
{
    static const char text[] = "{\"a\":\"[[[[[[[[[[[[[[[[[[[[\\\"{{{{\"}";
    const char *problem;
    cJSON *object = json_parse(text, sizeof(text) - 1, &problem);

    (void)state;
    assert_non_null(object);
    json_free(object);
}

static void a_nul_is_refused_in_any_spelling(void **state)
{
    (void)state;
    assert_refused("{\"a\":\"x\0y\"}", 11, "NUL");
    assert_text_refused("{\"a\":\"x\\u0000y\"}", "NUL");
}

static void what_is_not_utf8_is_refused(void **state)
{
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
            "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff", "\xe8\xae"};
    char text[64];

    (void)state;
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        snprintf(text, sizeof(text), "{\"a\":\"%s\"}", bad[index]);
        assert_text_refused(text, "UTF-8");
    }
}

static void every_beginning_of_an_answer_is_refused(void **state)
{
    static const char text[] =
            "{\"RequestId\":\"1\",\"Success\":true,\"DeviceCertInfo\":{\"Status\":2,"
            "\"Certificate\":\"a\\nb\",\"PrivateKey\":\"\\u8bbe\"}}";
    const char *problem;

    (void)state;
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        /* A copy of that size, so that a read past its end is seen. */
        char *copy = malloc(size + 1);

        memcpy(copy, text, size);
        assert_null(json_parse(copy, size, &problem));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_object_is_read),
            cmocka_unit_test(what_is_no_object_is_refused),
            cmocka_unit_test(a_repeated_name_is_refused_at_every_level),
            cmocka_unit_test(nesting_ends_at_16_levels),
            cmocka_unit_test(brackets_in_a_string_are_no_nesting),
            cmocka_unit_test(a_nul_is_refused_in_any_spelling),
            cmocka_unit_test(what_is_not_utf8_is_refused),
            cmocka_unit_test(every_beginning_of_an_answer_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
