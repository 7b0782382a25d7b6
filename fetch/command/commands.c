/* SPDX-License-Identifier: Apache-2.0 */
#include "command/commands.h"

#include <stddef.h>

#include "command/command.h"

#define LIST (const char *const[])

const struct command commands[] = {
        {"agent", command_agent, "look at and manage an agent, as its user or root",
                LIST{"status", "list", "metrics", "evict", "reload", NULL},
                LIST{"agent status|list|metrics|reload", "agent evict PATTERN", NULL}, NULL},
        {"audit", command_audit, "verify and show an agent's audit log",
                LIST{"verify", "show", NULL},
                LIST{"audit verify [--heads FILE] LOG...",
                        "audit show [--device PATTERN] [--user USER] [--since TIME] [--until TIME] "
                        "[LOG...]",
                        NULL},
                "  --heads FILE      the agent's lines of syslog: finds an end that was cut off\n"
                "  --device PATTERN  PRODUCT_KEY/DEVICE_NAME, where * is any run of characters\n"
                "  --user USER       a name or #UID\n"
                "  --since TIME, --until TIME   as 2026-12-31 or 2026-12-31T23:59:59Z, in UTC\n"},
        {"policy", command_policy,
                "check and explain what an agent allows, and grant it for a time",
                LIST{"check", "explain", "test", "grant", "revoke", NULL},
                LIST{"policy check [FILE]", "policy explain [--policy FILE] OPTION... URI",
                        "policy test FILE", "policy grant [--policy FILE] OPTION...",
                        "policy revoke [--policy FILE] NAME", NULL},
                "Options of policy grant, all needed:\n"
                "  --user USER, --devices PATTERN, --operations LIST\n"
                "                    who may do what with which devices, as in policy.conf(5)\n"
                "  --for TIME, --reason TEXT    as 90m, 2h or 3d; and why\n"
                "Options of policy explain, and of the cases of policy test:\n"
                "  --user USER, --group GROUP, --unit UNIT, --socket NAME, --container yes\n"
                "                    a program on this machine; users and groups by name or #ID\n"
                "  --host NAME       a program on another machine, by a name in its certificate\n"
                "  --operation load|sign|export\n"
                "  --usage tls-client, --tls 1.2|1.3, --sni NAME, --server NAME\n"
                "                    what is signed is the handshake of a TLS client\n"
                "  --at TIME         as 2026-12-31T23:59:59Z, in UTC; without it, now\n"},
        {"show", command_show, "resolve a device and describe its certificate", NULL,
                LIST{"show [--chain] [--pem] URI", "show --json URI", NULL},
                "  --chain           all certificates of the chain, and not only the device's\n"
                "  --pem             as PEM, to be read by other programs\n"
                "  --json            the whole chain, as JSON\n"},
        {"pem", command_pem, "write a PEM identity file, which holds no secret", NULL,
                LIST{"pem URI [-o FILE]", NULL},
                "  -o FILE           instead of standard output\n"},
        {"vault", command_vault, "make and look after a vault of sealed identities",
                LIST{"init", "status", "verify", "purge", "rekey", NULL},
                LIST{"vault init|status|verify [--agent FILE]",
                        "vault purge PATTERN [--agent FILE]", "vault rekey KEY [--agent FILE]",
                        NULL},
                "  --agent FILE      the vault of the agent with that agent.conf\n"},
        {NULL, NULL, NULL, NULL, NULL, NULL},
};
