/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/rule.h"

#include <stdlib.h>
#include <string.h>

#include "agent/policy/rule_values.h"
#include "base/text.h"

enum { ANY_EFFECT = RULE_ALLOW | RULE_DENY | RULE_LIMIT };

/* The keys of rules, and in which rules they may be. */
static const struct key {
    const char *name;
    unsigned effects;
    rule_reader *read;
} keys[] = {
        {"effect", ANY_EFFECT, rule_read_effect},
        {"users", ANY_EFFECT, rule_read_users},
        {"groups", ANY_EFFECT, rule_read_groups},
        {"units", ANY_EFFECT, rule_read_units},
        {"sockets", ANY_EFFECT, rule_read_sockets},
        {"hosts", ANY_EFFECT, rule_read_hosts},
        {"containers", RULE_ALLOW, rule_read_containers},
        {"devices", ANY_EFFECT, rule_read_devices},
        {"instances", ANY_EFFECT, rule_read_instances},
        {"operations", ANY_EFFECT, rule_read_operations},
        {"usage", ANY_EFFECT, rule_read_usage},
        {"servers", ANY_EFFECT, rule_read_servers},
        {"not-before", ANY_EFFECT, rule_read_not_before},
        {"not-after", ANY_EFFECT, rule_read_not_after},
        {"rate", RULE_LIMIT, rule_read_rate},
        {"reason", ANY_EFFECT, rule_read_reason},
};

static const char prefix[] = "rule/";

void rule_free(struct rule *rule)
{
    if (!rule)
        return;
    free(rule->users.list);
    free(rule->groups.list);
    free(rule->units.list);
    free(rule->sockets.list);
    free(rule->devices.list);
    free(rule->instances.list);
    free(rule->hosts.list);
    free(rule->servers.list);
    free(rule->reason);
    free(rule->text);
    free(rule->name);
    free(rule->file);
    free(rule);
}

const char *rule_name(const char *section)
{
    return strncmp(section, prefix, strlen(prefix)) == 0 ? section + strlen(prefix) : NULL;
}

/* A section that is being read. */
struct reading {
    const struct policy_section *section;
    const char *file;
    struct rule *rule;
    struct problems *problems;
};

static const struct policy_entry *entry_of(const struct reading *reading, const char *key)
{
    for (size_t index = 0; index < reading->section->count; index++)
        if (strcmp(reading->section->entries[index].key, key) == 0)
            return &reading->section->entries[index];
    return NULL;
}

/* A problem of a key that is there, or of the section. */
static void refuse(const struct reading *reading, const char *key, const char *problem)
{
    const struct policy_entry *entry = entry_of(reading, key);

    problems_add(reading->problems, reading->file, entry ? entry->line : reading->section->line,
            "rule %.100s: %s %s", reading->rule->name, key, problem);
}

static void read_entry(const struct reading *reading, const struct policy_entry *entry, char *text)
{
    const char *wrong = "", *problem;

    for (size_t index = 0; index < sizeof(keys) / sizeof(keys[0]); index++) {
        if (strcmp(keys[index].name, entry->key) != 0)
            continue;
        problem = *text || keys[index].read == rule_read_reason
                          ? keys[index].read(reading->rule, text, &wrong)
                          : "it has no value";
        if (problem)
            problems_add(reading->problems, reading->file, entry->line,
                    "rule %.100s: %s: %.100s%s%s", reading->rule->name, entry->key,
                    wrong ? wrong : "", wrong && *wrong ? ": " : "", problem);
        return;
    }
    problems_add(reading->problems, reading->file, entry->line,
            "rule %.100s: %.100s is no key of a rule", reading->rule->name, entry->key);
}

/* Reads all values, from a copy of them that the rule keeps. */
static bool read_entries(const struct reading *reading)
{
    const struct policy_section *section = reading->section;
    size_t size = 1;
    char *place;

    for (size_t index = 0; index < section->count; index++)
        size += strlen(section->entries[index].value) + 1;
    place = reading->rule->text = malloc(size);
    if (!place)
        return problems_add(reading->problems, reading->file, section->line, "out of memory");
    for (size_t index = 0; index < section->count; index++) {
        char *text = place;

        place = stpcpy(place, section->entries[index].value) + 1;
        read_entry(reading, &section->entries[index], text);
    }
    return true;
}

static void check_mandatory(const struct reading *reading)
{
    static const char *const mandatory[] = {"effect", "devices", "operations"};

    for (size_t index = 0; index < sizeof(mandatory) / sizeof(mandatory[0]); index++)
        if (!entry_of(reading, mandatory[index]))
            refuse(reading, mandatory[index], "is missing");
    if (reading->rule->effect == RULE_LIMIT && !entry_of(reading, "rate"))
        refuse(reading, "rate", "is missing");
}

/* Which keys the effect of the rule allows. */
static void check_effect(const struct reading *reading)
{
    unsigned effect = reading->rule->effect;

    for (size_t index = 0; effect && index < sizeof(keys) / sizeof(keys[0]); index++)
        if (!(keys[index].effects & effect) && entry_of(reading, keys[index].name))
            refuse(reading, keys[index].name,
                    keys[index].effects == RULE_ALLOW ? "may stand in an allow alone"
                                                      : "may stand in a limit alone");
}

static void check_principals(const struct reading *reading)
{
    bool is_local = entry_of(reading, "users") || entry_of(reading, "groups") ||
                    entry_of(reading, "units") || entry_of(reading, "sockets");
    bool is_remote = entry_of(reading, "hosts") != NULL;

    if (is_local && is_remote)
        refuse(reading, "hosts",
                "speaks of peers on other machines, and users, groups, units and sockets of those "
                "on this one: make two rules");
    if (is_remote && entry_of(reading, "containers"))
        refuse(reading, "containers", "has no meaning beside hosts");
    if (reading->rule->effect == RULE_ALLOW && !is_local && !is_remote)
        refuse(reading, "effect",
                "is allow, and the rule names nobody: it needs users, groups, units, sockets or "
                "hosts");
}

static void check_usage(const struct reading *reading)
{
    const struct rule *rule = reading->rule;
    bool has_usage = entry_of(reading, "usage"), has_servers = entry_of(reading, "servers");
    const char *key = has_usage ? "usage" : "servers";

    if (has_servers && !rule->is_tls_client)
        refuse(reading, "servers", "needs usage = tls-client beside it");
    if (!(has_usage || has_servers) || !rule->operations)
        return;
    if (!(rule->operations & RULE_SIGN))
        refuse(reading, key, "is about sign, which operations does not name");
    else if (rule->operations & RULE_EXPORT)
        refuse(reading, key, "cannot restrict a key that is exported: make two rules");
    else if (rule->effect != RULE_ALLOW && rule->effect && rule->operations != RULE_SIGN)
        refuse(reading, key, "may stand in a deny or limit with operations = sign alone");
}

static void check_window(const struct reading *reading)
{
    if (reading->rule->not_before_s >= reading->rule->not_after_s)
        refuse(reading, "not-after", "is not later than not-before");
}

struct rule *rule_read(
        const struct policy_section *section, const char *file, struct problems *problems)
{
    CLEANUP(rule_free) struct rule *rule = calloc(1, sizeof(*rule));
    struct reading reading = {section, file, rule, problems};
    const char *name = rule_name(section->name);
    size_t before = problems->count;

    if (rule && name) {
        rule->name = strdup(name);
        rule->file = strdup(file);
    }
    if (!rule || !rule->name || !rule->file) {
        problems_add(problems, file, section->line, "out of memory");
        return NULL;
    }
    rule->line = section->line;
    rule->not_before_s = INT64_MIN;
    rule->not_after_s = INT64_MAX;
    if (!*rule->name)
        problems_add(problems, file, section->line, "a rule needs a name: [rule/NAME]");
    if (read_entries(&reading)) {
        check_mandatory(&reading);
        check_effect(&reading);
        check_principals(&reading);
        check_usage(&reading);
        check_window(&reading);
    }
    return problems->count == before ? take(rule) : NULL;
}
