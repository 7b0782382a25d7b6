/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cloud/server_text.h"

#define TOKEN "CAISnwJ1q6Ft5B2yfSjIr5bAJdbDm7dQ"
#define BASE64_LINE "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"

static const char *const secrets[] = {"uSeCrEt0123456789uSeCrEtABCDEF", "", TOKEN "/+==", NULL};

static void assert_shown(const char *text, const char *expected)
{
    char *shown = server_text(text, 200, secrets);

    assert_string_equal(shown, expected);
    free(shown);
}

static void words_for_people_are_shown_as_they_are(void **state)
{
    static const char *const texts[] = {
            "",
            "Specified api is not found, please check your url and method.",
            "User not authorized to operate on the specified resource (acs:ram::12:user/x).",
            "see https://help.aliyun.com/x?y=z",
            "InvalidSecurityToken.MismatchWithAccessKey",
            "A1B2C3D4-0000-1111-2222-F1E2D3C4B5A6",
            "a1X509rsa00/device-1 of iot-cn-0pp1n8t0001",
            "----- not a block -----",
    };

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        assert_shown(texts[index], texts[index]);
}

static void what_was_sent_in_secret_is_not_repeated(void **state)
{
    (void)state;
    assert_shown("the secret uSeCrEt0123456789uSeCrEtABCDEF is wrong", "the secret *** is wrong");
    assert_shown("secret=uSeCrEt0123456789uSeCrEtABCDEF", "***");
    assert_shown("it begins with uSeCrEt0 and ends with EtABCDEF",
            "it begins with *** and ends with ***");
    assert_shown("token " TOKEN "/+==, again", "token ***, again");
    assert_shown("token " TOKEN "%2F%2B%3D%3D", "token ***");
}

static void a_short_secret_is_not_repeated(void **state)
{
    static const char *const short_secrets[] = {"s3cret", NULL};
    char *shown = server_text("a=s3cret b=s3cre", 200, short_secrets);

    (void)state;
    assert_string_equal(shown, "*** b=s3cre");
    free(shown);
}

static void a_long_word_with_digits_may_be_a_token_or_a_key(void **state)
{
    (void)state;
    assert_shown("the key " BASE64_LINE " and more", "the key *** and more");
    assert_shown(BASE64_LINE "\n" BASE64_LINE "\r\nx8fZ==\nend", "***?***??***?***");
}

static void a_pem_block_is_not_shown(void **state)
{
    (void)state;
    assert_shown("before -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- after",
            "before *** after");
    assert_shown("-----BEGIN RSA PRIVATE KEY----- MIIE abc", "***");
    assert_shown("-----BEGIN PRIVATE KEY----- MIIE -----END PRIVATE", "***");
    assert_shown("x:-----BEGIN EC PRIVATE KEY-----\nMI\n-----END EC PRIVATE KEY-----y", "x:***y");
    assert_shown("key=-----BEGIN EC PRIVATE KEY-----\nMI\n-----END EC PRIVATE KEY-----y", "***y");
}

static void a_text_is_printable_and_cut_between_words(void **state)
{
    char *shown = server_text("one \x1b[2J\ntwo three", 15, NULL);

    (void)state;
    assert_string_equal(shown, "one ?[2J?two...");
    free(shown);
    shown = server_text(NULL, 10, NULL);
    assert_string_equal(shown, "");
    free(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(words_for_people_are_shown_as_they_are),
            cmocka_unit_test(what_was_sent_in_secret_is_not_repeated),
            cmocka_unit_test(a_short_secret_is_not_repeated),
            cmocka_unit_test(a_long_word_with_digits_may_be_a_token_or_a_key),
            cmocka_unit_test(a_pem_block_is_not_shown),
            cmocka_unit_test(a_text_is_printable_and_cut_between_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
