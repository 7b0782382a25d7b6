/* SPDX-License-Identifier: Apache-2.0 */
/* The resolvers of a process, and their replacement when the settings change. */
#include "unit.h"

#include <pthread.h>
#include <unistd.h>

#include "answer.h"
#include "base/deadline.h"
#include "base/process.h"
#include "http_double.h"
#include "registry.h"

static char settings_file[] = "/tmp/registry-test-XXXXXX";
static char *answer_text;

/* A cloud that answers when the gate is open. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int exchanges;
    char url[64]; /* of the last exchange: its beginning */
} cloud = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .open = true};

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    (void)client;
    pthread_mutex_lock(&cloud.lock);
    cloud.exchanges++;
    snprintf(cloud.url, sizeof(cloud.url), "%.60s", request->url);
    pthread_cond_broadcast(&cloud.changed);
    while (!cloud.open)
        WAIT_OUTSIDE(pthread_cond_wait(&cloud.changed, &cloud.lock));
    pthread_mutex_unlock(&cloud.lock);
    return http_answer_with(answer, answer_text, error);
}

static void set_gate(bool open)
{
    pthread_mutex_lock(&cloud.lock);
    cloud.open = open;
    pthread_cond_broadcast(&cloud.changed);
    pthread_mutex_unlock(&cloud.lock);
}

static void await_exchanges(int exchanges)
{
    pthread_mutex_lock(&cloud.lock);
    while (cloud.exchanges < exchanges)
        pthread_cond_wait(&cloud.changed, &cloud.lock);
    pthread_mutex_unlock(&cloud.lock);
}

static void write_settings(const char *text)
{
    FILE *file = fopen(settings_file, "w");

    assert_true(file && fprintf(file, "[quota]\nrate = 1000\n%s", text) > 0 && fclose(file) == 0);
}

static void resolve(const char *uri)
{
    struct aliyun_iot_identity *identity;

    assert_int_equal(1, aliyun_iot_identity_resolve(settings_file, uri, &identity, NULL, NULL));
    aliyun_iot_identity_free(identity);
}

static void *resolve_in_thread(void *uri)
{
    resolve(uri);
    return NULL;
}

static void assert_last_call_went_to(const char *endpoint)
{
    if (strncmp(cloud.url, endpoint, strlen(endpoint)) != 0)
        fail_msg("the call went to %s, not to %s", cloud.url, endpoint);
}

static int reset(void **state)
{
    (void)state;
    write_settings("[cloud]\nendpoint = https://first\n");
    if (!registry_reload(settings_file, NULL))
        return -1;
    cloud.exchanges = 0;
    return 0;
}

static int await_threads(void **state)
{
    (void)state;
    process_await_threads();
    return 0;
}

static void a_settings_file_has_one_resolver(void **state)
{
    struct resolver *first = registry_find(settings_file, NULL);
    struct resolver *second = registry_find(settings_file, NULL);

    (void)state;
    assert_ptr_equal(first, second);
    resolver_free(first);
    resolver_free(second);
}

static void new_settings_count_after_a_reload_and_not_before(void **state)
{
    (void)state;
    resolve("aliyun-iot:product/one");
    assert_last_call_went_to("https://first");
    write_settings("[cloud]\nendpoint = https://second\n");
    resolve("aliyun-iot:product/two");
    assert_last_call_went_to("https://first");
    assert_int_equal(1, registry_reload(settings_file, NULL));
    resolve("aliyun-iot:product/two");
    assert_last_call_went_to("https://second");
    assert_int_equal(cloud.exchanges, 3);
}

static void a_call_under_way_during_a_reload_ends_with_the_old_settings(void **state)
{
    char uri[] = "aliyun-iot:product/one";
    pthread_t thread;

    (void)state;
    set_gate(false);
    assert_int_equal(0, pthread_create(&thread, NULL, resolve_in_thread, uri));
    await_exchanges(1);
    write_settings("[cloud]\nendpoint = https://second\n");
    assert_int_equal(1, registry_reload(settings_file, NULL));
    assert_last_call_went_to("https://first");
    set_gate(true);
    pthread_join(thread, NULL);
    assert_int_equal(cloud.exchanges, 1);
    resolve(uri);
    assert_last_call_went_to("https://second");
}

static void a_call_that_nobody_waits_for_outlives_the_reload(void **state)
{
    struct resolver *old = registry_find(settings_file, NULL);
    const struct device device = {"cn-shanghai", "https://first", "product", "abandoned", NULL};
    struct memory_waiter waiter = {.deadline = monotonic_milliseconds() + 60 * 1000};

    (void)state;
    set_gate(false);
    resolver_request(old, &device, &waiter);
    await_exchanges(1);
    assert_true(resolver_cancel(old, &waiter));
    resolver_free(old);
    /* The last user is gone, and the call's own thread frees the resolver. */
    assert_int_equal(1, registry_reload(settings_file, NULL));
    set_gate(true);
}

static void wrong_settings_leave_the_resolver_as_it_is(void **state)
{
    struct resolver *before = registry_find(settings_file, NULL), *after;
    struct aliyun_iot_error *error = NULL;

    (void)state;
    write_settings("[cloud]\nendpoint = nonsense\n");
    assert_int_equal(0, registry_reload(settings_file, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "endpoint");
    after = registry_find(settings_file, NULL);
    assert_ptr_equal(before, after);
    resolver_free(before);
    resolver_free(after);
}

/* Even if the new resolver is where a former one was. */
static void what_a_thread_was_given_last_does_not_outlive_its_resolver(void **state)
{
    (void)state;
    for (int time = 0; time < 10; time++) {
        resolve("aliyun-iot:product/one");
        assert_int_equal(cloud.exchanges, time + 1);
        assert_int_equal(1, registry_reload(settings_file, NULL));
        process_await_threads();
        assert_int_equal(1, registry_reload(settings_file, NULL));
    }
}

enum { RELOADS = 50 };

static void *reload_often(void *unused)
{
    for (int time = 0; time < RELOADS; time++)
        assert_int_equal(1, registry_reload(settings_file, NULL));
    return unused;
}

static void *resolve_often(void *unused)
{
    for (int time = 0; time < RELOADS; time++) {
        resolve("aliyun-iot:product/one");
        resolve("aliyun-iot:product/two");
    }
    return unused;
}

static void threads_may_resolve_while_others_reload(void **state)
{
    pthread_t threads[6];

    (void)state;
    for (int index = 0; index < 6; index++)
        assert_int_equal(0, pthread_create(&threads[index], NULL,
                                    index < 2 ? reload_often : resolve_often, NULL));
    for (int index = 0; index < 6; index++)
        pthread_join(threads[index], NULL);
}

static int make_answer(void **state)
{
    int file = mkstemp(settings_file);

    (void)state;
    answer_text = answer_of_device("EC");
    answer_set_access_key();
    return file >= 0 ? close(file) : -1;
}

static int free_answer(void **state)
{
    (void)state;
    cJSON_free(answer_text);
    return unlink(settings_file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, await_threads)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_settings_file_has_one_resolver),
            TEST(new_settings_count_after_a_reload_and_not_before),
            TEST(a_call_under_way_during_a_reload_ends_with_the_old_settings),
            TEST(a_call_that_nobody_waits_for_outlives_the_reload),
            TEST(wrong_settings_leave_the_resolver_as_it_is),
            TEST(what_a_thread_was_given_last_does_not_outlive_its_resolver),
            TEST(threads_may_resolve_while_others_reload),
    };

    return cmocka_run_group_tests(tests, make_answer, free_answer);
}
