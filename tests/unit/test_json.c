/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdbool.h>

#include "base/json.h"

/* A copy of exactly size bytes, so that a read beyond them is seen. */
static cJSON *parse_bytes(const char *bytes, size_t size, const char **problem)
{
    char *copy = malloc(size ? size : 1);
    cJSON *object;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    *problem = "never set";
    object = json_parse(copy, size, JSON_DEPTH_MAX, problem);
    free(copy);
    return object;
}

static cJSON *parse(const char *text)
{
    const char *problem;
    cJSON *object = parse_bytes(text, strlen(text), &problem);

    if (!object)
        fail_msg("%s: %s", text, problem);
    assert_null(problem);
    return object;
}

static void assert_bytes_refused(const char *bytes, size_t size, const char *expected)
{
    const char *problem;
    cJSON *object = parse_bytes(bytes, size, &problem);

    if (object || strcmp(problem, expected) != 0)
        fail_msg("%.*s: expected \"%s\", got \"%s\"", (int)size, bytes, expected,
                object ? "an object" : problem);
}

static void assert_refused(const char *text, const char *expected)
{
    assert_bytes_refused(text, strlen(text), expected);
}

static void assert_accepted(const char *text)
{
    json_free(parse(text));
}

static void an_answer_is_read(void **state)
{
    cJSON *object = parse(" {\"RequestId\": \"A1\", \"Success\":true,\r\n\t\"DeviceCertInfo\":"
                          "{\"Status\":2,\"CertSN\":\"63\"}, \"None\":null}\n");
    const cJSON *information = cJSON_GetObjectItemCaseSensitive(object, "DeviceCertInfo");

    (void)state;
    assert_string_equal(json_string(object, "RequestId"), "A1");
    assert_string_equal(json_string(information, "CertSN"), "63");
    json_free(object);
}

static void a_string_is_found_by_its_exact_name_and_type_alone(void **state)
{
    cJSON *object =
            parse("{\"Code\":\"x\",\"number\":1,\"null\":null,\"list\":[\"x\"],\"\":\"e\"}");

    (void)state;
    assert_string_equal(json_string(object, "Code"), "x");
    assert_string_equal(json_string(object, ""), "e");
    assert_null(json_string(object, "code"));
    assert_null(json_string(object, "Cod"));
    assert_null(json_string(object, "number"));
    assert_null(json_string(object, "null"));
    assert_null(json_string(object, "list"));
    assert_null(json_string(NULL, "Code"));
    json_free(object);
}

/* {"a":[[...]]} or {"a":{"a":...}} of so many levels in all. */
static char *nest(int levels, const char *open, const char *close)
{
    char *text = calloc((size_t)levels, strlen(open) + strlen(close) + 16), *end = text;

    assert_non_null(text);
    end = stpcpy(end, "{\"a\":");
    for (int level = 1; level < levels; level++)
        end = stpcpy(end, open);
    end = stpcpy(end, "1");
    for (int level = 1; level < levels; level++)
        end = stpcpy(end, close);
    stpcpy(end, "}");
    return text;
}

static void sixteen_levels_are_the_most(void **state)
{
    static const struct {
        const char *open, *close;
    } kinds[] = {{"[", "]"}, {"{\"a\":", "}"}};

    (void)state;
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        char *deepest = nest(JSON_DEPTH_MAX, kinds[kind].open, kinds[kind].close);
        char *deeper = nest(JSON_DEPTH_MAX + 1, kinds[kind].open, kinds[kind].close);
        char *abyss = nest(100000, kinds[kind].open, kinds[kind].close);

        assert_accepted(deepest);
        assert_refused(deeper, "it is nested too deep");
        assert_refused(abyss, "it is nested too deep");
        free(deepest);
        free(deeper);
        free(abyss);
    }
}

static void brackets_in_strings_are_no_levels(void **state)
{
    (void)state;
    assert_accepted("{\"a\":\"[[[[[[[[[[[[[[[[[[[[{{{{{{{{{{{{\"}");
    assert_accepted("{\"\\\"[[[[[[[[[[[[[[[[[[[[\":\"\\\\\",\"b\":\"\\\"[[[[[[[[[[[[[[[[[[\"}");
    assert_accepted("{\"a\":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]}");
}

static void a_repeated_name_is_refused_at_any_level(void **state)
{
    static const char problem[] = "a name is repeated";

    (void)state;
    assert_refused("{\"a\":1,\"a\":1}", problem);
    assert_refused("{\"a\":1,\"b\":2,\"c\":3,\"a\":4}", problem);
    assert_refused("{\"\":1,\"\":1}", problem);
    assert_refused("{\"o\":{\"a\":1,\"a\":2}}", problem);
    assert_refused("{\"l\":[{\"a\":1},{\"b\":1,\"b\":2}]}", problem);
    assert_refused("{\"l\":[[[{\"o\":{\"b\":{},\"b\":[]}}]]],\"z\":1}", problem);
    /* The same name in two spellings. */
    assert_refused("{\"Code\":\"x\",\"\\u0043ode\":\"y\"}", problem);
    assert_accepted("{\"a\":1,\"A\":2}");
    assert_accepted("{\"a\":{\"a\":{\"a\":1}},\"l\":[{\"a\":1},{\"a\":2}]}");
}

static void nul_is_refused_in_any_spelling(void **state)
{
    static const char problem[] = "it holds a NUL byte";
    static const char in_string[] = "{\"a\":\"b\0c\"}", escaped[] = "{\"a\":\"b\\\0c\"}";
    static const char after[] = "{\"a\":1}\0", before[] = "\0{}";

    (void)state;
    assert_bytes_refused(in_string, sizeof(in_string) - 1, problem);
    assert_bytes_refused(escaped, sizeof(escaped) - 1, problem);
    assert_bytes_refused(after, sizeof(after) - 1, problem);
    assert_bytes_refused(before, sizeof(before) - 1, problem);
    assert_refused("{\"a\":\"\\u0000\"}", problem);
    /* cJSON takes these for it. */
    assert_refused("{\"a\":\"\\u\"}", "it is not JSON");
    assert_refused("{\"a\":\"\\uZZZZ\"}", "it is not JSON");
    assert_refused("{\"a\":\"\\u00", "it is not JSON");
    assert_refused("{\"a\":\"x\\u0000y\"}", problem);
    assert_refused("{\"a\\u0000\":1}", problem);
    assert_refused("{\"a\":\"\\\\\\u0000\"}", problem);
    /* An escaped backslash and five more characters. */
    assert_accepted("{\"a\":\"\\\\u0000\"}");
    assert_accepted("{\"a\":\"\\u0001\"}");
}

static void assert_value(const char *bytes, bool accepted)
{
    char text[64];

    snprintf(text, sizeof(text), "{\"a\":\"%s\"}", bytes);
    if (accepted) {
        cJSON *object = parse(text);

        assert_string_equal(json_string(object, "a"), bytes);
        json_free(object);
    } else {
        assert_refused(text, "it is not UTF-8");
    }
}

static void utf_8_has_its_shortest_form_and_no_surrogates(void **state)
{
    static const char *const good[] = {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
            "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
            "\xe8\xae\xbe\xe5\xa4\x87"};
    static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(",
            "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xe8\xae", "\xe8(\xbe",
            "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
            "\xf0\x90\x80", "\xfe", "\xff", "caf\xe9"};

    (void)state;
    for (size_t index = 0; index < sizeof(good) / sizeof(good[0]); index++)
        assert_value(good[index], true);
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
        assert_value(bad[index], false);
    assert_refused("{\"\xff\":1}", "it is not UTF-8");
    assert_refused("{}\xe8", "it is not UTF-8");
}

static void escapes_are_decoded_to_utf_8(void **state)
{
    cJSON *object = parse("{\"a\":\"\\u8bbe\\ud83d\\ude00\\n\\/\\\"\"}");

    (void)state;
    assert_string_equal(json_string(object, "a"), "\xe8\xae\xbe\xf0\x9f\x98\x80\n/\"");
    json_free(object);
    assert_refused("{\"a\":\"\\ud83d\"}", "it is not JSON");
    assert_refused("{\"a\":\"\\ude00\"}", "it is not JSON");
    assert_refused("{\"a\":\"\\ud83d\\u0041\"}", "it is not JSON");
    assert_refused("{\"a\":\"\\x41\"}", "it is not JSON");
}

static void text_after_the_object_is_refused(void **state)
{
    (void)state;
    assert_accepted("{} \t\r\n");
    assert_refused("{}{}", "text follows the JSON");
    assert_refused("{\"a\":1} x", "text follows the JSON");
    assert_refused("{}}", "text follows the JSON");
    assert_refused("{}\v", "text follows the JSON");
    assert_refused("{},", "text follows the JSON");
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const values[] = {
            "[]", "[{\"a\":1}]", "\"a\"", "1", "-1.5e3", "true", "false", "null"};

    (void)state;
    for (size_t index = 0; index < sizeof(values) / sizeof(values[0]); index++)
        assert_refused(values[index], "it is not a JSON object");
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const texts[] = {" ", "\n", "{", "}", "[", "{a:1}", "{'a':1}", "{\"a\"}",
            "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}", "{\"a\":tru}", "{1:2}", "nul",
            "<html></html>", "HTTP/1.1 200 OK", "{\"a\":[1,]}", "{\"a\":[}]}", "{\"a\":\"}",
            "// comment\n{}", "{\"a\":\"\\", "{\"a\":\"\\u"};

    (void)state;
    assert_refused("", "it is empty");
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        assert_refused(texts[index], "it is not JSON");
}

static void every_beginning_of_an_answer_is_refused(void **state)
{
    static const char sample[] =
            "{\"RequestId\":\"57b144cf-09fc-4916-a272-a62902d5b207\",\"Success\":true,"
            "\"DeviceCertInfo\":{\"Status\":2,\"Certificate\":\"-----BEGIN CERTIFICATE-----\\nMII"
            "\\u0041\\n\",\"Name\":\"\xe8\xae\xbe\xf0\x9f\x98\x80\",\"List\":[1,-2.5e+3,null,"
            "false,{\"a\":{}}]}}";
    const char *problem;

    (void)state;
    assert_accepted(sample);
    for (size_t size = 0; size < sizeof(sample) - 1; size++) {
        assert_null(parse_bytes(sample, size, &problem));
        assert_non_null(problem);
        assert_string_not_equal(problem, "never set");
    }
}

static void an_answer_with_any_byte_changed_does_no_harm(void **state)
{
    static const char sample[] = "{\"Code\":\"x\\u0041\",\"l\":[1,{\"a\":null}],\"t\":true}";
    char text[sizeof(sample)];

    (void)state;
    for (size_t index = 0; index < sizeof(sample) - 1; index++) {
        for (int byte = 0; byte < 256; byte++) {
            const char *problem;
            cJSON *object;

            memcpy(text, sample, sizeof(sample));
            text[index] = (char)byte;
            object = parse_bytes(text, sizeof(sample) - 1, &problem);
            assert_true((object != NULL) == (problem == NULL));
            json_free(object);
        }
    }
}

/* Names are sorted: compared each with each, these would be 200 million comparisons. */
static void many_names_cost_little(void **state)
{
    enum { NAMES = 20000 };
    char *text = malloc(NAMES * 16 + 16), *end = text;

    (void)state;
    assert_non_null(text);
    *end++ = '{';
    for (int name = 0; name < NAMES; name++)
        end += sprintf(end, "\"n%d\":0,", name);
    strcpy(end - 1, "}");
    assert_accepted(text);
    strcpy(end - 1, ",\"n17\":0}");
    assert_refused(text, "a name is repeated");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_answer_is_read),
            cmocka_unit_test(a_string_is_found_by_its_exact_name_and_type_alone),
            cmocka_unit_test(sixteen_levels_are_the_most),
            cmocka_unit_test(brackets_in_strings_are_no_levels),
            cmocka_unit_test(a_repeated_name_is_refused_at_any_level),
            cmocka_unit_test(nul_is_refused_in_any_spelling),
            cmocka_unit_test(utf_8_has_its_shortest_form_and_no_surrogates),
            cmocka_unit_test(escapes_are_decoded_to_utf_8),
            cmocka_unit_test(text_after_the_object_is_refused),
            cmocka_unit_test(what_is_no_object_is_refused),
            cmocka_unit_test(what_is_no_json_is_refused),
            cmocka_unit_test(every_beginning_of_an_answer_is_refused),
            cmocka_unit_test(an_answer_with_any_byte_changed_does_no_harm),
            cmocka_unit_test(many_names_cost_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
