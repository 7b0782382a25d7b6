/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials_fixture.h"

#include <pthread.h>

static void credentials_are_kept_until_they_are_rejected(void **state)
{
    struct settings settings = settings_of("environment", NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *first, *second;
    struct aliyun_iot_error *error = NULL;

    (void)state;
    set_environment_keys("id-1");
    first = get(store, NULL);
    set_environment_keys("id-2");
    second = get(store, NULL);
    assert_ptr_equal(first, second);
    credentials_free(second);

    credentials_reject(store, first);
    second = get(store, NULL);
    assert_string_equal(second->access_key_id, "id-2");
    assert_string_equal(first->access_key_id, "id-1");

    /* A late rejection of those before is not one of these. */
    set_environment_keys("id-3");
    credentials_reject(store, first);
    credentials_free(first);
    first = get(store, NULL);
    assert_ptr_equal(first, second);
    credentials_free(first);

    unsetenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
    credentials_reject(store, second);
    assert_null(get(store, &error));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "environment: ");
    set_environment_keys("id-4");
    first = get(store, NULL);
    assert_string_equal(first->access_key_id, "id-4");

    /* References outlive the store. */
    credentials_store_free(store);
    assert_string_equal(first->access_key_secret, SECRET);
    credentials_free(first);
    credentials_free(second);
    credentials_free(NULL);
    credentials_store_free(NULL);
}

/* The store gives that AccessKey, and asks the network so often for it. */
static void assert_gets(struct credentials_store *store, const char *id, int exchanges)
{
    struct aliyun_iot_error *error = NULL;
    struct credentials *found;

    fixture.asked = 0;
    found = get(store, &error);
    if (!found)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(found->access_key_id, id);
    credentials_free(found);
    assert_int_equal(fixture.asked, exchanges);
}

/* A store whose source is a credentials URI; it has asked for the first credentials. */
static struct credentials_store *store_of_uri(const struct settings *settings)
{
    struct credentials_store *store = credentials_store_new(settings, NULL);

    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    fixture.network_up = true;
    assert_gets(store, "STS.1", 1);
    assert_gets(store, "STS.1", 0);
    return store;
}

static void credentials_are_renewed_minutes_before_they_expire(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);

    (void)state;
    fixture.clock_ahead = 3600 - 310;
    assert_gets(store, "STS.1", 0);
    fixture.clock_ahead = 3600 - 290;
    assert_gets(store, "STS.2", 1);
    credentials_store_free(store);
}

static void a_renewal_that_fails_leaves_the_call_its_time_and_is_not_tried_by_each(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);
    struct aliyun_iot_error *error = NULL;
    int64_t begun_ms = monotonic_milliseconds();

    (void)state;
    fixture.network_up = false;
    fixture.clock_ahead = 3600 - 290;
    assert_gets(store, "STS.1", 1);
    assert_between(fixture.exchanges[0].deadline, begun_ms + 3000, monotonic_milliseconds() + 3000);
    assert_gets(store, "STS.1", 0);
    fixture.clock_ahead += 31;
    assert_gets(store, "STS.1", 1);
    fixture.clock_ahead += 31;
    fixture.network_up = true;
    assert_gets(store, "STS.2", 1);

    fixture.network_up = false;
    fixture.clock_ahead += 3600;
    assert_null(get(store, &error));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "no route");
    credentials_store_free(store);
}

static void the_source_that_worked_is_the_only_one_asked_later(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);
    struct aliyun_iot_error *error = NULL;

    (void)state;
    set_environment_keys("id-other");
    fixture.network_up = false;
    fixture.clock_ahead = 3600 - 290;
    assert_gets(store, "STS.1", 1);
    /* With nothing left to go on with, another account's key is worse than an error. */
    fixture.clock_ahead = 3600;
    assert_null(get(store, &error));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "no route");
    fixture.network_up = true;
    assert_gets(store, "STS.2", 1);
    credentials_store_free(store);
}

static void a_source_that_does_not_answer_leaves_time_to_those_after_it(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    int64_t deadline = monotonic_milliseconds() + 60 * 1000;

    (void)state;
    write_cli_profile(
            "default", "\"mode\":\"CredentialsURI\",\"credentials_uri\":\"http://127.0.0.1/\"");
    setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/", 1);
    assert_null(credentials_get(store, deadline, NULL));
    assert_int_equal(fixture.asked, 2);
    assert_int_equal(fixture.exchanges[0].deadline, deadline - 2500);
    assert_int_equal(fixture.exchanges[1].deadline, deadline);
    credentials_store_free(store);
}

static bool reread(struct credentials_store *store, const struct credentials *credentials)
{
    return credentials_reread(store, credentials, monotonic_milliseconds() + 1000);
}

static void write_key(const char *id)
{
    char fields[256];

    snprintf(fields, sizeof(fields),
            "\"mode\":\"AK\",\"access_key_id\":\"%s\",\"access_key_secret\":\"" SECRET "\"", id);
    write_cli_profile("default", fields);
}

static void a_key_that_was_rotated_in_its_file_is_read_again(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *first, *second;

    (void)state;
    write_key("id-1");
    first = get(store, NULL);
    assert_false(reread(store, first));
    write_key("id-2");
    fixture.clock_ahead += 10;
    assert_gets(store, "id-1", 0);
    assert_true(reread(store, first));
    assert_gets(store, "id-2", 0);
    /* Another call that was signed with the first ones need not read. */
    assert_true(reread(store, first));
    second = get(store, NULL);
    fixture.clock_ahead += 10;
    assert_false(reread(store, second));
    credentials_free(first);
    credentials_free(second);
    credentials_store_free(store);
}

static void a_secret_that_was_corrected_is_read_again(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *wrong, *right;

    (void)state;
    set_environment_keys("id");
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "typo", 1);
    wrong = get(store, NULL);
    set_environment_keys("id");
    assert_true(reread(store, wrong));
    right = get(store, NULL);
    assert_string_equal(right->access_key_secret, SECRET);
    credentials_free(wrong);
    credentials_free(right);
    credentials_store_free(store);
}

static void a_temporary_key_kept_in_a_profile_is_asked_for_anew_when_it_is_not_known(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *kept, *found;

    (void)state;
    write_cli_profile("default",
            "\"mode\":\"CloudSSO\",\"cloud_sso_sign_in_url\":\"https://sso.example/login\","
            "\"cloud_sso_account_id\":\"1\",\"cloud_sso_access_config\":\"c\","
            "\"access_token\":\"" TOKEN "\",\"cloud_sso_access_token_expire\":4102444800,"
            "\"access_key_id\":\"STS.kept\",\"access_key_secret\":\"" SECRET "\","
            "\"sts_token\":\"" TOKEN "\",\"sts_expiration\":4102444800");
    fixture.answer =
            "{\"CloudCredential\":{\"AccessKeyId\":\"STS.new\",\"AccessKeySecret\":\"" SECRET
            "\",\"SecurityToken\":\"" TOKEN "\",\"Expiration\":\"2100-01-01T00:00:00Z\"}}";
    fixture.network_up = true;
    kept = get(store, NULL);
    assert_string_equal(kept->access_key_id, "STS.kept");
    assert_true(reread(store, kept));
    found = get(store, NULL);
    assert_string_equal(found->access_key_id, "STS.new");
    credentials_free(found);
    credentials_free(kept);
    credentials_store_free(store);
}

static void a_rejected_key_is_not_read_again_by_each_call(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = store_of_uri(&settings);
    struct credentials *found = get(store, NULL);

    (void)state;
    fixture.answer = "{\"AccessKeyId\":\"STS.1\",\"AccessKeySecret\":\"" SECRET
                     "\",\"SecurityToken\":\"" TOKEN "\",\"Expiration\":\"2100-01-01T00:00:00Z\"}";
    fixture.asked = 0;
    for (int call = 0; call < 5; call++)
        assert_false(reread(store, found));
    assert_int_equal(fixture.asked, 1);
    fixture.clock_ahead += 10;
    assert_false(reread(store, found));
    assert_int_equal(fixture.asked, 2);
    /* Nor if a clock that was set back makes the last time one to come. */
    fixture.clock_ahead -= 1000;
    assert_false(reread(store, found));
    assert_int_equal(fixture.asked, 3);
    credentials_free(found);
    credentials_store_free(store);
}

static void a_source_that_cannot_be_read_again_leaves_what_there_is(void **state)
{
    struct settings settings = settings_of(NULL, NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    struct credentials *found;

    (void)state;
    write_key("id-1");
    found = get(store, NULL);
    write_cli_profiles("{");
    set_environment_keys("id-other");
    assert_false(reread(store, found));
    assert_gets(store, "id-1", 0);
    credentials_free(found);
    credentials_store_free(store);
}

static void *get_and_reject(void *store)
{
    for (int time = 0; time < 100; time++) {
        struct credentials *found = get(store, NULL);

        assert_non_null(found);
        assert_string_equal(found->access_key_id, "id-env");
        if (time % 3 == 0)
            credentials_reject(store, found);
        else
            assert_false(reread(store, found));
        credentials_free(found);
    }
    return NULL;
}

static void many_threads_share_a_store(void **state)
{
    struct settings settings = settings_of("environment", NULL);
    struct credentials_store *store = credentials_store_new(&settings, NULL);
    pthread_t threads[8];

    (void)state;
    set_environment_keys("id-env");
    for (size_t index = 0; index < sizeof(threads) / sizeof(threads[0]); index++)
        assert_int_equal(0, pthread_create(&threads[index], NULL, get_and_reject, store));
    for (size_t index = 0; index < sizeof(threads) / sizeof(threads[0]); index++)
        pthread_join(threads[index], NULL);
    credentials_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(credentials_are_kept_until_they_are_rejected),
            TEST(credentials_are_renewed_minutes_before_they_expire),
            TEST(a_renewal_that_fails_leaves_the_call_its_time_and_is_not_tried_by_each),
            TEST(the_source_that_worked_is_the_only_one_asked_later),
            TEST(a_source_that_does_not_answer_leaves_time_to_those_after_it),
            TEST(a_key_that_was_rotated_in_its_file_is_read_again),
            TEST(a_secret_that_was_corrected_is_read_again),
            TEST(a_temporary_key_kept_in_a_profile_is_asked_for_anew_when_it_is_not_known),
            TEST(a_rejected_key_is_not_read_again_by_each_call),
            TEST(a_source_that_cannot_be_read_again_leaves_what_there_is),
            TEST(many_threads_share_a_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
