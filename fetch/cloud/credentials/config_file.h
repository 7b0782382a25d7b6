/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe replacement of a file that several processes change: the CLI's config.json, which holds a
 * refresh token that can be used only once. The new file exists, with its space reserved, before
 * the token is spent; and a process that is killed leaves the old file or the new one, never a
 * part.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct config_file;

/*
 * Locks the file that path names, symbolic links followed, against other processes that use this
 * function. The lock is a flock() on NAME.lock beside the file. That file stays there; the kernel
 * releases the lock of a process that ends in any way. Returns the locked file; or NULL with *error
 * set (NO_CREDENTIALS; TIMEOUT if another process holds the lock until the deadline).
 */
struct config_file *config_file_lock(
        const char *path, int64_t deadline, struct aliyun_iot_error **error);

/* Removes a new file that was not put in place, and unlocks. */
void config_file_free(struct config_file *file);
DEFINE_CLEANUP(struct config_file *, config_file_free);

/*
 * Creates the new file as NAME.new, with the mode and the owner of the old one, and reserves so
 * many bytes on disk for it. Returns 1; or 0 with *error set.
 */
int config_file_prepare(struct config_file *file, size_t size, struct aliyun_iot_error **error);

/*
 * Writes text to the new file, which config_file_prepare() created, and puts it in the place of the
 * old one. All is on disk when it returns 1; or 0 with *error set, and the old file is still there.
 */
int config_file_replace(
        struct config_file *file, const BUF_MEM *text, struct aliyun_iot_error **error);

#endif
