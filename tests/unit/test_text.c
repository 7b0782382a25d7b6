/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/error.h"
#include "base/text.h"

static void control_characters_and_bytes_that_are_not_ascii_are_not_shown(void **state)
{
    char text[] = "a\x1b[31m\nb\x7f\xc3\xa9~ ";

    (void)state;
    text_make_printable(text);
    assert_string_equal(text, "a?[31m?b???~ ");
}

static void text_with_blanks_or_control_characters_is_not_visible(void **state)
{
    (void)state;
    assert_true(text_is_visible("!STS.id+/=~"));
    assert_true(text_is_visible(""));
    assert_false(text_is_visible("a b"));
    assert_false(text_is_visible("a\r\nb"));
    assert_false(text_is_visible("\x7f"));
    assert_false(text_is_visible("\xc3\xa9"));
}

static void bytes_are_written_as_two_lower_case_digits_each(void **state)
{
    static const unsigned char bytes[] = {0x00, 0x0f, 0xa0, 0xff};
    char text[2 * sizeof(bytes) + 1];

    (void)state;
    text_write_hexadecimal(text, bytes, sizeof(bytes));
    assert_string_equal(text, "000fa0ff");
    text_write_hexadecimal(text, bytes, 0);
    assert_string_equal(text, "");
}

static void a_text_is_cut_after_a_word_if_it_has_several(void **state)
{
    char text[] = "one two three", word[] = "abcdefghij";

    (void)state;
    text_cut(text, sizeof(text) - 1);
    assert_string_equal(text, "one two three");
    text_cut(text, sizeof(text) - 2);
    assert_string_equal(text, "one two...");
    text_cut(word, 9);
    assert_string_equal(word, "abcdef...");
    text_cut(word, 4);
    assert_string_equal(word, "a...");
}

static void a_message_takes_text_before_and_after_it(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    error_set(&error, ALIYUN_IOT_REASON_INTERNAL, "%s", "middle");
    error_prefix(&error, "%d ", 1);
    error_append(&error, "\n%d", 2);
    assert_error(error, ALIYUN_IOT_REASON_INTERNAL, "1 middle?2");
}

static void a_message_that_grows_too_long_is_cut_after_a_word(void **state)
{
    struct aliyun_iot_error *error = NULL;
    char text[1000 + 1];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[980] = '\0';
    error_set(&error, ALIYUN_IOT_REASON_INTERNAL, "%s", text);
    error_append(&error, "; twenty bytes more");
    assert_string_equal(aliyun_iot_error_message(error) + 980, "; twenty bytes more");
    error_append(&error, " and a word");
    assert_string_equal(aliyun_iot_error_message(error) + 980, "; twenty bytes...");
    error_prefix(&error, "first ");
    assert_memory_equal(aliyun_iot_error_message(error), "first xxx", 9);
    assert_string_equal(aliyun_iot_error_message(error) + 986, "; twenty...");
    error_prefix(&error, "%s%s", text, text);
    assert_memory_equal(aliyun_iot_error_message(error), text, 980);
    assert_error(error, ALIYUN_IOT_REASON_INTERNAL, "xxx...");
    error = NULL;
    error_set(&error, ALIYUN_IOT_REASON_INTERNAL, "%s words %s", text, text);
    assert_string_equal(aliyun_iot_error_message(error) + 980, " words...");
    aliyun_iot_error_free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(control_characters_and_bytes_that_are_not_ascii_are_not_shown),
            cmocka_unit_test(text_with_blanks_or_control_characters_is_not_visible),
            cmocka_unit_test(bytes_are_written_as_two_lower_case_digits_each),
            cmocka_unit_test(a_text_is_cut_after_a_word_if_it_has_several),
            cmocka_unit_test(a_message_takes_text_before_and_after_it),
            cmocka_unit_test(a_message_that_grows_too_long_is_cut_after_a_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
