/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/limits.h"

#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"

enum { BUCKETS_LEAST = 1024 /* so many are kept before the full ones are looked for */ };

/* A subject's share of a limit: the generic cell rate algorithm (ITU-T I.371) in milliseconds. */
struct bucket {
    char *name;      /* "SUBJECT LIMIT" */
    double empty_ms; /* when all that was taken has come back */
    struct bucket *next;
};

struct limits {
    pthread_mutex_t lock;
    void *tree; /* of struct bucket, by name; see tsearch(3) */
    struct bucket *first;
    size_t count, swept_at;
};

DEFINE_CLEANUP(char *, free);

struct limits *limits_new(void)
{
    struct limits *limits = calloc(1, sizeof(*limits));

    if (limits) {
        pthread_mutex_init(&limits->lock, NULL);
        limits->swept_at = BUCKETS_LEAST;
    }
    return limits;
}

static int compare(const void *one, const void *other)
{
    const struct bucket *left = one, *right = other;

    return strcmp(left->name, right->name);
}

static void remove_at(struct limits *limits, struct bucket **place)
{
    struct bucket *bucket = *place;

    *place = bucket->next;
    tdelete(bucket, &limits->tree, compare);
    free(bucket->name);
    free(bucket);
    limits->count--;
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    while (limits->first)
        remove_at(limits, &limits->first);
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

/* Forgets whoever has used nothing for so long that it makes no difference. */
static void sweep(struct limits *limits, double now_ms)
{
    struct bucket **place = &limits->first;

    while (*place) {
        if ((*place)->empty_ms <= now_ms)
            remove_at(limits, place);
        else
            place = &(*place)->next;
    }
    limits->swept_at = limits->count < BUCKETS_LEAST / 2 ? BUCKETS_LEAST : 2 * limits->count;
}

static struct bucket *make_bucket(struct limits *limits, char *name)
{
    struct bucket *bucket = calloc(1, sizeof(*bucket));

    if (!bucket)
        return NULL;
    bucket->name = name;
    if (!tsearch(bucket, &limits->tree, compare)) {
        free(bucket);
        return NULL;
    }
    bucket->next = limits->first;
    limits->first = bucket;
    limits->count++;
    return bucket;
}

static struct bucket *find_bucket(
        struct limits *limits, const char *limit, const struct principal *principal)
{
    CLEANUP(free) char *name = NULL;
    struct bucket **found, wanted;
    struct bucket *made;
    int size;

    if (principal->is_remote)
        size = asprintf(
                &name, "%s %s", principal->host_count > 0 ? principal->hosts[0] : "?", limit);
    else if (principal->has_uid)
        size = asprintf(&name, "#%u %s", (unsigned)principal->uid, limit);
    else
        size = asprintf(&name, "? %s", limit);
    if (size < 0) {
        name = NULL;
        return NULL;
    }
    wanted.name = name;
    found = tfind(&wanted, &limits->tree, compare);
    if (found)
        return *found;
    made = make_bucket(limits, name);
    if (made)
        name = NULL;
    return made;
}

/* When the bucket will be empty if one more is taken; negative: it has none left. */
static double empty_after_one(
        const struct bucket *bucket, const struct limit_rate *rate, double now_ms)
{
    double period_ms = (double)rate->period_s * 1000;
    double start_ms = bucket->empty_ms > now_ms ? bucket->empty_ms : now_ms;
    double empty_ms = start_ms + period_ms / (double)rate->rate;

    /* Rounding must not take the last one away. */
    return empty_ms - now_ms <= period_ms * (1 + 1e-9) ? empty_ms : -1;
}

/* Without memory, the limit counts as used up. With the lock held. */
static bool count_one(struct limits *limits, const struct limit_rate *rate,
        const struct principal *principal, double now_ms, bool only_look)
{
    struct bucket *bucket = find_bucket(limits, rate->name, principal);
    double empty_ms;

    if (!bucket)
        return false;
    empty_ms = empty_after_one(bucket, rate, now_ms);
    if (empty_ms >= 0 && !only_look)
        bucket->empty_ms = empty_ms;
    return empty_ms >= 0;
}

bool limits_count(
        struct limits *limits, const struct limit_rate *rate, const struct principal *principal)
{
    double now_ms = (double)monotonic_milliseconds();
    bool counted;

    pthread_mutex_lock(&limits->lock);
    if (limits->count > limits->swept_at)
        sweep(limits, now_ms);
    counted = count_one(limits, rate, principal, now_ms, false);
    pthread_mutex_unlock(&limits->lock);
    return counted;
}

/* With the lock held. Returns the first limit that is used up. */
static const struct rule *count_all(struct limits *limits, const struct policy *policy,
        const struct policy_request *request, double now_ms, bool only_look)
{
    for (size_t index = 0; index < policy->limit_count; index++) {
        const struct rule *rule = policy->limits[index];
        struct limit_rate rate = {rule->name, rule->rate, rule->period_s};

        if (rule_matches(rule, request) &&
                !count_one(limits, &rate, request->principal, now_ms, only_look))
            return rule;
    }
    return NULL;
}

const struct rule *limits_count_rules(
        struct limits *limits, const struct policy *policy, const struct policy_request *request)
{
    double now_ms = (double)monotonic_milliseconds();
    const struct rule *used_up;

    if (policy->limit_count == 0)
        return NULL;
    pthread_mutex_lock(&limits->lock);
    used_up = count_all(limits, policy, request, now_ms, true);
    if (!used_up)
        count_all(limits, policy, request, now_ms, false);
    pthread_mutex_unlock(&limits->lock);
    return used_up;
}
