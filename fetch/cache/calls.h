/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the memory cache to its source, and the queue in which they wait for their turn: first
 * in, first out for each principal, and the principal with the fewest calls under way goes first.
 * So one user's thousand requests for unknown devices do not hold up another user's one.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CALLS_MAX = 64,             /* under way at once; more wait for their turn */
    CALLS_OF_PRINCIPAL_MAX = 16 /* so that a principal waits in the quota's queue behind so many of
                                   each other one, and not behind 64 */
};

struct cache_entry;
struct memory_waiter;
struct call_line;

/* A call to the source, waiting for its turn or under way. */
struct call {
    struct call *next; /* of its line, that waits for its turn */
    struct call_line *line;
    struct cache_entry *entry;
    bool background;  /* a refresh that nobody waited for when its turn came */
    int64_t deadline; /* set when its turn comes */
    struct memory_waiter *waiters;
};

/* The calls of one principal. */
struct call_line {
    const void *principal;
    struct call *first, *last; /* that wait for their turn */
    int under_way;
    struct call_line *next;
};

/* Lines that have calls. Those whose turn came last are at the end. All zeros: empty. */
struct call_queue {
    struct call_line *lines;
};

/*
 * Adds a call to the line of a principal; NULL is this process, which has no limit of its own.
 * Returns 0 when out of memory.
 */
int call_queue_add(struct call_queue *queue, struct call *call, const void *principal);

/* Whether the call, which waits, is not held up by others of its principal. */
bool call_is_free(const struct call *call);

/* Whether no other call is in the call's line, waiting or under way. */
bool call_is_alone(const struct call *call);

/* Takes the call whose turn it is out of the queue: it is under way. NULL: there is none. */
struct call *call_queue_take(struct call_queue *queue);

/* The call, which was taken, has ended. */
void call_queue_end(struct call_queue *queue, struct call *call);

/* Frees the lines. Calls in them and under way are the caller's to free. */
void call_queue_clear(struct call_queue *queue);

#endif
