/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/counters.h"

#include <string.h>

#include "agent/answers.h"

const int64_t counters_bucket_us[COUNTERS_BUCKETS - 1] = {1000, 10000, 100000, 1000000, 10000000};

void counters_request(struct counters *counters, enum operation operation, bool is_decided,
        enum access_verdict verdict, int64_t latency_us)
{
    int bucket = 0;

    while (bucket < COUNTERS_BUCKETS - 1 && latency_us > counters_bucket_us[bucket])
        bucket++;
    atomic_fetch_add(
            &counters->operations[operation].decisions[is_decided ? verdict : ACCESS_ALLOWED], 1);
    atomic_fetch_add(&counters->operations[operation].buckets[bucket], 1);
    atomic_fetch_add(&counters->operations[operation].sum_us, latency_us);
}

void counters_identity(struct counters *counters, bool was_cached)
{
    atomic_fetch_add(was_cached ? &counters->cache_hits : &counters->cache_misses, 1);
}

static bool count_known(struct counters *counters, const char *name, size_t size)
{
    int count = atomic_load(&counters->reason_count);

    for (int index = 0; index < count; index++) {
        if (strlen(counters->reasons[index].name) == size &&
                memcmp(counters->reasons[index].name, name, size) == 0) {
            atomic_fetch_add(&counters->reasons[index].count, 1);
            return true;
        }
    }
    return false;
}

static void add_reason(struct counters *counters, const char *name, size_t size)
{
    int count;

    while (atomic_flag_test_and_set(&counters->reasons_change))
        continue;
    count = atomic_load(&counters->reason_count);
    if (!count_known(counters, name, size) && count < COUNTERS_REASONS_MAX) {
        memcpy(counters->reasons[count].name, name, size);
        atomic_fetch_add(&counters->reasons[count].count, 1);
        atomic_store(&counters->reason_count, count + 1);
    }
    atomic_flag_clear(&counters->reasons_change);
}

void counters_answer(struct counters *counters, const BUF_MEM *answer)
{
    size_t size;
    const char *name = answer_failure(answer, &size);

    if (name && size < COUNTERS_REASON_SIZE && !count_known(counters, name, size))
        add_reason(counters, name, size);
}
