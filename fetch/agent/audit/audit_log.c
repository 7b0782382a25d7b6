/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/audit/audit_log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "agent/audit/audit_file.h"
#include "base/deadline.h"
#include "base/text.h"

enum { REFUSALS_PER_SECOND = 10, SYNC_MS = 1000, HEAD_SYNCS = 60 };

/* Refusals that were not written. */
struct coalesced {
    char *what; /* members of a record: who was refused, and how */
    int64_t count;
    struct coalesced *next;
};

struct audit_log {
    pthread_mutex_t lock; /* for all but the thread */
    pthread_cond_t ends;
    bool ended;
    struct audit_file file;
    bool is_on, is_required, syncs_always;
    bool is_dirty;             /* something is not on the disk yet */
    struct limits *refusals;   /* of each principal */
    struct coalesced *waiting; /* to be written together */
    struct audit_counts counts;
    int64_t lost;                    /* since the last line */
    char head_told[CHAIN_HASH_SIZE]; /* to syslog */
    bool has_thread;
    pthread_t thread;
};

struct audit_log *audit_log_new(void)
{
    CLEANUP(audit_log_free) struct audit_log *log = calloc(1, sizeof(*log));
    pthread_condattr_t attributes;

    if (!log)
        return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->ends, &attributes);
    pthread_condattr_destroy(&attributes);
    log->file.descriptor = -1;
    log->refusals = limits_new();
    return log->refusals ? take(log) : NULL;
}

/* With the lock held, as all that follows. */
static bool append(struct audit_log *log, const char *members)
{
    int problem = audit_file_append(&log->file, members);

    log->counts.is_failing = problem != 0;
    if (problem) {
        log->lost++;
        log->counts.lost++;
        return false;
    }
    log->counts.lines++;
    log->is_dirty = true;
    if (log->syncs_always && fdatasync(log->file.descriptor) == 0)
        log->is_dirty = false;
    return true;
}

/* What could not be written is counted in the first line after it. */
static bool append_after_lost(struct audit_log *log, const char *members)
{
    char text[64];
    int64_t lost = log->lost;

    if (lost > 0) {
        snprintf(text, sizeof(text), "\"operation\":\"lost\",\"count\":%lld", (long long)lost);
        if (!append(log, text)) {
            /* That line is no record that was lost; the one that follows is. */
            log->counts.lost--;
            log->lost = lost;
        } else {
            log->lost = 0;
        }
    }
    return append(log, members);
}

static void write_coalesced(struct audit_log *log)
{
    struct coalesced *entry;

    while ((entry = log->waiting)) {
        CLEANUP(free) char *members = NULL;

        log->waiting = entry->next;
        if (asprintf(&members, "\"operation\":\"refusals\",%s,\"count\":%lld", entry->what,
                    (long long)entry->count) < 0)
            members = NULL;
        if (members)
            append_after_lost(log, members);
        free(entry->what);
        free(entry);
    }
}

static char *describe(const struct principal *principal, const char *refused)
{
    char *text = NULL;
    int size;

    if (principal->is_remote)
        size = asprintf(&text, "\"hosts\":[\"%s\"],\"decision\":\"%s\"",
                principal->host_count > 0 ? principal->hosts[0] : "unknown", refused);
    else
        size = asprintf(&text, "\"uid\":%u,\"decision\":\"%s\"", (unsigned)principal->uid, refused);
    return size < 0 ? NULL : text;
}

/* Returns false when out of memory. */
static bool coalesce(struct audit_log *log, const struct principal *principal, const char *refused)
{
    CLEANUP(free) char *what = describe(principal, refused);
    struct coalesced *entry = log->waiting;

    if (!what)
        return false;
    while (entry && strcmp(entry->what, what) != 0)
        entry = entry->next;
    if (!entry) {
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            return false;
        entry->what = take(what);
        entry->next = log->waiting;
        log->waiting = entry;
    }
    entry->count++;
    return true;
}

bool audit_log_write(struct audit_log *log, const char *members, const char *refused,
        const struct principal *principal)
{
    static const struct limit_rate rate = {"", REFUSALS_PER_SECOND, 1};
    bool done = true;

    pthread_mutex_lock(&log->lock);
    /* Without members there was no memory to make them. */
    if (log->is_on && !members)
        done = !log->is_required;
    else if (log->is_on && !(refused && !limits_count(log->refusals, &rate, principal) &&
                                   coalesce(log, principal, refused)))
        done = append_after_lost(log, members) || !log->is_required;
    pthread_mutex_unlock(&log->lock);
    return done;
}

/*
 * Who keeps the lines of syslog can see later that the end of the log was cut off. Not while the
 * lock is held: syslog may wait for its daemon.
 */
static void tell_head(struct audit_log *log)
{
    char hash[CHAIN_HASH_SIZE];
    long long seq = log->file.seq;

    if (!log->is_on || seq == 0 || strcmp(log->head_told, log->file.previous) == 0)
        return;
    memcpy(hash, log->file.previous, CHAIN_HASH_SIZE);
    memcpy(log->head_told, hash, CHAIN_HASH_SIZE);
    pthread_mutex_unlock(&log->lock);
    syslog(LOG_DAEMON | LOG_NOTICE, "audit head seq=%lld sha256=%s", seq, hash);
    pthread_mutex_lock(&log->lock);
}

/* Not while the lock is held: a slow disk must not hold up decisions. */
static void sync_file(struct audit_log *log)
{
    int descriptor = log->is_dirty ? dup(log->file.descriptor) : -1;

    log->is_dirty = false;
    if (descriptor < 0)
        return;
    pthread_mutex_unlock(&log->lock);
    fdatasync(descriptor);
    close(descriptor);
    pthread_mutex_lock(&log->lock);
}

static void *work(void *context)
{
    struct audit_log *log = context;
    int syncs = 0;

    pthread_mutex_lock(&log->lock);
    while (!log->ended) {
        struct timespec end = deadline_timespec(monotonic_milliseconds() + SYNC_MS);

        pthread_cond_timedwait(&log->ends, &log->lock, &end);
        write_coalesced(log);
        sync_file(log);
        if (++syncs % HEAD_SYNCS == 0)
            tell_head(log);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

int audit_log_start(struct audit_log *log, struct aliyun_iot_error **error)
{
    int problem = pthread_create(&log->thread, NULL, work, log);

    log->has_thread = problem == 0;
    return log->has_thread ||
           error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                   "the audit log's thread cannot be started: %s", strerror(problem));
}

void audit_log_free(struct audit_log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->ended = true;
    pthread_cond_signal(&log->ends);
    pthread_mutex_unlock(&log->lock);
    if (log->has_thread)
        pthread_join(log->thread, NULL);
    pthread_mutex_lock(&log->lock);
    write_coalesced(log);
    sync_file(log);
    tell_head(log);
    audit_file_close(&log->file);
    pthread_mutex_unlock(&log->lock);
    limits_free(log->refusals);
    pthread_cond_destroy(&log->ends);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* With the lock held. The same path: after a rotation. */
static int open_file(struct audit_log *log, const char *path, struct aliyun_iot_error **error)
{
    struct audit_file fresh;

    if (log->is_on && path && strcmp(log->file.path, path) == 0) {
        tell_head(log);
        return audit_file_rotate(&log->file, error);
    }
    if (path && !audit_file_open(path, &fresh, error))
        return 0;
    if (log->is_on) {
        write_coalesced(log);
        tell_head(log);
        audit_file_close(&log->file);
    }
    log->is_on = path != NULL;
    if (path)
        log->file = fresh;
    return 1;
}

int audit_log_configure(
        struct audit_log *log, const struct settings *settings, struct aliyun_iot_error **error)
{
    int done;

    if (settings->audit_required && !settings->audit_file)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "settings file %.300s: required = yes in section [audit] needs file",
                settings->file);
    pthread_mutex_lock(&log->lock);
    done = open_file(log, settings->audit_file, error);
    if (done) {
        log->is_required = settings->audit_required;
        log->syncs_always = settings->audit_syncs_always;
    }
    pthread_mutex_unlock(&log->lock);
    return done;
}

bool audit_log_is_on(struct audit_log *log)
{
    bool is_on;

    pthread_mutex_lock(&log->lock);
    is_on = log->is_on;
    pthread_mutex_unlock(&log->lock);
    return is_on;
}

struct audit_counts audit_log_counts(struct audit_log *log)
{
    struct audit_counts counts;

    pthread_mutex_lock(&log->lock);
    counts = log->counts;
    counts.is_on = log->is_on;
    pthread_mutex_unlock(&log->lock);
    return counts;
}
