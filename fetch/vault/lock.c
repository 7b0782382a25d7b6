/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/lock.h"

#include <stdlib.h>
#include <string.h>

#include "vault/files.h"

struct vault_lock {
    int references;
    int descriptor;
    char *path;
};

void vault_lock_free(struct vault_lock *lock)
{
    if (!lock || --lock->references > 0)
        return;
    files_close(&lock->descriptor);
    free(lock->path);
    free(lock);
}

static int acquire(struct vault_lock *lock, struct aliyun_iot_error **error)
{
    FILES_CLEANUP int folder = -1;
    bool is_taken = false;
    files_problem problem = files_open(lock->path, &folder);

    if (!problem)
        problem = files_lock_for_agent(folder, &lock->descriptor, &is_taken);
    if (is_taken)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the vault %.300s is another agent's, which runs; give each agent a vault of its "
                "own, or end the other one",
                lock->path);
    return problem ? error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "the vault %.300s: %s",
                             lock->path, problem)
                   : 1;
}

struct vault_lock *vault_lock_take(
        const char *path, struct vault_lock *held, struct aliyun_iot_error **error)
{
    CLEANUP(vault_lock_free) struct vault_lock *lock = NULL;

    if (held && strcmp(held->path, path) == 0) {
        held->references++;
        return held;
    }
    lock = calloc(1, sizeof(*lock));
    if (lock) {
        lock->references = 1;
        lock->descriptor = -1;
        lock->path = strdup(path);
    }
    if (!lock || !lock->path) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return acquire(lock, error) ? take(lock) : NULL;
}
