/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define PREFIX "aliyun_iot_agent_"

/* The first lines of a metric. */
static bool begin(BUF_MEM *text, const char *name, const char *type, const char *help)
{
    return buffer_append_format(
            text, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static bool write_one(
        BUF_MEM *text, const char *name, const char *type, const char *help, int64_t value)
{
    return begin(text, name, type, help) &&
           buffer_append_format(text, PREFIX "%s %lld\n", name, (long long)value);
}

static bool write_decisions(BUF_MEM *text, struct counters *counters)
{
    bool written = begin(text, "requests_total", "counter", "Requests by operation and decision.");

    for (int operation = 0; operation < OPERATION_COUNT; operation++)
        for (int verdict = 0; written && verdict <= ACCESS_LIMITED; verdict++)
            written = buffer_append_format(text,
                    PREFIX "requests_total{operation=\"%s\",decision=\"%s\"} %lld\n",
                    operation_name((enum operation)operation),
                    access_verdict_name((enum access_verdict)verdict),
                    atomic_load(&counters->operations[operation].decisions[verdict]));
    return written;
}

static bool write_latency(
        BUF_MEM *text, const char *operation, atomic_llong *buckets, long long sum_us)
{
    long long count = 0;
    bool written = true;

    for (int bucket = 0; written && bucket < COUNTERS_BUCKETS - 1; bucket++) {
        count += atomic_load(&buckets[bucket]);
        written = buffer_append_format(text,
                PREFIX "request_duration_seconds_bucket{operation=\"%s\",le=\"%g\"} %lld\n",
                operation, (double)counters_bucket_us[bucket] / 1e6, count);
    }
    count += atomic_load(&buckets[COUNTERS_BUCKETS - 1]);
    return written &&
           buffer_append_format(text,
                   PREFIX
                   "request_duration_seconds_bucket{operation=\"%s\",le=\"+Inf\"} %lld\n" PREFIX
                   "request_duration_seconds_sum{operation=\"%s\"} %.6f\n" PREFIX
                   "request_duration_seconds_count{operation=\"%s\"} %lld\n",
                   operation, count, operation, (double)sum_us / 1e6, operation, count);
}

static bool write_latencies(BUF_MEM *text, struct counters *counters)
{
    bool written = begin(text, "request_duration_seconds", "histogram",
            "How long requests took, from their arrival to their answer.");

    for (int operation = 0; written && operation < OPERATION_COUNT; operation++)
        written = write_latency(text, operation_name((enum operation)operation),
                counters->operations[operation].buckets,
                atomic_load(&counters->operations[operation].sum_us));
    return written;
}

static bool write_failures(BUF_MEM *text, struct counters *counters)
{
    int count = atomic_load(&counters->reason_count);
    bool written = begin(text, "failures_total", "counter", "Answers that are failures.");

    for (int index = 0; written && index < count; index++)
        written = buffer_append_format(text, PREFIX "failures_total{reason=\"%s\"} %lld\n",
                counters->reasons[index].name, atomic_load(&counters->reasons[index].count));
    return written;
}

static bool see_expiry(void *context, const struct memory_item *item)
{
    int64_t *first = context, expiry = identity_not_after(item->identity);

    if (*first == 0 || expiry < *first)
        *first = expiry;
    return true;
}

static bool write_identities(BUF_MEM *text, struct service *service)
{
    CLEANUP(resolver_free) struct resolver *resolver = service_resolver(service);
    struct memory_counts memory = resolver_counts(resolver);
    int64_t expiry = 0;

    resolver_visit(resolver, see_expiry, &expiry);
    return write_one(text, "identities", "gauge", "Identities in memory.", memory.identities) &&
           write_one(text, "remembered_failures", "gauge", "Devices whose failure is remembered.",
                   memory.failures) &&
           write_one(text, "next_expiry_timestamp_seconds", "gauge",
                   "When the first certificate in memory ends; 0 without one.", expiry) &&
           write_one(text, "queue", "gauge", "Calls that wait for their turn or are under way.",
                   memory.calls) &&
           write_one(text, "calls_total", "counter", "Calls to the cloud since the last reload.",
                   memory.calls_ended) &&
           write_one(text, "throttled_total", "counter",
                   "Calls since the last reload that ended throttled.", memory.calls_throttled);
}

static bool write_audit(BUF_MEM *text, struct service *service)
{
    struct audit_counts audit = audit_log_counts(service_audit_log(service));

    return write_one(text, "audit_on", "gauge", "Whether there is an audit log.", audit.is_on) &&
           write_one(text, "audit_failing", "gauge",
                   "Whether the last record could not be written.", audit.is_failing) &&
           write_one(text, "audit_records_total", "counter", "Records written.", audit.lines) &&
           write_one(text, "audit_lost_total", "counter", "Records that could not be written.",
                   audit.lost);
}

static bool write_policy(BUF_MEM *text, struct service *service)
{
    CLEANUP(policy_free) struct policy *policy = service_policy(service);
    CLEANUP(aliyun_iot_error_free)
    struct aliyun_iot_error *reload_error = service_reload_error(service);

    return begin(text, "policy_info", "gauge", "The SHA-256 of the policy; empty without one.") &&
           buffer_append_format(
                   text, PREFIX "policy_info{sha256=\"%s\"} 1\n", policy ? policy->hash : "") &&
           write_one(text, "policy_rules", "gauge", "Rules of the policy.",
                   policy ? (int64_t)policy->count : 0) &&
           write_one(text, "policy_loaded_timestamp_seconds", "gauge",
                   "When the policy was loaded; 0 without one.",
                   policy ? (int64_t)policy->loaded : 0) &&
           write_one(text, "reload_failed", "gauge",
                   "Whether the last reload failed; aliyun-iot agent status says why.",
                   reload_error != NULL);
}

bool metrics_write(struct service *service, const struct server_counts *counts, BUF_MEM *text)
{
    struct counters *counters = service_counters(service);
    atomic_llong *signs = counters->operations[OPERATION_SIGN].decisions;

    return write_one(text, "start_timestamp_seconds", "gauge", "When the agent started.",
                   (int64_t)service_started(service)) &&
           write_one(text, "connections", "gauge", "Open connections.", counts->connections) &&
           write_one(text, "requests", "gauge", "Requests under way.", counts->requests) &&
           write_decisions(text, counters) && write_latencies(text, counters) &&
           write_failures(text, counters) &&
           write_one(text, "signatures_total", "counter", "Requests to sign that were allowed.",
                   atomic_load(&signs[ACCESS_ALLOWED])) &&
           write_one(text, "cache_hits_total", "counter", "Identities that were in memory.",
                   atomic_load(&counters->cache_hits)) &&
           write_one(text, "cache_misses_total", "counter", "Identities that had to be fetched.",
                   atomic_load(&counters->cache_misses)) &&
           write_identities(text, service) && write_audit(text, service) &&
           write_policy(text, service) && buffer_text(text);
}

/* Readers see the old file or the new one. */
static const char *replace_file(const char *file, const BUF_MEM *text)
{
    CLEANUP(free) char *temporary = NULL;
    int descriptor;
    bool done;

    if (asprintf(&temporary, "%s.new", file) < 0) {
        temporary = NULL;
        return "out of memory";
    }
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor < 0)
        return strerror(errno);
    done = fchmod(descriptor, 0644) == 0 &&
           write(descriptor, text->data, text->length) == (ssize_t)text->length;
    if (close(descriptor) != 0 || !done || rename(temporary, file) != 0) {
        const char *problem = strerror(errno);

        unlink(temporary);
        return problem;
    }
    return NULL;
}

int metrics_write_file(struct service *service, const struct server_counts *counts,
        struct aliyun_iot_error **error)
{
    CLEANUP(resolver_free) struct resolver *resolver = service_resolver(service);
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    const char *file = resolver_settings(resolver)->metrics_file, *problem;

    if (!file)
        return 1;
    if (!text || !metrics_write(service, counts, text))
        return error_set_out_of_memory(error);
    problem = replace_file(file, text);
    return !problem || error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "metrics file %.300s: %s",
                               file, problem);
}
