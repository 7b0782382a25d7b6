/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: a line for each decision. Safe from any thread. A thread of its own brings the
 * lines to the disk once a second, and the head of the chain to syslog once a minute.
 */
#ifndef AUDIT_LOG_H
#define AUDIT_LOG_H

#include "agent/policy/limits.h"
#include "base/settings.h"

struct audit_log;

/* Without a file: all that is written goes nowhere. NULL when out of memory. */
struct audit_log *audit_log_new(void);

/* Brings everything to the disk, and the head to syslog. NULL is ignored. */
void audit_log_free(struct audit_log *log);
DEFINE_CLEANUP(struct audit_log *, audit_log_free);

/* Starts the thread. Returns 1; or 0 with *error set. */
int audit_log_start(struct audit_log *log, struct aliyun_iot_error **error);

/*
 * Opens the file of the settings, again if it was rotated. Returns 1; or 0 with *error set, and
 * what was open stays.
 */
int audit_log_configure(
        struct audit_log *log, const struct settings *settings, struct aliyun_iot_error **error);

/* Whether there is a file, so that a record is worth making. */
bool audit_log_is_on(struct audit_log *log);

/*
 * Writes a record, whose members are JSON without braces. Of what one principal was refused, what
 * is beyond 10 a second is only counted, and told together, so that nobody fills the disk by it.
 * refused: "deny" or "limited"; NULL: it was allowed. Returns false if the record is required and
 * could not be written.
 */
bool audit_log_write(struct audit_log *log, const char *members, const char *refused,
        const struct principal *principal);

struct audit_counts {
    bool is_on, is_failing; /* the last record could not be written */
    int64_t lines, lost;
};
struct audit_counts audit_log_counts(struct audit_log *log);

#endif
