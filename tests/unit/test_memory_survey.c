/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of the memory cache, take out of it, and hand on to another. */
#include "source_double.h"

#include <string.h>

struct seen {
    int count, stop_after;
    char names[200];
};

static bool note(void *context, const struct memory_item *item)
{
    struct seen *seen = context;

    assert_non_null(item->identity);
    assert_between(item->fetched, time(NULL) - 2, time(NULL));
    strcat(seen->names, item->device->device_name);
    strcat(seen->names, " ");
    return ++seen->count != seen->stop_after;
}

static bool is_device(void *context, const struct device *device)
{
    return strncmp(device->device_name, context, strlen(context)) == 0;
}

static struct memory_cache *filled_cache(const struct settings *settings)
{
    struct memory_cache *cache = memory_cache_new(settings, &source);

    for (const char *const *name = (const char *const[]){"b-2", "a-1", "b-1", NULL}; *name; name++)
        assert_true(get(cache, *name, NULL));
    return cache;
}

static void identities_are_shown_in_the_order_of_their_devices_until_told_to_stop(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = filled_cache(&settings);
    struct seen all = {.stop_after = 0}, two = {.stop_after = 2};

    (void)state;
    memory_cache_visit(cache, note, &all);
    memory_cache_visit(cache, note, &two);
    assert_string_equal("a-1 b-1 b-2 ", all.names);
    assert_string_equal("a-1 b-1 ", two.names);
    process_await_threads();
    assert_int_equal(3, memory_cache_counts(cache).identities);
    assert_int_equal(0, memory_cache_counts(cache).calls);
    memory_cache_free(cache);
}

static void what_was_evicted_is_fetched_again(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *cache = filled_cache(&settings);
    char prefix[] = "b-";

    (void)state;
    assert_int_equal(2, memory_cache_evict(cache, is_device, prefix));
    assert_int_equal(0, memory_cache_evict(cache, is_device, prefix));
    assert_int_equal(3, calls());
    assert_true(get(cache, "a-1", NULL));
    assert_int_equal(3, calls());
    assert_true(get(cache, "b-1", NULL));
    assert_int_equal(4, calls());
    process_await_threads();
    memory_cache_free(cache);
}

static void a_new_cache_has_what_it_inherits(void **state)
{
    struct settings settings = settings_of(HOUR_MS, HOUR_MS);
    struct memory_cache *older = filled_cache(&settings);
    struct memory_cache *cache = memory_cache_new(&settings, &source);

    (void)state;
    memory_cache_inherit(cache, older);
    process_await_threads();
    memory_cache_free(older);
    assert_true(get(cache, "a-1", NULL));
    assert_true(get(cache, "b-2", NULL));
    assert_int_equal(3, calls());
    assert_int_equal(3, memory_cache_counts(cache).identities);
    process_await_threads();
    memory_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(
                    identities_are_shown_in_the_order_of_their_devices_until_told_to_stop,
                    reset_cloud),
            cmocka_unit_test_setup(what_was_evicted_is_fetched_again, reset_cloud),
            cmocka_unit_test_setup(a_new_cache_has_what_it_inherits, reset_cloud),
    };

    return cmocka_run_group_tests(tests, make_pair, free_pair);
}
