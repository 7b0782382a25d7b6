/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy: who may use which device, for what, against which servers, until when. It never changes
 * after it was loaded; a reload loads another one. Reference counted.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdatomic.h>
#include <time.h>

#include "agent/policy/rule.h"

enum { POLICY_HASH_SIZE = 64 + 1 /* hexadecimal digits and a NUL */ };

enum { POLICY_ANY_OWNER = -1 };

/* A rule that names a user. */
struct user_rule {
    uid_t uid;
    struct rule *rule;
};

struct policy {
    atomic_int references;
    struct rule **rules; /* sorted by name */
    size_t count;
    /* The same rules by user, so that a decision looks at few: */
    struct user_rule *user_rules; /* those that list users, once for each, sorted by uid */
    size_t user_rule_count;
    struct rule **common; /* all others */
    size_t common_count;
    struct rule **limits; /* those of them that limit */
    size_t limit_count;
    time_t loaded;
    char hash[POLICY_HASH_SIZE]; /* the SHA-256 of all its files, one after the other */
};

/*
 * Loads a policy.conf and the *.conf files of the folder policy.d beside it. Each file and that
 * folder must be of root or of owner_uid, and nobody else may write to it; POLICY_ANY_OWNER leaves
 * that out. Returns the first reference; or NULL, and then *problems has all
 * that is wrong.
 */
struct policy *policy_load(const char *file, int64_t owner_uid, struct problems *problems);

/* One more reference. Returns policy, which may be NULL. */
struct policy *policy_reference(struct policy *policy);

/* Gives back a reference. NULL is ignored. */
void policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free);

#endif
