/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver over a network that is a function of this test. */
#include "unit.h"

#include <errno.h>
#include <unistd.h>

#include <openssl/err.h>

#include "answer.h"
#include "http_double.h"
#include "resolver.h"

static char settings_file[] = "/tmp/resolver-test-XXXXXX";
static const char *inner_uri; /* resolved from within the exchange, if set */
static struct aliyun_iot_error *inner_error;
static int exchanges;

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity;

    (void)client;
    (void)answer;
    exchanges++;
    if (inner_uri)
        aliyun_iot_identity_resolve(settings_file, inner_uri, &identity, NULL, &inner_error);
    return error_set(error, ALIYUN_IOT_REASON_NOT_TRUSTED, "nobody at %s", request->url);
}

static void assert_resolve_fails(const char *uri, enum aliyun_iot_reason reason, const char *phrase)
{
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;

    assert_int_equal(0, aliyun_iot_identity_resolve(settings_file, uri, &identity, NULL, &error));
    assert_null(identity);
    assert_error(error, reason, phrase);
}

static void a_uri_needed_to_resolve_a_uri_is_an_error(void **state)
{
    (void)state;
    inner_uri = "aliyun-iot:product/inner";
    assert_resolve_fails(
            "aliyun-iot:product/outer", ALIYUN_IOT_REASON_NOT_TRUSTED, "product/outer");
    inner_uri = NULL;
    assert_error(inner_error, ALIYUN_IOT_REASON_REENTRANT, "openssl.cnf");
    assert_int_equal(exchanges, 1);
}

static void the_region_of_a_uri_chooses_the_endpoint(void **state)
{
    (void)state;
    assert_resolve_fails("aliyun-iot:product/device?region=cn-beijing",
            ALIYUN_IOT_REASON_NOT_TRUSTED, "nobody at https://iot.cn-beijing.aliyuncs.com/?");
    assert_resolve_fails("aliyun-iot:product/device", ALIYUN_IOT_REASON_NOT_TRUSTED,
            "nobody at https://iot.cn-shanghai.aliyuncs.com/?DeviceName=device&ProductKey=product");
}

static void the_instance_of_a_uri_is_asked_for(void **state)
{
    (void)state;
    assert_resolve_fails("aliyun-iot:product/device?instance=iot-1", ALIYUN_IOT_REASON_NOT_TRUSTED,
            "&IotInstanceId=iot-1&");
}

static void errno_and_the_callers_error_queue_are_left_alone(void **state)
{
    (void)state;
    errno = EXDEV;
    ERR_raise(ERR_LIB_USER, 1);
    assert_resolve_fails("aliyun-iot:product/device", ALIYUN_IOT_REASON_NOT_TRUSTED, "nobody");
    assert_int_equal(errno, EXDEV);
    assert_int_equal(ERR_GET_LIB(ERR_get_error()), ERR_LIB_USER);
    assert_int_equal(ERR_get_error(), 0);
}

static int write_settings(void **state)
{
    int file = mkstemp(settings_file);

    (void)state;
    answer_set_access_key();
    return file >= 0 && write(file, "[quota]\nrate = 1000\n", 20) == 20 ? close(file) : -1;
}

static int remove_settings(void **state)
{
    (void)state;
    return unlink(settings_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_uri_needed_to_resolve_a_uri_is_an_error),
            cmocka_unit_test(the_region_of_a_uri_chooses_the_endpoint),
            cmocka_unit_test(the_instance_of_a_uri_is_asked_for),
            cmocka_unit_test(errno_and_the_callers_error_queue_are_left_alone),
    };

    return cmocka_run_group_tests(tests, write_settings, remove_settings);
}
