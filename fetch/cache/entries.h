/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the memory cache knows of devices: a table of entries, found by their device and listed by
 * their last use, and how an entry changes when a call ends. Nothing here locks or calls.
 */
#ifndef ENTRIES_H
#define ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/device.h"
#include "base/identity.h"
#include "base/settings.h"

struct call;
struct cache_entry;

/* By last use. */
struct entry_list {
    struct cache_entry *newest, *oldest;
    int64_t count;
};

/* Times are of the monotonic clock. */
struct cache_entry {
    struct device *device;
    struct entry_list *list;              /* the one list that it is in */
    struct cache_entry *newer, *older;    /* there */
    struct call *call;                    /* waiting for its turn or under way; NULL: none */
    struct aliyun_iot_identity *identity; /* NULL: none */
    int64_t fetched_ms;                   /* when identity was */
    struct aliyun_iot_error *failure;     /* that is remembered instead of an identity; or NULL */
    int64_t next_call_ms;                 /* no call is made before */
};

struct entries {
    void *tree;                   /* by device, for tsearch(3) */
    struct entry_list identities; /* entries that have an identity */
    struct entry_list failures;   /* entries that have a failure instead */
    struct entry_list calling;    /* entries that have neither, but a call */
};

/* The entry of a device; NULL: none. */
struct cache_entry *entries_find(const struct entries *entries, const struct device *device);

/* A new entry for a device that has none, to be placed; NULL when out of memory. */
struct cache_entry *entries_add(struct entries *entries, const struct device *device);

/*
 * Makes the entry the newest of the list that its content asks for, and removes the oldest where
 * there are too many. An entry without content and call is removed; so the caller must not use it
 * afterwards. Failures do not push out identities.
 */
void entries_place(
        struct entries *entries, struct cache_entry *entry, const struct settings *settings);

/* Shows all entries, by their devices, until visit returns false. visit must not add or remove. */
void entries_visit(const struct entries *entries,
        bool (*visit)(void *context, struct cache_entry *entry), void *context);

/* Forgets identity and failure. The entry must then be placed. */
void entry_forget(struct cache_entry *entry);

/* A new entry with what another has for the same device. Running out of memory leaves it out. */
void entries_inherit(
        struct entries *entries, const struct cache_entry *older, const struct settings *settings);

/* Removes all entries of the list that have no call. */
void entries_clear(struct entries *entries, struct entry_list *list);

/*
 * Takes over what a call came to: identity, or else error. Never bad for good: a passing failure
 * leaves the identity that is there, and what is gone or forbidden takes it away.
 */
void entry_update(struct cache_entry *entry, const struct settings *settings,
        struct aliyun_iot_identity *identity, const struct aliyun_iot_error *error);

/* A reference to the entry's identity, if it may still be served; else NULL, and it is dropped. */
struct aliyun_iot_identity *entry_identity(
        struct cache_entry *entry, const struct settings *settings);

/* A copy of the failure that is still remembered; else NULL. */
struct aliyun_iot_error *entry_remembered_failure(struct cache_entry *entry);

/* Whether a refresh is due. */
bool entry_call_is_due(const struct cache_entry *entry);

#endif
