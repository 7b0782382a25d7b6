/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of a policy, as policy.conf(5) describes it. */
#ifndef RULE_H
#define RULE_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/handshake/dns_name.h"
#include "agent/policy/policy_text.h"

enum rule_effect { RULE_ALLOW = 1, RULE_DENY = 2, RULE_LIMIT = 4 };

enum rule_operation { RULE_LOAD = 1, RULE_SIGN = 2, RULE_EXPORT = 4 };

/* How policies write an operation, a constant; and which one a word is, 0: none. */
const char *rule_operation_name(enum rule_operation operation);
enum rule_operation rule_operation_find(const char *name);

/* Ids of users or groups, sorted. */
struct rule_ids {
    bool is_any; /* "*" */
    uint32_t *list;
    size_t count;
};

/* Strings of a list; they point into the text that the rule owns. */
struct rule_strings {
    const char **list;
    size_t count;
};

/* A pattern of DNS names, or an address. */
struct rule_server {
    bool is_address;
    char pattern[DNS_NAME_SIZE]; /* as dns_name_read() writes it */
    struct address address;
};

struct rule_servers {
    struct rule_server *list;
    size_t count;
};

/* A list of no elements is a key that is not there. */
struct rule {
    char *name, *file; /* the rule's own */
    int line;          /* of the section */
    size_t position;   /* among the rules of its policy */
    char *text;        /* what the lists point into */
    enum rule_effect effect;
    struct rule_ids users, groups;
    struct rule_strings units, sockets, devices, instances;
    bool has_any_host; /* hosts = * */
    struct rule_servers hosts, servers;
    bool may_be_in_a_container;
    unsigned operations;               /* of enum rule_operation, together */
    bool is_tls_client;                /* usage = tls-client */
    int64_t not_before_s, not_after_s; /* since 1970; INT64_MIN and INT64_MAX: without an end */
    int64_t rate, period_s;            /* of a limit */
    char *reason;                      /* NULL: none */
};

/*
 * Reads the section [rule/NAME]. All that is wrong with it becomes problems. Returns the rule, to
 * be freed by rule_free(), if there were none; else NULL.
 */
struct rule *rule_read(
        const struct policy_section *section, const char *file, struct problems *problems);

/* NULL is ignored. */
void rule_free(struct rule *rule);
DEFINE_CLEANUP(struct rule *, rule_free);

/* The name of a rule in the name of its section; NULL: it is no section of a rule. */
const char *rule_name(const char *section);

#endif
