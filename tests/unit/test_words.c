/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cloud/credentials/words.h"

static void assert_words(const char *text, const char *const *expected)
{
    char *copy = strdup(text);
    const char *problem;
    char **words = words_split(copy, &problem);
    size_t count = 0;

    if (!words)
        fail_msg("%s: %s", text, problem);
    for (; expected[count]; count++) {
        assert_non_null(words[count]);
        assert_string_equal(expected[count], words[count]);
    }
    assert_null(words[count]);
    words_free(words);
    free(copy);
}

#define ASSERT_WORDS(text, ...) assert_words(text, (const char *[]){__VA_ARGS__, NULL})

static void assert_problem(const char *text, const char *phrase)
{
    char *copy = strdup(text);
    const char *problem;

    assert_null(words_split(copy, &problem));
    if (!strstr(problem, phrase))
        fail_msg("%s: expected \"%s\", got: %s", text, phrase, problem);
    free(copy);
}

static void blanks_of_every_kind_separate_words(void **unused)
{
    (void)unused;
    ASSERT_WORDS("tool", "tool");
    ASSERT_WORDS("  tool one\t\ttwo \n three  ", "tool", "one", "two", "three");
}

static void quotes_hold_a_word_together(void **unused)
{
    (void)unused;
    ASSERT_WORDS("'/opt/my tools/print' \"a b\"", "/opt/my tools/print", "a b");
    ASSERT_WORDS("a'b c'\"d e\"f", "ab cd ef");
    ASSERT_WORDS("tool --name=\"First Last\"", "tool", "--name=First Last");
    ASSERT_WORDS("tool \"it's\" 'say \"hi\"'", "tool", "it's", "say \"hi\"");
}

static void empty_quotes_are_an_empty_word(void **unused)
{
    (void)unused;
    ASSERT_WORDS("tool '' \"\" end", "tool", "", "", "end");
    ASSERT_WORDS("tool ''", "tool", "");
}

static void a_backslash_takes_the_meaning_from_a_character(void **unused)
{
    (void)unused;
    ASSERT_WORDS("tool a\\ b \\\"c\\' \\\\", "tool", "a b", "\"c'", "\\");
    ASSERT_WORDS("tool \\ ", "tool", " ");
}

static void between_double_quotes_a_backslash_is_special_before_a_few_characters(void **unused)
{
    (void)unused;
    ASSERT_WORDS("tool \"\\\"\\\\\\$\\`\"", "tool", "\"\\$`");
    ASSERT_WORDS("tool \"C:\\new\"", "tool", "C:\\new");
    ASSERT_WORDS("tool '\\n\\'", "tool", "\\n\\");
}

static void a_backslash_and_a_newline_stand_for_nothing(void **unused)
{
    (void)unused;
    ASSERT_WORDS("tool \\\n one \\\n", "tool", "one");
    ASSERT_WORDS("tool a\\\nb \"c\\\nd\"", "tool", "ab", "cd");
}

static void nothing_is_expanded(void **unused)
{
    (void)unused;
    ASSERT_WORDS("tool $HOME ~ * `id` $(id) a;b | c > d #e", "tool", "$HOME", "~", "*", "`id`",
            "$(id)", "a;b", "|", "c", ">", "d", "#e");
}

static void there_may_be_any_number_of_words(void **unused)
{
    char text[2 * 5000 + 1];
    const char *problem;
    char **words;
    size_t count = 0;

    (void)unused;
    for (size_t index = 0; index < 5000; index++)
        memcpy(text + 2 * index, "a ", 3);
    words = words_split(text, &problem);
    assert_non_null(words);
    while (words[count])
        count++;
    assert_int_equal(5000, count);
    words_free(words);
}

static void what_no_shell_would_take_is_an_error(void **unused)
{
    (void)unused;
    assert_problem("tool 'one", "quote that is not closed");
    assert_problem("tool \"one\\\"", "quote that is not closed");
    assert_problem("tool one\\", "ends with a backslash");
    assert_problem("", "missing");
    assert_problem("  \t\n", "missing");
    assert_problem("'' tool", "missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(blanks_of_every_kind_separate_words),
            cmocka_unit_test(quotes_hold_a_word_together),
            cmocka_unit_test(empty_quotes_are_an_empty_word),
            cmocka_unit_test(a_backslash_takes_the_meaning_from_a_character),
            cmocka_unit_test(between_double_quotes_a_backslash_is_special_before_a_few_characters),
            cmocka_unit_test(a_backslash_and_a_newline_stand_for_nothing),
            cmocka_unit_test(nothing_is_expanded),
            cmocka_unit_test(there_may_be_any_number_of_words),
            cmocka_unit_test(what_no_shell_would_take_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
