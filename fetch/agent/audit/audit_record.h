/* SPDX-License-Identifier: Apache-2.0 */
/* What an audit log says of a decision. Never a key, a signature or a token. */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "agent/access.h"
#include "base/identity.h"

struct audit_record {
    const char *operation; /* a word of the protocol; NULL: any, since nobody looked */
    const struct access *access;
    pid_t process;
    uid_t uid; /* as the kernel named it, whether that tells who it is or not */
    const struct request *request;
    const struct aliyun_iot_identity *identity; /* NULL: none came */
    bool was_cached;
    int64_t latency_us;
    const BUF_MEM *answer; /* from which a failure is taken */
};

/*
 * The members of a record, as audit_log_write() takes them, to be freed by json_text_free(); NULL
 * when out of memory.
 */
char *audit_record_write(const struct audit_record *record);

#endif
