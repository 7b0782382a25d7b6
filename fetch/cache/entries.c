/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/entries.h"

#include <search.h>
#include <stdlib.h>
#include <time.h>

#include "base/deadline.h"

enum {
    FAILURES_MAX = 1000, /* remembered at once */
    /* How long a failure is remembered. Others are not. */
    NOT_FOUND_KEPT_MS = 60 * 1000,
    REFUSED_KEPT_MS = 10 * 1000,
    NOT_READY_KEPT_MS = 3 * 1000,
    REFRESH_PAUSE_MS = 30 * 1000, /* between two refreshes that fail */
    REFRESH_PART = 5              /* refreshed in the last fifth of the time to live */
};

static int compare(const void *left, const void *right)
{
    return device_compare(((const struct cache_entry *)left)->device,
            ((const struct cache_entry *)right)->device);
}

struct cache_entry *entries_find(const struct entries *entries, const struct device *device)
{
    /* The entry's own pointer has no const; the device is only compared. */
    union {
        const struct device *constant;
        struct device *plain;
    } sought = {.constant = device};
    struct cache_entry **found =
            tfind(&(struct cache_entry){.device = sought.plain}, &entries->tree, compare);

    return found ? *found : NULL;
}

static void forget_identity(struct cache_entry *entry)
{
    aliyun_iot_identity_free(entry->identity);
    entry->identity = NULL;
}

static void forget_failure(struct cache_entry *entry)
{
    aliyun_iot_error_free(entry->failure);
    entry->failure = NULL;
}

static void entry_free(struct cache_entry *entry)
{
    forget_identity(entry);
    forget_failure(entry);
    device_free(entry->device);
    free(entry);
}

static void unlink_entry(struct cache_entry *entry)
{
    struct entry_list *list = entry->list;

    *(entry->newer ? &entry->newer->older : &list->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &list->oldest) = entry->newer;
    list->count--;
}

static void link_newest(struct cache_entry *entry, struct entry_list *list)
{
    entry->list = list;
    entry->newer = NULL;
    entry->older = list->newest;
    *(list->newest ? &list->newest->newer : &list->oldest) = entry;
    list->newest = entry;
    list->count++;
}

struct cache_entry *entries_add(struct entries *entries, const struct device *device)
{
    struct cache_entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->device = device_copy(device);
    if (!entry->device || !tsearch(entry, &entries->tree, compare)) {
        entry_free(entry);
        return NULL;
    }
    link_newest(entry, &entries->calling);
    return entry;
}

static void move_entry(struct cache_entry *entry, struct entry_list *list)
{
    unlink_entry(entry);
    link_newest(entry, list);
}

static void remove_entry(struct entries *entries, struct cache_entry *entry)
{
    unlink_entry(entry);
    tdelete(entry, &entries->tree, compare);
    entry_free(entry);
}

struct visit {
    bool (*visit)(void *context, struct cache_entry *entry);
    void *context;
    bool ended;
};

/* Each entry once: a leaf of the tree, or between its two halves. */
static void visit_node(const void *node, VISIT order, void *context)
{
    struct visit *visit = context;

    if ((order == leaf || order == postorder) && !visit->ended)
        visit->ended = !visit->visit(visit->context, *(struct cache_entry *const *)node);
}

void entries_visit(const struct entries *entries,
        bool (*visit)(void *context, struct cache_entry *entry), void *context)
{
    struct visit all = {visit, context, false};

    twalk_r(entries->tree, visit_node, &all);
}

void entry_forget(struct cache_entry *entry)
{
    forget_identity(entry);
    forget_failure(entry);
}

void entries_inherit(
        struct entries *entries, const struct cache_entry *older, const struct settings *settings)
{
    struct cache_entry *entry = entries_add(entries, older->device);

    if (!entry)
        return;
    entry->identity = identity_reference(older->identity);
    entry->fetched_ms = older->fetched_ms;
    entry->next_call_ms = older->next_call_ms;
    entries_place(entries, entry, settings);
}

static void limit_list(struct entries *entries, struct entry_list *list, int64_t max)
{
    struct cache_entry *entry = list->oldest;

    while (entry && list->count > max) {
        struct cache_entry *newer = entry->newer;

        if (!entry->call)
            remove_entry(entries, entry);
        entry = newer;
    }
}

void entries_clear(struct entries *entries, struct entry_list *list)
{
    limit_list(entries, list, 0);
}

void entries_place(
        struct entries *entries, struct cache_entry *entry, const struct settings *settings)
{
    if (entry->identity) {
        move_entry(entry, &entries->identities);
        limit_list(entries, &entries->identities, settings->cache_entries);
    } else if (entry->failure) {
        move_entry(entry, &entries->failures);
        limit_list(entries, &entries->failures, FAILURES_MAX);
    } else if (entry->call) {
        move_entry(entry, &entries->calling);
    } else {
        remove_entry(entries, entry);
    }
}

static int64_t failure_kept_ms(enum aliyun_iot_reason reason)
{
    switch (reason) {
    case ALIYUN_IOT_REASON_NOT_FOUND:
        return NOT_FOUND_KEPT_MS;
    case ALIYUN_IOT_REASON_REFUSED:
        return REFUSED_KEPT_MS;
    case ALIYUN_IOT_REASON_NOT_READY:
        return NOT_READY_KEPT_MS;
    default:
        return 0;
    }
}

static void update_by_failure(struct cache_entry *entry, const struct aliyun_iot_error *error)
{
    enum aliyun_iot_reason reason = aliyun_iot_error_reason(error);
    int64_t now_ms = monotonic_milliseconds();

    if (reason == ALIYUN_IOT_REASON_NOT_FOUND || reason == ALIYUN_IOT_REASON_REFUSED)
        forget_identity(entry);
    if (entry->identity) {
        entry->next_call_ms = now_ms + REFRESH_PAUSE_MS;
    } else if (failure_kept_ms(reason) > 0) {
        entry->failure = error_copy(error);
        entry->next_call_ms = now_ms + failure_kept_ms(reason);
    }
}

/* Whether an identity from a vault is so old that the vault wants it fetched anew. */
static bool is_old(const struct aliyun_iot_identity *identity, const struct settings *settings)
{
    int64_t age_ms = ((int64_t)time(NULL) - identity_fetched(identity)) * 1000;

    return settings->vault_path && (age_ms < 0 || age_ms >= settings->vault_ttl_ms);
}

void entry_update(struct cache_entry *entry, const struct settings *settings,
        struct aliyun_iot_identity *identity, const struct aliyun_iot_error *error)
{
    int64_t ttl_ms = settings->cache_ttl_ms;

    forget_failure(entry);
    if (!identity) {
        update_by_failure(entry, error);
        return;
    }
    forget_identity(entry);
    if (ttl_ms > 0)
        entry->identity = identity_reference(identity);
    entry->fetched_ms = monotonic_milliseconds();
    entry->next_call_ms = entry->fetched_ms;
    if (!is_old(identity, settings))
        entry->next_call_ms += ttl_ms - ttl_ms / REFRESH_PART;
}

struct aliyun_iot_identity *entry_identity(
        struct cache_entry *entry, const struct settings *settings)
{
    int64_t age_ms = monotonic_milliseconds() - entry->fetched_ms;

    if (!entry->identity)
        return NULL;
    if (identity_not_after(entry->identity) > (int64_t)time(NULL) &&
            age_ms < settings->cache_ttl_ms + settings->cache_max_stale_ms)
        return identity_reference(entry->identity);
    forget_identity(entry);
    return NULL;
}

struct aliyun_iot_error *entry_remembered_failure(struct cache_entry *entry)
{
    if (!entry->failure)
        return NULL;
    if (!entry_call_is_due(entry))
        return error_copy(entry->failure);
    forget_failure(entry);
    return NULL;
}

bool entry_call_is_due(const struct cache_entry *entry)
{
    return monotonic_milliseconds() >= entry->next_call_ms;
}
