/* SPDX-License-Identifier: Apache-2.0 */
/* The file of an audit log: lines are appended to its chain, whole or not at all. */
#ifndef AUDIT_FILE_H
#define AUDIT_FILE_H

#include "agent/audit/chain.h"
#include "base/error.h"

/* For one thread at a time. */
struct audit_file {
    char *path;
    int descriptor;                 /* -1: it is not open */
    int64_t seq;                    /* of the last line */
    char previous[CHAIN_HASH_SIZE]; /* the hash of the last line, or of a fragment after it */
    bool is_torn;                   /* a fragment is at the end */
    bool lacks_break;               /* the last line, or the fragment, has no line break */
};

/*
 * Opens a log, made if it does not exist, and goes on with its chain; no other agent may write to
 * it. Returns 1 with *file, to be closed by audit_file_close(); or 0 with *error set.
 */
int audit_file_open(const char *path, struct audit_file *file, struct aliyun_iot_error **error);
void audit_file_close(struct audit_file *file);

/*
 * Opens the path again after a rotation: an empty file goes on with the chain. Returns 1; or 0 with
 * *error set, and the old file stays.
 */
int audit_file_rotate(struct audit_file *file, struct aliyun_iot_error **error);

/*
 * Appends a line: members: what stands between "seq" and "previous", such as "\"a\":1". If the file
 * was removed, another one is made, with a new chain. Returns 0; or an errno, and nothing was
 * appended.
 */
int audit_file_append(struct audit_file *file, const char *members);

#endif
