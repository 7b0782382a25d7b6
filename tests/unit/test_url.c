/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/url.h"

static void assert_part(const char *part, size_t size, const char *expected)
{
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(part, expected, size);
}

static void assert_split(
        const char *text, const char *scheme, const char *host, const char *port, const char *rest)
{
    struct url url;

    assert_true(url_split(text, &url));
    assert_true(url_has_scheme(&url, scheme));
    assert_part(url.host, url.host_size, host);
    if (port)
        assert_part(url.port, url.port_size, port);
    else
        assert_null(url.port);
    assert_string_equal(url.rest, rest);
}

static void a_url_is_split_into_its_parts(void **state)
{
    (void)state;
    assert_split("https://h", "https", "h", NULL, "");
    assert_split("http://h.example:8443/p:1/q?u@x#f", "http", "h.example", "8443", "/p:1/q?u@x#f");
    assert_split("https://[::1]:443/", "https", "[::1]", "443", "/");
    assert_split("https://h?q=http://other", "https", "h", NULL, "?q=http://other");
    assert_split("https://h:", "https", "h", "", "");
    assert_split("https://", "https", "", NULL, "");
}

static void the_user_is_not_taken_for_the_host(void **state)
{
    struct url url;

    (void)state;
    assert_split("http://localhost:80@evil.example/", "http", "evil.example", NULL, "/");
    assert_split("http://a@b@c:1", "http", "c", "1", "");
    assert_true(url_split("http://user@h", &url));
    assert_true(url.has_user);
    assert_true(url_split("http://h/@", &url));
    assert_false(url.has_user);
}

static void text_that_is_no_url_is_refused(void **state)
{
    static const char *const texts[] = {
            "", "h", "h:443", "https:/h", "https://[::1", "https://[::1]x"};
    struct url url;

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        assert_false(url_split(texts[index], &url));
}

static void a_scheme_is_compared_as_a_whole_and_without_case(void **state)
{
    struct url url;

    (void)state;
    assert_true(url_split("HTTPS://h", &url));
    assert_true(url_has_scheme(&url, "https"));
    assert_false(url_has_scheme(&url, "http"));
    assert_false(url_has_scheme(&url, "httpsx"));
}

static void an_origin_ends_before_the_path(void **state)
{
    (void)state;
    assert_int_equal(url_origin_size("https://h:1/path"), strlen("https://h:1"));
    assert_int_equal(url_origin_size("https://[::1]?query"), strlen("https://[::1]"));
    assert_int_equal(url_origin_size("no URL/path"), strlen("no URL"));
}

static bool has_valid_host(const char *text)
{
    struct url url;

    return url_split(text, &url) && url_has_valid_host(&url);
}

static void a_host_has_only_the_characters_of_names_and_addresses(void **state)
{
    static const char *const good[] = {"http://h", "http://a-b.example:1", "http://127.0.0.1:65535",
            "http://[::1]", "http://[fe80::1]:80/p"};
    static const char *const bad[] = {"http://", "http://:80", "http://h:", "http://h:0",
            "http://h:65536", "http://h:1:2", "http://h:+1", "http://h:000080", "http://[]",
            "http://[::g]", "http://a b", "http://a%2e", "http://a\\b", "http://a[b]"};

    (void)state;
    for (size_t index = 0; index < sizeof(good) / sizeof(good[0]); index++)
        assert_true(has_valid_host(good[index]));
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
        assert_false(has_valid_host(bad[index]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_url_is_split_into_its_parts),
            cmocka_unit_test(the_user_is_not_taken_for_the_host),
            cmocka_unit_test(text_that_is_no_url_is_refused),
            cmocka_unit_test(a_scheme_is_compared_as_a_whole_and_without_case),
            cmocka_unit_test(an_origin_ends_before_the_path),
            cmocka_unit_test(a_host_has_only_the_characters_of_names_and_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
