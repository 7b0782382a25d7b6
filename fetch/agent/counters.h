/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent counts while it runs. Safe from any thread. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdatomic.h>

#include "agent/access.h"

enum { COUNTERS_BUCKETS = 6, COUNTERS_REASONS_MAX = 48, COUNTERS_REASON_SIZE = 32 };

/* The upper ends of the buckets of latencies, in microseconds; the last bucket has none. */
extern const int64_t counters_bucket_us[COUNTERS_BUCKETS - 1];

/* All zeros: nothing was counted. */
struct counters {
    struct {
        atomic_llong decisions[ACCESS_LIMITED + 1], buckets[COUNTERS_BUCKETS], sum_us;
    } operations[OPERATION_COUNT];
    atomic_llong cache_hits, cache_misses;
    struct {
        atomic_llong count;
        char name[COUNTERS_REASON_SIZE];
    } reasons[COUNTERS_REASONS_MAX]; /* of failures; those in use come first */
    atomic_int reason_count;
    atomic_flag reasons_change;
};

/* is_decided: the verdict counts; otherwise, it is one that all may ask for. */
void counters_request(struct counters *counters, enum operation operation, bool is_decided,
        enum access_verdict verdict, int64_t latency_us);

/* An identity was in memory, or came from the source. */
void counters_identity(struct counters *counters, bool was_cached);

/* Counts the reason of an answer that is a failure. */
void counters_answer(struct counters *counters, const BUF_MEM *answer);

#endif
