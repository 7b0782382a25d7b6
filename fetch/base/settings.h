/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aliyun-iot.conf: one settings file for the provider, the library and the command; and agent.conf,
 * which the agent alone reads. The keys are described in conf/man/aliyun-iot.conf.5 and
 * conf/man/agent.conf.5, and listed in settings_table.c.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

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

/* Values of agent_owner_uid that are no user id. */
enum { SETTINGS_OWNER_SELF = -1 /* nobody else */, SETTINGS_OWNER_ANY = -2 };

/* Immutable once loaded. Strings are never NULL unless said; times are milliseconds. */
struct settings {
    char *file; /* where they came from; NULL: no file, all defaults */

    /* [cloud] */
    char *region;      /* cn-shanghai */
    char *endpoint;    /* an https URL without path; NULL: https://iot.<region>.aliyuncs.com */
    char *instance_id; /* NULL: the public instance */
    enum signature_kind signature;
    int64_t timeout_ms;         /* for a whole resolution, 10 s */
    int64_t try_timeout_ms;     /* for one try of a call, a third of timeout */
    int64_t connect_timeout_ms; /* for the TCP and TLS handshake, 5 s */
    char *ca_file;              /* PEM bundle; NULL: the system's */
    char *proxy; /* as libcurl's CURLOPT_PROXY; NULL: from the environment, as curl */

    /* [credentials] */
    char *credentials_source;  /* name of one source; NULL: the whole chain */
    char *credentials_profile; /* name of a profile; NULL: the chain's own choice */
    char *credentials_ca_file; /* PEM bundle for STS and its like; NULL: the system's */
    char *sts_endpoint;        /* an https URL; NULL: the region's or the central one */
    char *metadata_endpoint;   /* an http URL without path; http://100.100.100.200 */

    /* [quota] */
    double quota_rate;   /* calls a second, 9 */
    int64_t quota_burst; /* calls, 1 */
    char *quota_account; /* a name for the account that the calls count for; "default" */

    /* [cache] */
    int64_t cache_ttl_ms;       /* 1 h; 0: no caching beyond the calls that wait together */
    int64_t cache_max_stale_ms; /* 24 h */
    int64_t cache_entries;      /* 100000 */

    /* [vault] */
    char *vault_path;           /* a folder; NULL: nothing is kept across restarts */
    char *vault_key;            /* see vault/key_source.h; NULL: unset */
    char *vault_module_path;    /* of a PKCS#11 module; NULL: unset */
    char *vault_pin_source;     /* of a PKCS#11 token, see vault/secret_file.h; NULL: unset */
    int64_t vault_ttl_ms;       /* 24 h; what is older is fetched anew while it is served */
    int64_t vault_max_stale_ms; /* 30 d; what is older by that is not served */

    /* [token] */
    char *token_uri;     /* RFC 7512, of a token that holds keys of devices; NULL: none */
    char *token_devices; /* patterns of those devices, see pattern.h, with commas; NULL: unset */
    char *token_module_path; /* as vault_module_path */
    char *token_pin_source;  /* as vault_pin_source */

    /* [agent], of aliyun-iot.conf */
    char *agent_socket;      /* path of the agent's Unix socket; NULL: embedded, without an agent */
    int64_t agent_owner_uid; /* who may listen there beside root and this process's user */

    /* [policy], [audit] and [metrics], of agent.conf */
    char *policy_file;       /* path; NULL: /etc/aliyun-iot/policy.conf, if it is there */
    char *audit_file;        /* path; NULL: no audit log */
    bool audit_required;     /* what cannot be written is refused; no */
    bool audit_syncs_always; /* each line, instead of once a second; no */
    char *metrics_file;      /* path; NULL: none */

    /* [limits], of agent.conf, for each user id */
    int64_t limit_operations;  /* a second, 2000 */
    int64_t limit_connections; /* open at once, 1024 */
    int64_t limit_requests;    /* under way at once, 256 */

    /* [trace] */
    char *trace_file;                  /* path, or "stderr"; NULL: no trace */
    enum trace_level trace_level;      /* counts if there is a trace file; info */
    struct trace_output *trace_output; /* see trace.h; NULL if there is no trace file */
};

/*
 * Loads the settings. file: a path that must be readable, or NULL to search: ALIYUN_IOT_CONFIG,
 * $XDG_CONFIG_HOME/aliyun-iot/aliyun-iot.conf (~/.config/...), /etc/aliyun-iot/aliyun-iot.conf;
 * if there is none, the defaults hold. A folder of a user that may not be entered is passed over:
 * it is another user's. Environment variables of a privileged process are not read
 * (secure_getenv).
 * Returns the settings, to be freed with settings_free(); or NULL with *error set, naming the file
 * and the line.
 */
struct settings *settings_load(const char *file, struct aliyun_iot_error **error);

/*
 * Loads the settings of the agent, which has no agent of its own. file: path of an agent.conf; or
 * NULL: the user's aliyun-iot.conf, as settings_load(NULL) does, without its [agent] and without
 * ALIYUN_IOT_AGENT. Sections "socket/..." are passed over. Otherwise as settings_load().
 */
struct settings *settings_load_for_agent(const char *file, struct aliyun_iot_error **error);

/* Begins the names of sections of agent.conf that settings_load_for_agent() passes over. */
#define SETTINGS_SOCKET_PREFIX "socket/"

/*
 * The path that settings_load(file) reads now, to be freed by the caller: what two callers have
 * in common when they share a resolver. NULL with *error clear: no file, all defaults.
 */
char *settings_path(const char *file, struct aliyun_iot_error **error);

/* What to do if that file cannot be read, for an error message. A constant. */
const char *settings_path_advice(const char *file);

/* The user's home folder, to be freed by the caller; NULL: none is known. */
char *settings_home(void);

/* Frees settings; NULL is ignored. */
void settings_free(struct settings *settings);

DEFINE_CLEANUP(struct settings *, settings_free);

#endif
