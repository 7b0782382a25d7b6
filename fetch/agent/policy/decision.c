/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/decision.h"

#include <string.h>

#include "base/pattern.h"

/* A run of any characters, which a string of a rule's list may have. */
static bool any_glob_matches(const struct rule_strings *patterns, const char *name)
{
    for (size_t index = 0; index < patterns->count; index++)
        if (pattern_matches(patterns->list[index], name))
            return true;
    return false;
}

static bool has_id(const struct rule_ids *ids, uint32_t id)
{
    size_t low = 0, high = ids->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ids->list[middle] == id)
            return true;
        if (ids->list[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static enum known user_matches(const struct rule *rule, const struct principal *principal)
{
    if (!principal->has_uid)
        return UNKNOWN;
    return rule->users.is_any || has_id(&rule->users, principal->uid) ? KNOWN_YES : KNOWN_NO;
}

static enum known groups_match(const struct rule *rule, const struct principal *principal)
{
    for (size_t index = 0; index < principal->group_count; index++)
        if (has_id(&rule->groups, principal->groups[index]))
            return KNOWN_YES;
    return principal->has_all_groups ? KNOWN_NO : UNKNOWN;
}

static enum known unit_matches(const struct rule *rule, const struct principal *principal)
{
    if (principal->has_unit != KNOWN_YES)
        return principal->has_unit;
    return any_glob_matches(&rule->units, principal->unit) ? KNOWN_YES : KNOWN_NO;
}

static enum known socket_matches(const struct rule *rule, const struct principal *principal)
{
    if (principal->has_socket != KNOWN_YES)
        return principal->has_socket;
    for (size_t index = 0; index < rule->sockets.count; index++)
        if (strcmp(rule->sockets.list[index], principal->socket) == 0)
            return KNOWN_YES;
    return KNOWN_NO;
}

static enum known container_matches(const struct rule *rule, const struct principal *principal)
{
    if (rule->effect != RULE_ALLOW || rule->may_be_in_a_container)
        return KNOWN_YES;
    if (principal->is_in_a_container == UNKNOWN)
        return UNKNOWN;
    return principal->is_in_a_container == KNOWN_NO ? KNOWN_YES : KNOWN_NO;
}

static bool a_host_matches(const struct rule *rule, const struct principal *principal)
{
    for (size_t host = 0; host < principal->host_count; host++)
        for (size_t index = 0; index < rule->hosts.count; index++)
            if (dns_name_is_covered(principal->hosts[host], rule->hosts.list[index].pattern))
                return true;
    return rule->has_any_host;
}

static bool names_local_peers(const struct rule *rule)
{
    return rule->users.is_any || rule->users.count > 0 || rule->groups.count > 0 ||
           rule->units.count > 0 || rule->sockets.count > 0;
}

static bool names_remote_peers(const struct rule *rule)
{
    return rule->has_any_host || rule->hosts.count > 0;
}

/* Whether a fact that a rule names counts for it: see the head of decision.h. */
static bool counts(const struct rule *rule, enum known fact)
{
    return fact == KNOWN_YES || (fact == UNKNOWN && rule->effect != RULE_ALLOW);
}

/* Which of the keys that speak of the principal do not match. */
static unsigned principal_mismatches(const struct rule *rule, const struct principal *principal)
{
    unsigned mismatches = 0;

    if (principal->is_remote) {
        if (names_local_peers(rule))
            mismatches |= MISMATCH_PLACE;
        else if (names_remote_peers(rule) && !a_host_matches(rule, principal))
            mismatches |= MISMATCH_HOSTS;
        return mismatches;
    }
    if (names_remote_peers(rule))
        return MISMATCH_PLACE;
    if ((rule->users.is_any || rule->users.count > 0) &&
            !counts(rule, user_matches(rule, principal)))
        mismatches |= MISMATCH_USERS;
    if (rule->groups.count > 0 && !counts(rule, groups_match(rule, principal)))
        mismatches |= MISMATCH_GROUPS;
    if (rule->units.count > 0 && !counts(rule, unit_matches(rule, principal)))
        mismatches |= MISMATCH_UNITS;
    if (rule->sockets.count > 0 && !counts(rule, socket_matches(rule, principal)))
        mismatches |= MISMATCH_SOCKETS;
    if (!counts(rule, container_matches(rule, principal)))
        mismatches |= MISMATCH_CONTAINERS;
    return mismatches;
}

static bool server_is_covered(const struct rule_servers *servers, const struct server_name *name)
{
    for (size_t index = 0; index < servers->count; index++) {
        const struct rule_server *server = &servers->list[index];

        if (name->kind == SERVER_NAME_ADDRESS && server->is_address &&
                address_equal(&name->address, &server->address))
            return true;
        if (name->kind == SERVER_NAME_DNS && !server->is_address &&
                dns_name_is_covered(name->dns, server->pattern))
            return true;
    }
    return false;
}

static bool server_overlaps(const struct rule_servers *servers, const struct server_name *name)
{
    if (name->kind == SERVER_NAME_ODD || server_is_covered(servers, name))
        return true;
    for (size_t index = 0; index < servers->count; index++)
        if (name->kind == SERVER_NAME_DNS && !servers->list[index].is_address &&
                dns_name_overlaps(name->dns, servers->list[index].pattern))
            return true;
    return false;
}

/* The name that the client asked for, as if it stood in the certificate. */
static struct server_name sni_of(const struct transcript *transcript)
{
    struct server_name name = {.kind = SERVER_NAME_DNS};

    memcpy(name.dns, transcript->sni, sizeof(name.dns));
    return name;
}

/* The server is one of those: every name of it. */
static bool all_servers_are_covered(
        const struct rule_servers *servers, const struct transcript *transcript)
{
    struct server_name sni = sni_of(transcript);

    for (size_t index = 0; index < transcript->names->count; index++)
        if (!server_is_covered(servers, &transcript->names->names[index]))
            return false;
    return transcript->names->count > 0 &&
           (!transcript->has_sni || server_is_covered(servers, &sni));
}

/* The server may be one of those. */
static bool a_server_overlaps(
        const struct rule_servers *servers, const struct transcript *transcript)
{
    struct server_name sni = sni_of(transcript);

    for (size_t index = 0; index < transcript->names->count; index++)
        if (server_overlaps(servers, &transcript->names->names[index]))
            return true;
    return transcript->names->count == 0 || (transcript->has_sni && server_overlaps(servers, &sni));
}

/* What is signed; for a load, nothing is. */
static bool usage_matches(const struct rule *rule, const struct policy_request *request)
{
    const struct handshake *handshake = request->handshake;

    if (request->operation != RULE_SIGN || !rule->is_tls_client)
        return true;
    /* As if it were what the request would be allowed with. */
    if (!handshake)
        return rule->effect == RULE_ALLOW;
    if (rule->servers.count == 0)
        return !handshake->problem;
    if (handshake->problem || handshake->is_tls_1_3)
        return rule->effect != RULE_ALLOW;
    return rule->effect == RULE_ALLOW
                   ? all_servers_are_covered(&rule->servers, &handshake->transcript)
                   : a_server_overlaps(&rule->servers, &handshake->transcript);
}

static bool device_matches(const struct rule *rule, const struct policy_request *request)
{
    return any_glob_matches(&rule->devices, request->device);
}

static bool instance_matches(const struct rule *rule, const struct policy_request *request)
{
    return rule->instances.count == 0 ||
           any_glob_matches(&rule->instances, request->instance ? request->instance : "public");
}

static bool time_matches(const struct rule *rule, const struct policy_request *request)
{
    return request->time_s >= rule->not_before_s && request->time_s < rule->not_after_s;
}

/* All but the usage. The cheapest comes first. */
static bool matches_apart_from_usage(const struct rule *rule, const struct policy_request *request)
{
    return (rule->operations & request->operation) && time_matches(rule, request) &&
           principal_mismatches(rule, request->principal) == 0 && device_matches(rule, request) &&
           instance_matches(rule, request);
}

bool rule_matches(const struct rule *rule, const struct policy_request *request)
{
    return matches_apart_from_usage(rule, request) && usage_matches(rule, request);
}

unsigned rule_mismatches(const struct rule *rule, const struct policy_request *request)
{
    unsigned mismatches = principal_mismatches(rule, request->principal);

    if (!(rule->operations & request->operation))
        mismatches |= MISMATCH_OPERATIONS;
    if (!time_matches(rule, request))
        mismatches |= MISMATCH_TIME;
    if (!device_matches(rule, request))
        mismatches |= MISMATCH_DEVICES;
    if (!instance_matches(rule, request))
        mismatches |= MISMATCH_INSTANCES;
    if (!usage_matches(rule, request))
        mismatches |= MISMATCH_USAGE;
    return mismatches;
}

/* Of several rules that match, the first one by name is told. */
static void consider(
        const struct rule *rule, const struct policy_request *request, struct decision *decision)
{
    const struct rule *told = decision->rule;

    if (!matches_apart_from_usage(rule, request))
        return;
    if (!usage_matches(rule, request)) {
        decision->would_allow_tls_1_2 |= rule->effect == RULE_ALLOW && request->handshake &&
                                         !request->handshake->problem &&
                                         request->handshake->is_tls_1_3;
    } else if (!told || (rule->effect == RULE_DENY && told->effect == RULE_ALLOW) ||
               (rule->effect == told->effect && rule->position < told->position)) {
        decision->rule = rule;
    }
}

/* Where the rules of a user begin, or would. */
static size_t find_user_rules(const struct policy *policy, uid_t uid)
{
    size_t low = 0, high = policy->user_rule_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (policy->user_rules[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * Rules that list users do not match a peer on another machine; if it is unknown who asks, any of
 * them may.
 */
struct decision policy_decide(const struct policy *policy, const struct policy_request *request)
{
    const struct principal *principal = request->principal;
    bool is_unknown = !principal->is_remote && !principal->has_uid;
    size_t first = is_unknown ? 0 : find_user_rules(policy, principal->uid);
    struct decision decision = {.rule = NULL};

    for (size_t index = 0; index < policy->common_count; index++)
        consider(policy->common[index], request, &decision);
    for (size_t index = first; index < policy->user_rule_count && !principal->is_remote; index++) {
        if (!is_unknown && policy->user_rules[index].uid != principal->uid)
            break;
        consider(policy->user_rules[index].rule, request, &decision);
    }
    decision.is_allowed = decision.rule && decision.rule->effect == RULE_ALLOW;
    decision.would_allow_tls_1_2 &= !decision.rule;
    return decision;
}
