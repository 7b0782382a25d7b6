/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aliyun-iot.conf: one settings file for the provider, the library and the command. The keys are
 * described in conf/man/aliyun-iot.conf.5 and sit in one table in settings.c.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum signature_kind {
    SIGNATURE_ACS3, /* ACS3-HMAC-SHA256 */
    SIGNATURE_RPC   /* RPC HMAC-SHA1 */
};

enum trace_level {
    TRACE_OFF,
    TRACE_ERROR, /* failures */
    TRACE_INFO,  /* and each resolution and call */
    TRACE_DEBUG  /* and every decision on the way */
};

/* Immutable once loaded. Strings are never NULL unless said; times are milliseconds. */
struct settings {
    char *file; /* where they came from; NULL: no file, all defaults */

    /* [cloud] */
    char *region;      /* cn-shanghai */
    char *endpoint;    /* an https URL without path; NULL: https://iot.<region>.aliyuncs.com */
    char *instance_id; /* NULL: the public instance */
    enum signature_kind signature;
    int64_t timeout;         /* for a whole resolution, 10 s */
    int64_t connect_timeout; /* for the TCP and TLS handshake, 5 s */
    char *ca_file;           /* PEM bundle; NULL: the system's */
    char *proxy;             /* as libcurl's CURLOPT_PROXY; NULL: from the environment, as curl */

    /* [credentials] */
    char *credentials_source;  /* name of one source; NULL: the whole chain */
    char *credentials_profile; /* name of a profile; NULL: the chain's own choice */
    char *sts_endpoint;        /* an https URL; NULL: the region's or the central one */
    char *metadata_endpoint;   /* an http URL without path; http://100.100.100.200 */

    /* [quota] */
    double quota_rate;   /* calls a second, 9 */
    int64_t quota_burst; /* calls, 1 */

    /* [cache] */
    int64_t cache_ttl;       /* 1 h; 0: no caching beyond the calls that wait together */
    int64_t cache_max_stale; /* 24 h */
    int64_t cache_entries;   /* 100000 */

    /* [trace] */
    char *trace_file; /* path, or "stderr"; NULL: no trace */
    enum trace_level trace_level;
};

/*
 * Loads the settings. file: a path that must be readable, or NULL to search: ALIYUN_IOT_CONFIG,
 * $XDG_CONFIG_HOME/aliyun-iot/aliyun-iot.conf (~/.config/...), /etc/aliyun-iot/aliyun-iot.conf;
 * none there means the defaults. Environment variables of a privileged process are not read
 * (secure_getenv).
 * Returns the settings, to be freed with settings_free(); or NULL with *error set, naming the file
 * and the line.
 */
struct settings *settings_load(const char *file, struct aliyun_iot_error **error);

/*
 * The path that settings_load(file) reads now, to be freed by the caller: what two callers have
 * in common when they share a resolver. NULL with *error clear: no file, all defaults.
 */
char *settings_path(const char *file, struct aliyun_iot_error **error);

/* The user's home folder, to be freed by the caller; NULL: none is known. */
char *settings_home(void);

/* Frees settings; NULL is ignored. */
void settings_free(struct settings *settings);

DEFINE_CLEANUP(struct settings *, settings_free);

#endif
