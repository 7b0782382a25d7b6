/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vault is one agent's: two that refresh the same devices would each use the account's quota.
 * Programs in embedded mode share a vault without a lock.
 */
#ifndef LOCK_H
#define LOCK_H

#include "base/error.h"
#include "private/cleanup.h"

/* A lock that an agent holds. Not for several threads at once. */
struct vault_lock;

/*
 * Takes the vault at that path for an agent; held: a lock that it has, or NULL. Returns a
 * reference to a lock, which is `held` if that is of the same path; or NULL with *error set
 * (BAD_SETTINGS), if another agent has the vault.
 */
struct vault_lock *vault_lock_take(
        const char *path, struct vault_lock *held, struct aliyun_iot_error **error);

/* Gives back a reference. NULL is ignored. */
void vault_lock_free(struct vault_lock *lock);
DEFINE_CLEANUP(struct vault_lock *, vault_lock_free);

#endif
