/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot policy explain: a decision, and what led to it. */
#include <stdio.h>
#include <string.h>

#include "command/policy.h"

enum { NEARLY_MISMATCHES_MAX = 2, NEARLY_RULES_MAX = 10 };

static const struct {
    unsigned mismatch;
    const char *keys;
} mismatch_words[] = {
        {MISMATCH_USERS, "users"},
        {MISMATCH_GROUPS, "groups"},
        {MISMATCH_UNITS, "units"},
        {MISMATCH_SOCKETS, "sockets"},
        {MISMATCH_HOSTS, "hosts"},
        {MISMATCH_CONTAINERS, "containers"},
        {MISMATCH_DEVICES, "devices"},
        {MISMATCH_INSTANCES, "instances"},
        {MISMATCH_OPERATIONS, "operations"},
        {MISMATCH_USAGE, "usage and servers"},
        {MISMATCH_TIME, "not-before and not-after"},
        {MISMATCH_PLACE, "users or hosts (this machine or another one)"},
};

enum { MISMATCH_COUNT = sizeof(mismatch_words) / sizeof(mismatch_words[0]) };

static const char *effect_word(const struct rule *rule)
{
    return rule->effect == RULE_ALLOW ? "allow" : rule->effect == RULE_DENY ? "deny" : "limit";
}

/* Without a line break. */
static void print_rule(const char *before, const struct rule *rule)
{
    printf("%s%s %s (%s:%d)", before, effect_word(rule), rule->name, rule->file, rule->line);
    if (rule->reason)
        printf(", reason: %s", rule->reason);
}

/* Limits count only what is allowed. */
static void print_matching(
        const struct question *question, const struct policy *policy, bool is_allowed)
{
    for (size_t index = 0; index < policy->count; index++) {
        const struct rule *rule = policy->rules[index];

        if ((rule->effect == RULE_LIMIT && !is_allowed) || !rule_matches(rule, &question->request))
            continue;
        print_rule(rule->effect == RULE_LIMIT ? "would count: " : "matches: ", rule);
        putchar('\n');
    }
}

static bool print_nearly(const struct question *question, const struct rule *rule)
{
    unsigned mismatches = rule_mismatches(rule, &question->request);
    const char *separator = "";

    if (rule->effect != RULE_ALLOW || __builtin_popcount(mismatches) > NEARLY_MISMATCHES_MAX)
        return false;
    print_rule("nearly matches: ", rule);
    fputs("; what does not match: ", stdout);
    for (size_t index = 0; index < MISMATCH_COUNT; index++) {
        if (!(mismatches & mismatch_words[index].mismatch))
            continue;
        printf("%s%s", separator, mismatch_words[index].keys);
        separator = ", ";
    }
    putchar('\n');
    return true;
}

static void print_server(const struct server_name *name, const char *separator)
{
    char address[ADDRESS_TEXT_SIZE];

    if (name->kind == SERVER_NAME_ADDRESS)
        address_write(&name->address, address);
    printf("%s%s", separator, name->kind == SERVER_NAME_ADDRESS ? address : name->dns);
}

/* Whether the servers of a handshake can be written as patterns. */
static bool has_patterns(const struct transcript *transcript)
{
    for (size_t index = 0; index < transcript->names->count; index++)
        if (transcript->names->names[index].kind == SERVER_NAME_ODD)
            return false;
    return transcript->names->count > 0;
}

static void print_usage_lines(const struct question *question)
{
    const struct handshake *handshake = &question->handshake;
    const struct transcript *transcript = &handshake->transcript;

    if (!question->shows_handshake || handshake->problem)
        return;
    puts("  usage = tls-client");
    if (handshake->is_tls_1_3) {
        puts("(servers would bind it to servers; the program must then be limited to TLS 1.2,\n"
             "since TLS 1.3 hides the server)");
        return;
    }
    if (!has_patterns(transcript))
        return;
    fputs("  servers = ", stdout);
    for (size_t index = 0; index < transcript->names->count; index++)
        print_server(&transcript->names->names[index], index == 0 ? "" : ", ");
    if (transcript->has_sni)
        printf(", %s", transcript->sni);
    putchar('\n');
}

/* False: nothing is known of it that a rule could name. */
static bool print_principal_lines(const struct question *question)
{
    const struct principal *principal = &question->principal;
    bool names_somebody = true;

    if (principal->is_remote)
        printf("  hosts = %s\n", principal->hosts[0]);
    else if (principal->has_uid)
        printf("  users = %s\n", question->user);
    else
        names_somebody = false;
    if (principal->has_unit == KNOWN_YES)
        printf("  units = %s\n", principal->unit);
    if (principal->has_socket == KNOWN_YES && !names_somebody)
        printf("  sockets = %s\n", principal->socket);
    names_somebody |= principal->has_unit == KNOWN_YES || principal->has_socket == KNOWN_YES;
    if (!principal->is_remote && principal->is_in_a_container != KNOWN_NO)
        puts("  containers = yes");
    return names_somebody;
}

static void print_lines(const struct question *question)
{
    const struct policy_request *request = &question->request;

    puts("these lines would allow it:\n"
         "  [rule/NAME]\n"
         "  effect = allow");
    if (!print_principal_lines(question))
        puts("(nothing is known of the program that a rule could name; see \"What the agent "
             "cannot\n"
             "tell\" in policy.conf(5))");
    printf("  devices = %s\n", request->device);
    if (request->instance)
        printf("  instances = %s\n", request->instance);
    printf("  operations = %s\n", rule_operation_name(request->operation));
    print_usage_lines(question);
}

static void explain_denial(
        const struct question *question, const struct policy *policy, const struct rule *denial)
{
    size_t count = 0;

    if (denial) {
        puts("a rule that denies wins over every rule that allows: change or remove it");
        return;
    }
    for (size_t index = 0; index < policy->count && count < NEARLY_RULES_MAX; index++)
        count += print_nearly(question, policy->rules[index]);
    print_lines(question);
}

bool question_explain(const struct question *question, const struct policy *policy)
{
    struct decision decision = policy_decide(policy, &question->request);

    puts(decision.is_allowed ? "allow" : "deny");
    if (decision.rule) {
        print_rule("decided by: ", decision.rule);
        putchar('\n');
    } else {
        puts("decided by: no rule allows it");
    }
    print_matching(question, policy, decision.is_allowed);
    if (!decision.is_allowed && decision.would_allow_tls_1_2)
        puts("under TLS 1.2, where the server is seen, a rule might allow it");
    if (!decision.is_allowed)
        explain_denial(question, policy, decision.rule);
    return decision.is_allowed;
}
