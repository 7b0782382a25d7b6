/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new key is a field in struct settings and a row here, and is described in aliyun-iot.conf(5),
 * conf/aliyun-iot.conf and README.md, or in agent.conf(5) and conf/agent.conf. A test compares
 * their lists with this table.
 */
#include "base/settings_table.h"

#include <string.h>

#include "base/settings.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS (3600 * SECOND_MS)
#define YEAR_MS (INT64_C(365) * 24 * HOUR_MS)

/* The field for the value. Does not compile if the field's type is not the type that is read. */
#define FIELD(type, field)                                                                         \
    .offset = _Generic(((struct settings *)NULL)->field, type : offsetof(struct settings, field))

#define STRING(kind, field) .read = settings_read_##kind, FIELD(char *, field), .is_string = true
#define OWNER(field) .read = settings_read_owner, FIELD(int64_t, field)
#define RATE(field) .read = settings_read_rate, FIELD(double, field)
#define SIGNATURE(field) .read = settings_read_signature, FIELD(enum signature_kind, field)
#define YES_OR_NO(field) .read = settings_read_yes_or_no, FIELD(bool, field)
#define SYNC(field) .read = settings_read_sync, FIELD(bool, field)
#define LEVEL(field) .read = settings_read_level, FIELD(enum trace_level, field)
#define NUMBER(field, low, high)                                                                   \
    .read = settings_read_number, FIELD(int64_t, field), .least = (low), .most = (high)
#define TIME(field, low, high)                                                                     \
    .read = settings_read_time, FIELD(int64_t, field), .least = (low), .most = (high)

/* section, key, default, how it is read and where it goes */
const struct settings_key settings_table[] = {
        {"cloud", "region", "cn-shanghai", STRING(region, region)},
        {"cloud", "endpoint", NULL, STRING(https_endpoint, endpoint)},
        {"cloud", "instance-id", NULL, STRING(name, instance_id)},
        {"cloud", "signature", "acs3", SIGNATURE(signature)},
        {"cloud", "timeout", "10s", TIME(timeout_ms, 100, HOUR_MS)},
        {"cloud", "try-timeout", NULL, TIME(try_timeout_ms, 100, HOUR_MS)},
        {"cloud", "connect-timeout", "5s", TIME(connect_timeout_ms, 100, HOUR_MS)},
        {"cloud", "ca-file", NULL, STRING(path, ca_file)},
        {"cloud", "proxy", NULL, STRING(text, proxy)},
        {"credentials", "source", NULL, STRING(name, credentials_source)},
        {"credentials", "profile", NULL, STRING(text, credentials_profile)},
        {"credentials", "ca-file", NULL, STRING(path, credentials_ca_file)},
        {"credentials", "sts-endpoint", NULL, STRING(https_endpoint, sts_endpoint)},
        {"credentials", "metadata-endpoint", "http://100.100.100.200",
                STRING(metadata_endpoint, metadata_endpoint)},
        {"quota", "rate", "9", RATE(quota_rate)},
        {"quota", "burst", "1", NUMBER(quota_burst, 1, 100)},
        {"quota", "account", "default", STRING(name, quota_account)},
        {"cache", "ttl", "1h", TIME(cache_ttl_ms, 0, YEAR_MS)},
        {"cache", "max-stale", "24h", TIME(cache_max_stale_ms, 0, YEAR_MS)},
        {"cache", "entries", "100000", NUMBER(cache_entries, 1, 10000000)},
        {"vault", "path", NULL, STRING(path, vault_path)},
        {"vault", "key", NULL, STRING(sealing_key, vault_key)},
        {"vault", "module-path", NULL, STRING(path, vault_module_path)},
        {"vault", "pin-source", NULL, STRING(secret, vault_pin_source)},
        {"vault", "ttl", "24h", TIME(vault_ttl_ms, 0, YEAR_MS)},
        {"vault", "max-stale", "30d", TIME(vault_max_stale_ms, 0, YEAR_MS)},
        {"token", "uri", NULL, STRING(pkcs11_uri, token_uri)},
        {"token", "devices", NULL, STRING(patterns, token_devices)},
        {"token", "module-path", NULL, STRING(path, token_module_path)},
        {"token", "pin-source", NULL, STRING(secret, token_pin_source)},
        {"agent", "socket", NULL, STRING(path, agent_socket), .files = SETTINGS_PROGRAM},
        {"agent", "owner", NULL, OWNER(agent_owner_uid), .files = SETTINGS_PROGRAM},
        {"policy", "file", NULL, STRING(path, policy_file), .files = SETTINGS_AGENT},
        {"audit", "file", NULL, STRING(path, audit_file), .files = SETTINGS_AGENT},
        {"audit", "required", "no", YES_OR_NO(audit_required), .files = SETTINGS_AGENT},
        {"audit", "sync", "1s", SYNC(audit_syncs_always), .files = SETTINGS_AGENT},
        {"metrics", "file", NULL, STRING(path, metrics_file), .files = SETTINGS_AGENT},
        {"limits", "operations", "2000", NUMBER(limit_operations, 1, 1000000000),
                .files = SETTINGS_AGENT},
        {"limits", "connections", "1024", NUMBER(limit_connections, 1, 1000000),
                .files = SETTINGS_AGENT},
        {"limits", "requests", "256", NUMBER(limit_requests, 1, 1000000), .files = SETTINGS_AGENT},
        {"trace", "file", NULL, STRING(trace_file, trace_file)},
        {"trace", "level", "info", LEVEL(trace_level)},
        {.section = NULL},
};

bool settings_key_is_in(const struct settings_key *key, enum settings_files file)
{
    return key->files == 0 || (key->files & file) != 0;
}

const struct settings_key *settings_table_find(
        enum settings_files file, const char *section, const char *name)
{
    for (const struct settings_key *key = settings_table; key->section; key++)
        if (settings_key_is_in(key, file) && strcmp(key->section, section) == 0 &&
                (!name || strcmp(key->name, name) == 0))
            return key;
    return NULL;
}
