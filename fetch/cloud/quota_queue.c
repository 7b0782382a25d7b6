/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/quota_queue.h"

/*
 * A single throttled call costs the area of the triangle under full speed: 0.2 * 15 s / 2 = 1.5 s
 * of throughput. Eight machines that share a quota without knowing of each other still find a
 * common pace: the more often calls are throttled, the slower the queue gets.
 */
enum {
    FULL_SPEED = 1000000,
    SPEED_MIN = FULL_SPEED / 20,
    SLOWER_PERCENT = 80,              /* what a throttled call leaves of the speed */
    SPEED_GAIN = FULL_SPEED / 5 / 15, /* by which the speed grows in a second */
    LENGTH_MAX_S = 2 * 3600, /* more than the longest timeout and the longest burst together */
    SLOWED_AGAIN_MS = 1000   /* the service counts calls by the second */
};

static bool was_slowed(const struct quota_queue *queue)
{
    return queue->slowed_ns != 0;
}

/* Seconds from slowing down until full speed. */
static double recovery(const struct quota_queue *queue)
{
    return (double)(FULL_SPEED - queue->speed) / SPEED_GAIN;
}

static double seconds_since(const struct quota_queue *queue, int64_t now_ns)
{
    return (double)(now_ns - queue->slowed_ns) / (double)SECOND_NS;
}

/* As a part of full speed. */
static double speed_at(const struct quota_queue *queue, int64_t now_ns)
{
    if (!was_slowed(queue) || seconds_since(queue, now_ns) >= recovery(queue))
        return 1;
    return ((double)queue->speed + SPEED_GAIN * seconds_since(queue, now_ns)) / FULL_SPEED;
}

static int64_t clock_at(const struct quota_queue *queue, int64_t now_ns)
{
    double since, growing;

    if (!was_slowed(queue))
        return now_ns;
    since = seconds_since(queue, now_ns);
    growing = since < recovery(queue) ? since : recovery(queue);
    /* The average speed while it grew, then full speed. */
    return queue->clock_ns +
           (int64_t)(((double)queue->speed + SPEED_GAIN * growing / 2) / FULL_SPEED * growing *
                     (double)SECOND_NS) +
           (int64_t)((since - growing) * (double)SECOND_NS);
}

bool quota_queue_is_sound(const struct quota_queue *queue, int64_t now_ns)
{
    if (was_slowed(queue) && (queue->slowed_ns < 0 || queue->slowed_ns > now_ns ||
                                     queue->clock_ns < 0 || queue->clock_ns > queue->slowed_ns ||
                                     queue->speed < SPEED_MIN || queue->speed > FULL_SPEED))
        return false;
    return queue->next_ns >= 0 && queue->next_background_ns >= 0 &&
           queue->next_ns - clock_at(queue, now_ns) <= LENGTH_MAX_S * SECOND_NS &&
           queue->next_background_ns - clock_at(queue, now_ns) <= LENGTH_MAX_S * SECOND_NS;
}

/* The next place without a burst. */
static int64_t first_free(const struct quota_queue *queue, int64_t now_ns)
{
    int64_t clock_ns = clock_at(queue, now_ns);

    return queue->next_ns > clock_ns ? queue->next_ns : clock_ns;
}

int64_t quota_queue_place(
        const struct quota_queue *queue, const struct quota_pace *pace, int64_t now_ns)
{
    return first_free(queue, now_ns) - (pace->burst - 1) * pace->step_ns;
}

void quota_queue_take(
        struct quota_queue *queue, const struct quota_pace *pace, bool background, int64_t now_ns)
{
    /* An empty queue that is back at full speed starts anew, so that its clock shows real time. */
    if (queue->next_ns <= clock_at(queue, now_ns) && speed_at(queue, now_ns) >= 1)
        *queue = (struct quota_queue){
                .next_ns = now_ns, .next_background_ns = queue->next_background_ns};
    queue->next_ns = first_free(queue, now_ns) + pace->step_ns;
    if (background)
        queue->next_background_ns = clock_at(queue, now_ns) + pace->background_step_ns;
}

bool quota_queue_admits_background(const struct quota_queue *queue, int64_t now_ns)
{
    return queue->next_background_ns <= clock_at(queue, now_ns);
}

int64_t quota_queue_wait(const struct quota_queue *queue, int64_t place_ns, int64_t now_ns)
{
    int64_t left = place_ns - clock_at(queue, now_ns);
    int64_t latest;

    if (left <= 0)
        return 0;
    /* The speed only grows, so the place comes at the latest at the speed of now. */
    latest = (int64_t)((double)left / speed_at(queue, now_ns));
    return (int64_t)((double)left / speed_at(queue, now_ns + latest));
}

bool quota_queue_reaches(const struct quota_queue *queue, int64_t place_ns, int64_t end_ns)
{
    return clock_at(queue, end_ns) >= place_ns;
}

bool quota_queue_slow_down(struct quota_queue *queue, int64_t now_ns)
{
    int64_t clock_ns = clock_at(queue, now_ns);
    int64_t speed = (int64_t)(speed_at(queue, now_ns) * FULL_SPEED) * SLOWER_PERCENT / 100;

    if (was_slowed(queue) && now_ns - queue->slowed_ns < SLOWED_AGAIN_MS * (SECOND_NS / 1000))
        return false;
    queue->clock_ns = clock_ns;
    queue->slowed_ns = now_ns;
    queue->speed = speed > SPEED_MIN ? speed : SPEED_MIN;
    return true;
}
