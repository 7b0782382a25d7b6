/* SPDX-License-Identifier: Apache-2.0 */
/* How the values of a rule's keys are read. */
#ifndef RULE_VALUES_H
#define RULE_VALUES_H

#include "agent/policy/rule.h"

/*
 * Reads a value into the rule. The text may be changed, and lives as long as the rule. Returns
 * NULL; or what is wrong and what would be right: a constant. *wrong is then the part of the value
 * that it is about.
 */
typedef const char *rule_reader(struct rule *rule, char *text, const char **wrong);

rule_reader rule_read_effect;
rule_reader rule_read_users;
rule_reader rule_read_groups;
rule_reader rule_read_units;
rule_reader rule_read_sockets;
rule_reader rule_read_hosts;
rule_reader rule_read_containers;
rule_reader rule_read_devices;
rule_reader rule_read_instances;
rule_reader rule_read_operations;
rule_reader rule_read_usage;
rule_reader rule_read_servers;
rule_reader rule_read_not_before;
rule_reader rule_read_not_after;
rule_reader rule_read_rate;
rule_reader rule_read_reason;

/* RFC 3339 in UTC: 2026-12-31T23:59:59Z. False: it is none. */
bool rule_read_time(const char *text, int64_t *seconds);

#endif
