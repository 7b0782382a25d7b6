/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/audit/audit_record.h"

#include <string.h>

#include "agent/answers.h"
#include "agent/audit/chain.h"
#include "base/json.h"
#include "base/text.h"

enum { LIST_MAX = 64 /* groups or servers, so that a line stays short */ };

static bool add_text(cJSON *object, const char *name, const char *text)
{
    return !text || !*text || cJSON_AddStringToObject(object, name, text);
}

static bool add_known(cJSON *object, const char *name, enum known known, const char *value)
{
    return known == KNOWN_NO || add_text(object, name, known == UNKNOWN ? "unknown" : value);
}

static bool add_groups(cJSON *object, const struct principal *principal)
{
    cJSON *groups = cJSON_AddArrayToObject(object, "gids");
    bool filled = groups != NULL;

    for (size_t index = 0; filled && index < principal->group_count && index < LIST_MAX; index++)
        filled = cJSON_AddItemToArray(groups, cJSON_CreateNumber(principal->groups[index]));
    return filled && (principal->has_all_groups ||
                             cJSON_AddItemToArray(groups, cJSON_CreateString("unknown")));
}

static bool add_hosts(cJSON *object, const struct principal *principal)
{
    cJSON *hosts = cJSON_AddArrayToObject(object, "hosts");
    bool filled = hosts != NULL;

    for (size_t index = 0; filled && index < principal->host_count && index < LIST_MAX; index++)
        filled = cJSON_AddItemToArray(hosts, cJSON_CreateString(principal->hosts[index]));
    return filled;
}

static bool add_principal(cJSON *object, const struct audit_record *record)
{
    const struct principal *principal = &record->access->principal;

    if (principal->is_remote)
        return add_hosts(object, principal);
    return cJSON_AddNumberToObject(object, "uid", record->uid) && add_groups(object, principal) &&
           cJSON_AddNumberToObject(object, "pid", record->process) &&
           add_known(object, "unit", principal->has_unit, principal->unit) &&
           add_known(object, "namespace", principal->is_in_a_container, "other") &&
           add_known(object, "socket", principal->has_socket, principal->socket);
}

static bool add_decision(cJSON *object, const struct access *access)
{
    const struct rule *rule = access->decision.rule;

    return cJSON_AddStringToObject(object, "decision", access_verdict_name(access->verdict)) &&
           add_text(object, "rule", rule ? rule->name : NULL) &&
           add_text(object, "reason", rule ? rule->reason : NULL) &&
           add_text(object, "limit", access->limit) &&
           add_text(object, "policy", access->policy ? access->policy->hash : NULL);
}

static bool add_server(cJSON *servers, const struct server_name *name)
{
    char address[ADDRESS_TEXT_SIZE];

    if (name->kind == SERVER_NAME_DNS)
        return cJSON_AddItemToArray(servers, cJSON_CreateString(name->dns));
    if (name->kind == SERVER_NAME_ODD)
        return cJSON_AddItemToArray(servers, cJSON_CreateString("malformed"));
    address_write(&name->address, address);
    return cJSON_AddItemToArray(servers, cJSON_CreateString(address));
}

static bool add_transcript(cJSON *object, const struct transcript *transcript)
{
    cJSON *servers = cJSON_AddArrayToObject(object, "servers");
    bool filled =
            servers != NULL && (!transcript->has_sni || add_text(object, "sni", transcript->sni));

    for (size_t index = 0; filled && index < transcript->names->count && index < LIST_MAX; index++)
        filled = add_server(servers, &transcript->names->names[index]);
    return filled;
}

/* What was to be signed: its hash, and whether it is a handshake. */
static bool add_signed(cJSON *object, const struct audit_record *record)
{
    const struct handshake *handshake = &record->access->handshake;
    const BUF_MEM *message = record->request ? record->request->message : NULL;
    char hash[CHAIN_HASH_SIZE];

    if (!message)
        return true;
    chain_hash(message->data, message->length, hash);
    if (!cJSON_AddStringToObject(object, "signed", hash) || !record->access->has_handshake)
        return cJSON_HasObjectItem(object, "signed");
    if (handshake->problem)
        return cJSON_AddStringToObject(object, "usage", "other");
    if (handshake->is_tls_1_3)
        return cJSON_AddStringToObject(object, "usage", "tls-client 1.3");
    return cJSON_AddStringToObject(object, "usage", "tls-client 1.2") &&
           add_transcript(object, &handshake->transcript);
}

static bool add_identity(cJSON *object, const struct audit_record *record)
{
    const struct aliyun_iot_identity *identity = record->identity;

    if (!identity)
        return true;
    return add_text(object, "serial_number", aliyun_iot_identity_serial_number(identity)) &&
           add_text(object, "request_id", aliyun_iot_identity_request_id(identity)) &&
           cJSON_AddBoolToObject(object, "cache", record->was_cached);
}

static bool add_failure(cJSON *object, const BUF_MEM *answer)
{
    size_t size;
    const char *reason = answer_failure(answer, &size);
    CLEANUP(free) char *copy = reason ? strndup(reason, size) : NULL;

    return !reason || (copy && cJSON_AddStringToObject(object, "error", copy));
}

char *audit_record_write(const struct audit_record *record)
{
    CLEANUP(json_free) cJSON *object = cJSON_CreateObject();
    const struct access *access = record->access;
    const char *operation = record->operation ? record->operation : "any";
    char *text;

    if (!cJSON_AddStringToObject(object, "operation", operation) ||
            !add_text(object, "device", access->device) ||
            !add_text(object, "instance", access->instance) || !add_principal(object, record) ||
            !add_decision(object, access) || !add_signed(object, record) ||
            !add_identity(object, record) || !add_failure(object, record->answer) ||
            !cJSON_AddNumberToObject(object, "latency_us", (double)record->latency_us))
        return NULL;
    text = cJSON_PrintUnformatted(object);
    if (!text)
        return NULL;
    /* Without the braces. */
    text[strlen(text) - 1] = '\0';
    memmove(text, text + 1, strlen(text));
    return text;
}
