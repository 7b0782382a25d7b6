/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/pattern.h"

static void a_pattern_has_one_slash_with_something_on_both_sides(void **state)
{
    static const char *const valid[] = {"a/b", "*/*", "a1X*/harness-*", "a_-/b_-@.:", "a*b*/*c"};
    static const char *const invalid[] = {
            "", "a", "/", "a/", "/b", "a/b/c", "a b/c", "a/b\n", "a?/b", "a.b/c", "**", "a/[b]"};

    (void)state;
    for (size_t index = 0; index < sizeof(valid) / sizeof(valid[0]); index++)
        assert_true(pattern_is_valid(valid[index]));
    for (size_t index = 0; index < sizeof(invalid) / sizeof(invalid[0]); index++)
        assert_false(pattern_is_valid(invalid[index]));
}

static void a_star_is_any_run_of_characters_but_a_slash(void **state)
{
    (void)state;
    assert_true(pattern_matches("a/b", "a/b"));
    assert_false(pattern_matches("a/b", "a/bb"));
    assert_false(pattern_matches("a/b", "A/b"));
    assert_true(pattern_matches("*/*", "a/b"));
    assert_true(pattern_matches("a*/b*", "a/b"));
    assert_true(pattern_matches("*1*2*/x", "0102/x"));
    assert_true(pattern_matches("a/*b*bc", "a/bbbc"));
    assert_false(pattern_matches("a/*b*bd", "a/bbbc"));
    assert_false(pattern_matches("a*", "a/b"));
    assert_false(pattern_matches("a*b/c", "a/xb/c"));
    assert_false(pattern_matches("*/c", "a/b"));
}

static void any_of_several_patterns_matches(void **state)
{
    (void)state;
    assert_true(patterns_are_valid("a/b"));
    assert_true(patterns_are_valid(" a/b ,c/*"));
    assert_false(patterns_are_valid("a/b, c"));
    assert_false(patterns_are_valid(""));
    assert_false(patterns_are_valid(" , "));
    assert_true(patterns_match(" a/b ,c/*", "a/b"));
    assert_true(patterns_match("a/b,c/*", "c/x"));
    assert_false(patterns_match("a/b,c/*", "a/x"));
    assert_false(patterns_match("a/b,c/*", "a/b,c/x"));
}

static void a_hostile_pattern_costs_little(void **state)
{
    char pattern[600], name[1000];

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[1] = '/';
    name[sizeof(name) - 1] = '\0';
    strcpy(pattern, "a/");
    for (size_t index = 2; index < sizeof(pattern) - 2; index += 2)
        memcpy(pattern + index, "*a", 2);
    strcpy(pattern + sizeof(pattern) - 2, "b");
    assert_false(pattern_matches(pattern, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_pattern_has_one_slash_with_something_on_both_sides),
            cmocka_unit_test(a_star_is_any_run_of_characters_but_a_slash),
            cmocka_unit_test(any_of_several_patterns_matches),
            cmocka_unit_test(a_hostile_pattern_costs_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
