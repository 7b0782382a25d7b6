/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/uri.h"

static void assert_refused(const char *text, const char *phrase)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(uri_parse(text, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_URI, phrase);
}

static void assert_names(const char *text, const char *product_key, const char *device_name)
{
    struct aliyun_iot_error *error = NULL;
    struct uri *uri = uri_parse(text, &error);

    if (!uri)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(uri->product_key, product_key);
    assert_string_equal(uri->device_name, device_name);
    uri_free(uri);
}

static void a_uri_names_product_and_device(void **state)
{
    (void)state;
    assert_names("aliyun-iot:a1X509rsa00/device-1", "a1X509rsa00", "device-1");
    assert_names("aliyun-iot://a1X509rsa00/device-1", "a1X509rsa00", "device-1");
    assert_names("ALIYUN-IOT:p/d", "p", "d");
    assert_names("aliyun-iot:p/AZaz09-_@.:", "p", "AZaz09-_@.:");
    assert_names("aliyun-iot:p/..", "p", "..");
}

static void percent_encoding_is_decoded_once(void **state)
{
    (void)state;
    assert_names("aliyun-iot:p/a%3ab%40c", "p", "a:b@c");
    assert_refused("aliyun-iot:p/a%2541", "not allowed");
}

static void attributes_are_read_in_any_order(void **state)
{
    struct uri *uri =
            uri_parse("aliyun-iot:p/d?object=key&region=cn-shanghai&instance=iot-cn-0pp1n8t", NULL);

    (void)state;
    assert_non_null(uri);
    assert_string_equal(uri->instance_id, "iot-cn-0pp1n8t");
    assert_string_equal(uri->region, "cn-shanghai");
    assert_int_equal(uri->object, ALIYUN_IOT_OBJECT_KEY);
    uri_free(uri);
}

static void a_missing_attribute_is_left_to_the_settings(void **state)
{
    struct uri *uri = uri_parse("aliyun-iot:p/d?object=cert", NULL);

    (void)state;
    assert_non_null(uri);
    assert_null(uri->instance_id);
    assert_null(uri->region);
    assert_int_equal(uri->object, ALIYUN_IOT_OBJECT_CERTIFICATE);
    uri_free(uri);
}

static void a_malformed_uri_is_refused_with_the_reason(void **state)
{
    (void)state;
    assert_refused("", "does not begin with aliyun-iot:");
    assert_refused("file:/etc/passwd", "does not begin with aliyun-iot:");
    assert_refused("aliyun-iot", "does not begin with aliyun-iot:");
    assert_refused("aliyun-iot:", "device name is missing");
    assert_refused("aliyun-iot:p", "device name is missing");
    assert_refused("aliyun-iot:p/", "device name is empty");
    assert_refused("aliyun-iot:/d", "product key is empty");
    assert_refused("aliyun-iot:///d", "product key is empty");
    assert_refused("aliyun-iot:p/d/e", "device name has a character that is not allowed");
    assert_refused("aliyun-iot:p/d#x", "device name has a character");
    assert_refused("aliyun-iot:p/d%2Fe", "device name has a character");
    assert_refused("aliyun-iot:p/d%00", "device name has a character");
    assert_refused("aliyun-iot:p/d%0d%0aHost:", "device name has a character");
    assert_refused("aliyun-iot:p/d\r\nHost: x", "device name has a character");
    assert_refused("aliyun-iot:p/d&Action=x", "device name has a character");
    assert_refused("aliyun-iot:p/d%", "% that two hexadecimal digits do not follow");
    assert_refused("aliyun-iot:p/d%4", "% that two hexadecimal digits do not follow");
    assert_refused("aliyun-iot:p/d%zz", "% that two hexadecimal digits do not follow");
    assert_refused("aliyun-iot:p/\xe8\xae\xbe", "device name has a character");
    assert_refused("aliyun-iot:p:q/d", "product key has a character");
}

static void a_wrong_attribute_is_named(void **state)
{
    (void)state;
    assert_refused("aliyun-iot:p/d?", "attribute \"\" is unknown");
    assert_refused("aliyun-iot:p/d?colour=red", "attribute \"colour\" is unknown");
    assert_refused("aliyun-iot:p/d?instanc=x", "attribute \"instanc\" is unknown");
    assert_refused("aliyun-iot:p/d?Instance=x", "attribute \"Instance\" is unknown");
    assert_refused("aliyun-iot:p/d?region=a&region=a", "attribute region is given twice");
    assert_refused("aliyun-iot:p/d?object=cert&object=key", "attribute object is given twice");
    assert_refused("aliyun-iot:p/d?object=chain", "attribute object is neither cert nor key");
    assert_refused("aliyun-iot:p/d?instance=", "attribute instance is empty");
    assert_refused("aliyun-iot:p/d?instance", "attribute instance is empty");
    assert_refused("aliyun-iot:p/d?region=x.evil.example", "attribute region has a character");
    assert_refused("aliyun-iot:p/d?region=a&", "attribute \"\" is unknown");
}

static void a_uri_of_four_kilobytes_is_refused_in_a_short_message(void **state)
{
    char text[4097] = "aliyun-iot:p/";

    (void)state;
    memset(text + 13, 'd', sizeof(text) - 14);
    assert_refused(text, "longer than 1024 bytes");
    text[800] = '\0';
    assert_refused(text, "device name is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_uri_names_product_and_device),
            cmocka_unit_test(percent_encoding_is_decoded_once),
            cmocka_unit_test(attributes_are_read_in_any_order),
            cmocka_unit_test(a_missing_attribute_is_left_to_the_settings),
            cmocka_unit_test(a_malformed_uri_is_refused_with_the_reason),
            cmocka_unit_test(a_wrong_attribute_is_named),
            cmocka_unit_test(a_uri_of_four_kilobytes_is_refused_in_a_short_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
