/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the quota's queue: GCRA, the generic cell rate algorithm, on a clock of the
 * queue's own.
 *
 * A place in the queue is a time on that clock. The clock keeps pace with CLOCK_BOOTTIME. After the
 * service has throttled a call it runs slower, and returns to full speed over the next seconds. All
 * callers therefore slow down at once, including those who already have a place.
 *
 * All times are nanoseconds. Nothing here waits or reads a clock.
 */
#ifndef QUOTA_QUEUE_H
#define QUOTA_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define SECOND_NS INT64_C(1000000000)

/* All zeros: an empty queue that was never slowed down. */
struct quota_queue {
    int64_t next_ns;   /* the next free place, on the queue's clock */
    int64_t slowed_ns; /* CLOCK_BOOTTIME when the queue was last slowed down; 0: never */
    int64_t clock_ns;  /* the queue's clock at that time */
    int64_t speed;     /* of the queue's clock from that time on, in millionths of full speed */
    int64_t next_background_ns; /* on the queue's clock: when one that nobody waits for may go */
};

/* How fast the queue may move. */
struct quota_pace {
    int64_t step_ns;            /* between two calls */
    int64_t burst;              /* calls that may go at once after a pause */
    int64_t background_step_ns; /* between two calls that nobody waits for */
};

/* Whether the numbers can be those of a queue at that time, and not of a damaged file. */
bool quota_queue_is_sound(const struct quota_queue *queue, int64_t now_ns);

/* The place that the next caller gets. */
int64_t quota_queue_place(
        const struct quota_queue *queue, const struct quota_pace *pace, int64_t now_ns);

/* Takes that place. background: nobody waits for the call. */
void quota_queue_take(
        struct quota_queue *queue, const struct quota_pace *pace, bool background, int64_t now_ns);

/* Whether a call that nobody waits for may go, as far as others like it are concerned. */
bool quota_queue_admits_background(const struct quota_queue *queue, int64_t now_ns);

/*
 * How long it takes at least until the place comes; 0: it has come. Ask again after that time: it
 * is exact while the queue runs at full speed, and a lower bound otherwise.
 */
int64_t quota_queue_wait(const struct quota_queue *queue, int64_t place_ns, int64_t now_ns);

/* Whether the place comes by the end, unless the queue is slowed down further. */
bool quota_queue_reaches(const struct quota_queue *queue, int64_t place_ns, int64_t end_ns);

/*
 * The service throttled a call. Calls that are throttled within one second have one cause, since
 * the service counts calls by the second: only the first of them slows the queue down. Returns
 * whether it did.
 */
bool quota_queue_slow_down(struct quota_queue *queue, int64_t now_ns);

#endif
