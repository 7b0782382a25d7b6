/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built engine within OpenSSL, as far as it comes without a cloud. OPENSSL_ENGINES and
 * OPENSSL_MODULES name the folders of engine and provider; no openssl.cnf names either.
 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>

enum { THREADS = 16 };

static ENGINE *engine;

/* Exactly one error but libcrypto's own last word is on the queue. */
static void assert_no_key(const char *key_id, const char *reason, const char *phrase)
{
    const char *data;
    unsigned long code;

    ERR_clear_error();
    errno = ENOENT;
    assert_null(ENGINE_load_private_key(engine, key_id, NULL, NULL));
    assert_int_equal(errno, 0);
    code = ERR_get_error_all(NULL, NULL, NULL, &data, NULL);
    if (code == 0 || !strstr(ERR_reason_error_string(code), reason) || !strstr(data, phrase))
        fail_msg("%s: %lx %s: %s", key_id, code, ERR_reason_error_string(code), data);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), ENGINE_R_FAILED_LOADING_PRIVATE_KEY);
    assert_int_equal(ERR_get_error(), 0);
}

/* Returns the reason of the error; cmocka's assertions are for one thread. */
static void *ask_in_vain(void *unused)
{
    EVP_PKEY *key = ENGINE_load_private_key(engine, "aliyun-iot:p", NULL, NULL);
    const char *reason;

    (void)unused;
    reason = key ? "no error" : ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return (void *)(uintptr_t)reason;
}

/* The first test, so that the threads load the provider; and nothing has initialised the engine. */
static void threads_that_are_first_all_have_the_provider(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (int index = 0; index < THREADS; index++)
        assert_int_equal(pthread_create(&threads[index], NULL, ask_in_vain, NULL), 0);
    for (int index = 0; index < THREADS; index++) {
        void *reason;

        pthread_join(threads[index], &reason);
        assert_string_equal(reason, aliyun_iot_reason_text(ALIYUN_IOT_REASON_BAD_URI));
    }
}

static void every_form_of_a_uri_is_opened_as_the_strict_one(void **state)
{
    static const char *const forms[] = {
            "aliyun-iot:p", "aliyun-iot://p", "ALIYUN-IOT:p", "p", "//p"};

    (void)state;
    for (size_t index = 0; index < sizeof(forms) / sizeof(forms[0]); index++)
        assert_no_key(forms[index], "malformed URI", "aliyun-iot://p: ");
}

static void a_path_is_never_taken_for_a_device(void **state)
{
    (void)state;
    assert_no_key("/absent/file", "found nothing", "/absent/file: no private key could be read");
    assert_no_key("./absent", "found nothing", "./absent: ");
    assert_no_key("/dev/null", "found nothing", "/dev/null: ");
}

static void an_older_error_is_not_taken_for_the_cause(void **state)
{
    const char *data;

    (void)state;
    ENGINE_load_private_key(engine, "aliyun-iot:older", NULL, NULL);
    ENGINE_load_private_key(engine, "/dev/null", NULL, NULL);
    ERR_get_error();
    ERR_get_error();
    assert_int_not_equal(ERR_get_error_all(NULL, NULL, NULL, &data, NULL), 0);
    assert_non_null(strstr(data, "/dev/null: "));
    ERR_clear_error();
}

static void no_key_id_is_an_error(void **state)
{
    (void)state;
    assert_null(ENGINE_load_private_key(engine, NULL, NULL, NULL));
    ERR_clear_error();
}

static void a_uri_that_curl_has_cut_off_says_so(void **state)
{
    (void)state;
    assert_no_key("aliyun-iot", "cut off at its colon", "backslash");
}

static void a_certificate_that_is_not_there_is_an_error(void **state)
{
    struct {
        const char *cert_id;
        X509 *cert;
    } request = {"aliyun-iot:p", NULL};

    (void)state;
    assert_int_equal(ENGINE_ctrl_cmd(engine, "LOAD_CERT_CTRL", 0, &request, NULL, 1), 0);
    assert_null(request.cert);
    assert_non_null(strstr(ERR_reason_error_string(ERR_peek_error()), "malformed URI"));
    ERR_clear_error();
    assert_int_equal(ENGINE_ctrl_cmd(engine, "LOAD_CERT_CTRL", 0, NULL, NULL, 1), 0);
    assert_int_equal(ENGINE_ctrl_cmd_string(engine, "NO_SUCH_COMMAND", "1", 0), 0);
    ERR_clear_error();
}

/* As mosquitto sends it for --tls-engine-kpass-sha1. */
static void the_digest_of_a_password_is_accepted(void **state)
{
    char digest[] = "0123";

    (void)state;
    assert_int_equal(ENGINE_ctrl_cmd(engine, "SECRET_MODE", 0x1000, NULL, NULL, 0), 1);
    assert_int_equal(ENGINE_ctrl_cmd(engine, "PIN", 0, digest, NULL, 0), 1);
}

static void the_default_provider_stays(void **state)
{
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);

    (void)state;
    assert_non_null(digest);
    EVP_MD_free(digest);
}

/* Comes before the engine is asked for by its name, from when on it is held. */
static int load_by_path(void)
{
    char path[4096];
    ENGINE *loaded = ENGINE_by_id("dynamic");
    int done;

    snprintf(path, sizeof(path), "%s/aliyun-iot.so", getenv("OPENSSL_ENGINES"));
    done = ENGINE_ctrl_cmd_string(loaded, "SO_PATH", path, 0) &&
           ENGINE_ctrl_cmd_string(loaded, "LOAD", NULL, 0);
    ENGINE_free(loaded);
    return done;
}

static int find_engine(void **state)
{
    (void)state;
    if (!load_by_path() || !load_by_path())
        return -1;
    engine = ENGINE_by_id("aliyun-iot");
    return engine ? 0 : -1;
}

static int free_engine(void **state)
{
    (void)state;
    return ENGINE_free(engine) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(threads_that_are_first_all_have_the_provider),
            cmocka_unit_test(every_form_of_a_uri_is_opened_as_the_strict_one),
            cmocka_unit_test(a_path_is_never_taken_for_a_device),
            cmocka_unit_test(an_older_error_is_not_taken_for_the_cause),
            cmocka_unit_test(no_key_id_is_an_error),
            cmocka_unit_test(a_uri_that_curl_has_cut_off_says_so),
            cmocka_unit_test(a_certificate_that_is_not_there_is_an_error),
            cmocka_unit_test(the_digest_of_a_password_is_accepted),
            cmocka_unit_test(the_default_provider_stays),
    };

    return cmocka_run_group_tests(tests, find_engine, free_engine);
}
