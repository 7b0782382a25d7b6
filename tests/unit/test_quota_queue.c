/* SPDX-License-Identifier: Apache-2.0 */
/* The queue's arithmetic, against a service that counts the calls of the last second. */
#include "unit.h"

#include "cloud/quota_queue.h"

#define MS INT64_C(1000000) /* nanoseconds */

enum { CALLERS_MAX = 512, LIMIT_MAX = 200 };

/* The service: the times of the calls that it answered last. */
struct service {
    int limit;
    int64_t answered[LIMIT_MAX];
    int oldest;
    int throttled;
};

/* One thread of a program: it waits for a place, or its call is on the way. */
struct caller {
    struct quota_queue *queue;
    bool has_place, on_the_way;
    int64_t place;
    int64_t next; /* when something happens */
};

struct outcome {
    double seconds;
    int throttled;
};

/* The same numbers in each run. */
static uint32_t random_below(uint32_t limit)
{
    static uint64_t seed = 1;

    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % limit;
}

/* What the network and the scheduler add to the way of a call: little as a rule, much at times. */
static int64_t delay(void)
{
    return random_below(500) == 0 ? random_below(150) * MS : random_below(24) * MS;
}

static bool answers(struct service *service, int64_t now)
{
    int64_t *oldest = &service->answered[service->oldest];

    if (*oldest != 0 && now - *oldest < SECOND_NS) {
        service->throttled++;
        return false;
    }
    *oldest = now;
    service->oldest = (service->oldest + 1) % service->limit;
    return true;
}

static void wait_for_place(struct caller *caller, const struct quota_pace *pace, int64_t now)
{
    int64_t wait;

    if (!caller->has_place) {
        caller->place = quota_queue_place(caller->queue, pace, now);
        quota_queue_take(caller->queue, pace, false, now);
        caller->has_place = true;
    }
    wait = quota_queue_wait(caller->queue, caller->place, now);
    caller->on_the_way = wait == 0;
    caller->next = now + (wait == 0 ? delay() : wait);
}

/* Returns whether the service answered. */
static bool arrive(struct caller *caller, struct service *service, int64_t now)
{
    caller->has_place = caller->on_the_way = false;
    caller->next = now;
    if (answers(service, now))
        return true;
    quota_queue_slow_down(caller->queue, now);
    caller->next = now + SECOND_NS + random_below(200) * MS;
    return false;
}

static struct caller *first_of(struct caller *callers, int count)
{
    struct caller *first = callers;

    for (int index = 1; index < count; index++)
        if (callers[index].next < first->next)
            first = &callers[index];
    return first;
}

/* Machines of 64 threads each, which do not know of each other, until so many calls are answered.
 */
static struct outcome simulate(int limit, double rate, int machines, int calls)
{
    const int64_t begun = 3600 * SECOND_NS;
    const struct quota_pace pace = {.step_ns = (int64_t)((double)SECOND_NS / rate), .burst = 1};
    struct service service = {.limit = limit};
    struct quota_queue queues[8] = {{0}};
    struct caller callers[CALLERS_MAX], *caller;
    int count = machines * 64;
    int64_t now = begun;

    for (int index = 0; index < count; index++)
        callers[index] = (struct caller){
                .queue = &queues[index % machines], .next = begun + random_below(10) * MS};
    while (calls > 0) {
        caller = first_of(callers, count);
        now = caller->next;
        if (!caller->on_the_way)
            wait_for_place(caller, &pace, now);
        else
            calls -= arrive(caller, &service, now);
    }
    return (struct outcome){(double)(now - begun) / (double)SECOND_NS, service.throttled};
}

static void at_nine_tenths_of_the_limit_no_call_is_throttled_and_the_rate_is_reached(void **state)
{
    struct outcome fast = simulate(200, 180, 1, 4000), slow = simulate(10, 9, 1, 900);

    (void)state;
    assert_int_equal(fast.throttled, 0);
    assert_true(4000 / fast.seconds >= 0.97 * 180);
    assert_int_equal(slow.throttled, 0);
    assert_true(900 / slow.seconds >= 0.97 * 9);
}

static void near_the_limit_a_throttled_call_costs_two_seconds_of_throughput_at_most(void **state)
{
    double lost = 0;
    int throttled = 0;

    (void)state;
    for (int run = 0; run < 10; run++) {
        struct outcome outcome = simulate(200, 196, 1, 2000);

        lost += outcome.seconds - 2000 / 196.0;
        throttled += outcome.throttled;
    }
    print_message("%d throttled calls cost %.2f s\n", throttled, lost);
    assert_between(throttled, 1, 100);
    assert_true(lost / throttled <= 2);
}

static void machines_that_do_not_know_of_each_other_find_a_common_pace(void **state)
{
    struct outcome two = simulate(10, 9, 2, 2000), eight = simulate(10, 9, 8, 4000);

    (void)state;
    print_message("2 machines: %.0f s of 200 s, %d throttled\n", two.seconds, two.throttled);
    print_message("8 machines: %.0f s of 400 s, %d throttled\n", eight.seconds, eight.throttled);
    assert_true(two.seconds < 1.25 * 200);
    assert_true(two.throttled < 2000 / 10);
    assert_true(eight.seconds < 1.25 * 400);
    assert_true(eight.throttled < 4000 / 2);
}

/* How many seconds of full speed the queue loses after the service throttled that many calls. */
static double cost_of(int calls, int64_t apart)
{
    const struct quota_pace pace = {.step_ns = SECOND_NS / 100, .burst = 1};
    struct quota_queue queue = {0};
    int64_t now = 3600 * SECOND_NS, begun = now, place;

    for (int call = 0; call < calls; call++, now += apart)
        quota_queue_slow_down(&queue, now);
    for (int call = 0; call < 30000; call++) {
        int64_t wait;

        place = quota_queue_place(&queue, &pace, now);
        quota_queue_take(&queue, &pace, false, now);
        while ((wait = quota_queue_wait(&queue, place, now)) > 0)
            now += wait;
    }
    return (double)(now - begun) / (double)SECOND_NS - 30000 / 100.0;
}

static void throttled_calls_of_one_second_have_one_cause_and_one_cost(void **state)
{
    double one = cost_of(1, 0);

    (void)state;
    assert_true(one > 1 && one < 1.6);
    assert_true(cost_of(20, MS) < one + 0.1);
    assert_true(cost_of(2, 2 * SECOND_NS) > one + 1);
}

static void those_who_wait_already_slow_down_too(void **state)
{
    const struct quota_pace pace = {.step_ns = SECOND_NS, .burst = 1};
    struct quota_queue queue = {0};
    int64_t now = 3600 * SECOND_NS, place = 0, wait;

    (void)state;
    for (int call = 0; call < 5; call++) {
        place = quota_queue_place(&queue, &pace, now);
        quota_queue_take(&queue, &pace, false, now);
    }
    assert_int_equal(quota_queue_wait(&queue, place, now), 4 * SECOND_NS);
    assert_true(quota_queue_reaches(&queue, place, now + 4 * SECOND_NS));
    quota_queue_slow_down(&queue, now);
    wait = quota_queue_wait(&queue, place, now);
    assert_true(wait > 4 * SECOND_NS && wait < 5 * SECOND_NS);
    assert_false(quota_queue_reaches(&queue, place, now + 4 * SECOND_NS));
    assert_true(quota_queue_reaches(&queue, place, now + 5 * SECOND_NS));
    assert_false(quota_queue_reaches(&queue, place, now + wait - MS));
}

static void the_slowest_queue_still_moves_and_recovers(void **state)
{
    const struct quota_pace pace = {.step_ns = SECOND_NS / 10, .burst = 1};
    struct quota_queue queue = {0};
    int64_t now = 3600 * SECOND_NS, place;

    (void)state;
    for (int call = 0; call < 1000; call++, now += SECOND_NS)
        quota_queue_slow_down(&queue, now);
    assert_true(quota_queue_is_sound(&queue, now));
    place = quota_queue_place(&queue, &pace, now) + SECOND_NS;
    assert_true(quota_queue_wait(&queue, place, now) < 20 * SECOND_NS);
    now += 3600 * SECOND_NS;
    place = quota_queue_place(&queue, &pace, now);
    quota_queue_take(&queue, &pace, false, now);
    assert_int_equal(quota_queue_wait(&queue, place, now), 0);
    place = quota_queue_place(&queue, &pace, now);
    assert_int_equal(quota_queue_wait(&queue, place, now), SECOND_NS / 10);
}

/* What nobody waits for gets a fifth here, however often it asks. */
static void calls_that_nobody_waits_for_have_a_pace_of_their_own(void **state)
{
    const struct quota_pace pace = {
            .step_ns = SECOND_NS / 10, .burst = 1, .background_step_ns = SECOND_NS / 2};
    struct quota_queue queue = {0};
    int64_t begun = 3600 * SECOND_NS;
    int background = 0, others = 0;

    (void)state;
    for (int64_t now = begun; now < begun + 60 * SECOND_NS; now += 10 * MS) {
        bool is_free = quota_queue_wait(&queue, quota_queue_place(&queue, &pace, now), now) == 0;
        bool is_background = quota_queue_admits_background(&queue, now);

        if (!is_free)
            continue;
        quota_queue_take(&queue, &pace, is_background, now);
        background += is_background;
        others += !is_background;
        assert_true(quota_queue_is_sound(&queue, now));
    }
    assert_int_equal(background, 120);
    assert_int_equal(others, 480);
}

static void numbers_that_no_queue_can_have_are_noticed(void **state)
{
    const int64_t now = 3600 * SECOND_NS;
    const struct quota_queue bad[] = {
            {.next_ns = -1},
            {.next_background_ns = -1},
            {.next_background_ns = now + 7201 * SECOND_NS},
            {.next_ns = INT64_MAX},
            {.next_ns = now + 7201 * SECOND_NS},
            {.next_ns = now, .slowed_ns = now + 1, .clock_ns = now, .speed = 1000000},
            {.next_ns = now, .slowed_ns = INT64_MIN, .clock_ns = 0, .speed = 1000000},
            {.next_ns = now, .slowed_ns = now, .clock_ns = -1, .speed = 1000000},
            {.next_ns = now, .slowed_ns = now, .clock_ns = now + 1, .speed = 1000000},
            {.next_ns = now, .slowed_ns = now, .clock_ns = now, .speed = 0},
            {.next_ns = now, .slowed_ns = now, .clock_ns = now, .speed = 1000001},
    };
    struct quota_queue queue = {.next_ns = now + 7199 * SECOND_NS};

    (void)state;
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
        if (quota_queue_is_sound(&bad[index], now))
            fail_msg("number %zu passes", index);
    assert_true(quota_queue_is_sound(&queue, now));
    quota_queue_slow_down(&queue, now);
    assert_true(quota_queue_is_sound(&queue, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(
                    at_nine_tenths_of_the_limit_no_call_is_throttled_and_the_rate_is_reached),
            cmocka_unit_test(
                    near_the_limit_a_throttled_call_costs_two_seconds_of_throughput_at_most),
            cmocka_unit_test(machines_that_do_not_know_of_each_other_find_a_common_pace),
            cmocka_unit_test(throttled_calls_of_one_second_have_one_cause_and_one_cost),
            cmocka_unit_test(those_who_wait_already_slow_down_too),
            cmocka_unit_test(the_slowest_queue_still_moves_and_recovers),
            cmocka_unit_test(calls_that_nobody_waits_for_have_a_pace_of_their_own),
            cmocka_unit_test(numbers_that_no_queue_can_have_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
