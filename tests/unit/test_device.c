/* SPDX-License-Identifier: Apache-2.0 */
/* The name of a device: what the caches find it by. */
#include "unit.h"

#include "base/device.h"

enum { FIELDS = 5 };

/* The texts in the order of the structure. */
static struct device device_with(const char *const texts[FIELDS])
{
    return (struct device){texts[0], texts[1], texts[2], texts[3], texts[4]};
}

static const char *const texts[FIELDS] = {"region", "endpoint", "product", "device", "instance"};

static void a_copy_is_equal_and_outlives_what_it_was_copied_from(void **state)
{
    char name[] = "device", region[] = "region";
    struct device device = device_with(texts), *copy;

    (void)state;
    device.device_name = name;
    device.region = region;
    copy = device_copy(&device);
    assert_int_equal(device_compare(copy, &device), 0);
    memset(name, 'x', sizeof(name) - 1);
    memset(region, 'x', sizeof(region) - 1);
    assert_string_equal(copy->region, "region");
    assert_string_equal(copy->endpoint, "endpoint");
    assert_string_equal(copy->product_key, "product");
    assert_string_equal(copy->device_name, "device");
    assert_string_equal(copy->instance_id, "instance");
    device_free(copy);
}

static void what_is_not_set_is_not_set_in_the_copy(void **state)
{
    struct device device = device_with(texts), *copy;

    (void)state;
    device.instance_id = NULL;
    copy = device_copy(&device);
    assert_null(copy->instance_id);
    assert_int_equal(device_compare(copy, &device), 0);
    device_free(copy);
    device_free(NULL);
}

static void assert_differ(const struct device *left, const struct device *right)
{
    int order = device_compare(left, right);

    assert_true(order != 0);
    assert_true((device_compare(right, left) < 0) == (order > 0));
}

static void each_part_of_the_name_tells_devices_apart(void **state)
{
    const struct device device = device_with(texts);
    struct device other;

    (void)state;
    for (size_t index = 0; index < FIELDS; index++) {
        const char *others[FIELDS];

        memcpy(others, texts, sizeof(texts));
        others[index] = "other";
        other = device_with(others);
        assert_differ(&device, &other);
        others[index] = NULL;
        other = device_with(others);
        assert_differ(&device, &other);
    }
}

static void parts_do_not_run_into_each_other(void **state)
{
    const char *const left[FIELDS] = {"r", "e", "ab", "c", NULL};
    const char *const right[FIELDS] = {"r", "e", "a", "bc", NULL};
    const char *const empty[FIELDS] = {"r", "e", "ab", "c", ""};
    const struct device devices[] = {device_with(left), device_with(right), device_with(empty)};

    (void)state;
    assert_differ(&devices[0], &devices[1]);
    assert_differ(&devices[0], &devices[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_copy_is_equal_and_outlives_what_it_was_copied_from),
            cmocka_unit_test(what_is_not_set_is_not_set_in_the_copy),
            cmocka_unit_test(each_part_of_the_name_tells_devices_apart),
            cmocka_unit_test(parts_do_not_run_into_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
