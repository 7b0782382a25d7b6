/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a policy: found, checked and read. */
#ifndef POLICY_FILES_H
#define POLICY_FILES_H

#include <stdint.h>

#include "agent/policy/problems.h"

struct policy_file {
    char *path;
    BUF_MEM *text; /* a NUL follows it, which its length does not count */
};

struct policy_files {
    struct policy_file *list; /* policy.conf first, then its drop-ins in byte order */
    size_t count;
};

/* As policy_load(). *files is to be released in every case. */
void policy_files_read(
        const char *file, int64_t owner_uid, struct policy_files *files, struct problems *problems);

void policy_files_release(struct policy_files *files);

#endif
