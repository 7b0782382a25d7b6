/* SPDX-License-Identifier: Apache-2.0 */
/* How limits count, on a clock of our own. */
#include "unit.h"

#include "agent/policy/limits.h"
#include "clock_double.h"

static const struct limit_rate two_a_second = {"pace", 2, 1};
static const struct limit_rate many_an_hour = {"many", 36000, 3600};

static struct principal local(uid_t uid)
{
    return (struct principal){.has_uid = true, .uid = uid};
}

static void a_rate_gives_all_at_once_and_then_as_time_passes(void **state)
{
    struct limits *limits = limits_new();
    struct principal principal = local(7);

    (void)state;
    assert_true(limits_count(limits, &two_a_second, &principal));
    assert_true(limits_count(limits, &two_a_second, &principal));
    assert_false(limits_count(limits, &two_a_second, &principal));
    clock_advance(499);
    assert_false(limits_count(limits, &two_a_second, &principal));
    clock_advance(1);
    assert_true(limits_count(limits, &two_a_second, &principal));
    assert_false(limits_count(limits, &two_a_second, &principal));
    clock_advance(10000);
    assert_true(limits_count(limits, &two_a_second, &principal));
    assert_true(limits_count(limits, &two_a_second, &principal));
    assert_false(limits_count(limits, &two_a_second, &principal));
    limits_free(limits);
}

static void each_user_name_and_the_unknown_have_their_own(void **state)
{
    static const char *const first[] = {"a.example", "b.example"}, *const second[] = {"b.example"};
    struct principal principals[] = {local(7), local(8), {.has_uid = false},
            {.is_remote = true, .hosts = first, .host_count = 2},
            {.is_remote = true, .hosts = second, .host_count = 1}, {.is_remote = true}};
    struct limits *limits = limits_new();

    (void)state;
    for (size_t index = 0; index < sizeof(principals) / sizeof(principals[0]); index++) {
        assert_true(limits_count(limits, &two_a_second, &principals[index]));
        /* The last one is unknown too. */
        if (index != 2)
            assert_true(limits_count(limits, &two_a_second, &principals[index]) == (index != 5));
    }
    limits_free(limits);
}

static void a_long_period_can_be_used_to_the_last(void **state)
{
    struct limits *limits = limits_new();
    struct principal principal = local(7);

    (void)state;
    for (int count = 0; count < 36000; count++)
        assert_true(limits_count(limits, &many_an_hour, &principal));
    assert_false(limits_count(limits, &many_an_hour, &principal));
    limits_free(limits);
}

static void who_has_everything_left_is_forgotten(void **state)
{
    struct limits *limits = limits_new();

    (void)state;
    for (uid_t uid = 0; uid < 5000; uid++) {
        struct principal principal = local(uid);

        assert_true(limits_count(limits, &two_a_second, &principal));
        assert_true(limits_count(limits, &two_a_second, &principal));
        if (uid % 1000 == 999)
            clock_advance(2000);
    }
    /* And who has not, is not. */
    for (uid_t uid = 0; uid < 5000; uid++) {
        struct principal principal = local(uid);

        assert_true(limits_count(limits, &two_a_second, &principal));
        assert_true(limits_count(limits, &two_a_second, &principal));
        assert_false(limits_count(limits, &two_a_second, &principal));
    }
    limits_free(limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_rate_gives_all_at_once_and_then_as_time_passes),
            cmocka_unit_test(each_user_name_and_the_unknown_have_their_own),
            cmocka_unit_test(a_long_period_can_be_used_to_the_last),
            cmocka_unit_test(who_has_everything_left_is_forgotten),
    };

    return clock_start() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
