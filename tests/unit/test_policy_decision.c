/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policies decide: cases, and random policies against a second evaluator, which knows what
 * matches what from tables alone.
 */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "agent/policy/decision.h"

static char file[] = "/tmp/policy-decision-XXXXXX";

static struct policy *load(const char *rules)
{
    struct problems problems = {.count = 0};
    struct policy *policy;
    FILE *stream;

    /* ext4 writes to disk when a truncated file is closed, which takes most of the time here. */
    unlink(file);
    stream = fopen(file, "wx");
    assert_non_null(stream);
    fprintf(stream, "[policy]\nversion = 1\n%s", rules);
    assert_int_equal(0, fclose(stream));
    policy = policy_load(file, POLICY_ANY_OWNER, &problems);
    if (!policy)
        print_error("%s", problems.text->data);
    assert_non_null(policy);
    problems_release(&problems);
    return policy;
}

static const gid_t no_groups[1];

static struct principal local(uid_t uid)
{
    return (struct principal){.has_uid = true,
            .uid = uid,
            .groups = no_groups,
            .has_all_groups = true,
            .has_unit = KNOWN_NO,
            .has_socket = KNOWN_NO,
            .is_in_a_container = KNOWN_NO};
}

static const struct handshake no_handshake = {.problem = "it is none"};

static bool is_allowed(
        const char *rules, const struct principal *principal, enum rule_operation operation)
{
    struct policy *policy = load(rules);
    struct policy_request request = {.principal = principal,
            .operation = operation,
            .device = "a1x/device",
            .time_s = 1000,
            .handshake = &no_handshake};
    bool allowed = policy_decide(policy, &request).is_allowed;

    policy_free(policy);
    return allowed;
}

#define RULE(name, effect, more)                                                                   \
    "[rule/" name "]\neffect = " effect "\ndevices = */*\noperations = load\n" more

static void nothing_is_allowed_without_a_rule(void **state)
{
    struct principal principal = local(0);

    (void)state;
    assert_false(is_allowed(RULE("a", "deny", "users = #7\n"), &principal, RULE_LOAD));
    assert_false(is_allowed(RULE("a", "limit", "rate = 1/s\n"), &principal, RULE_LOAD));
    assert_true(is_allowed(RULE("a", "allow", "users = *\n"), &principal, RULE_LOAD));
    assert_false(is_allowed(RULE("a", "allow", "users = *\n"), &principal, RULE_SIGN));
    assert_false(is_allowed(RULE("a", "allow", "users = #7\n"), &principal, RULE_LOAD));
}

static void a_deny_wins_whatever_the_order(void **state)
{
    struct principal principal = local(7);

    (void)state;
    assert_false(is_allowed(RULE("a", "allow", "users = #7\n") RULE("b", "deny", "users = #7\n"),
            &principal, RULE_LOAD));
    assert_false(is_allowed(RULE("b", "allow", "users = #7\n") RULE("a", "deny", "users = #7\n"),
            &principal, RULE_LOAD));
    assert_true(is_allowed(RULE("b", "allow", "users = #7\n") RULE("a", "deny", "users = #8\n"),
            &principal, RULE_LOAD));
}

static void what_is_unknown_matches_every_deny_and_no_allow(void **state)
{
    static const struct {
        const char *key;
        struct principal known, unknown;
    } cases[] = {
            {"users = *\n", {.has_uid = true}, {.has_uid = false}},
            {"groups = #0\n", {.group_count = 1, .has_all_groups = true},
                    {.has_all_groups = false}},
            {"units = *\n", {.has_unit = KNOWN_YES, .unit = "a.service"}, {.has_unit = UNKNOWN}},
            {"sockets = s\n", {.has_socket = KNOWN_YES, .socket = "s"}, {.has_socket = UNKNOWN}},
            {"sockets = s\nusers = *\n", {.has_socket = KNOWN_YES, .socket = "s", .has_uid = true},
                    {.has_socket = KNOWN_YES, .socket = "s"}},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct principal known = cases[index].known, unknown = cases[index].unknown;
        char allow[256], deny[512];

        known.groups = unknown.groups = no_groups;
        snprintf(allow, sizeof(allow), RULE("a", "allow", "%s"), cases[index].key);
        assert_true(is_allowed(allow, &known, RULE_LOAD));
        assert_false(is_allowed(allow, &unknown, RULE_LOAD));
        /* Somebody else is denied, and it may be this one. */
        snprintf(deny, sizeof(deny), "%s" RULE("b", "deny", "%s"),
                RULE("z", "allow", "sockets = all\n"), cases[index].key);
        if (unknown.has_socket == KNOWN_NO) {
            unknown.has_socket = KNOWN_YES;
            unknown.socket = "all";
            assert_false(is_allowed(deny, &unknown, RULE_LOAD));
        }
    }
}

/* Whether the rule of these keys, of each effect, matches who asks. */
static void assert_matches(
        const char *keys, const struct principal *principal, bool allow, bool others)
{
    struct policy_request request = {
            .principal = principal, .operation = RULE_LOAD, .device = "a1x/device"};
    char rules[1024];
    struct policy *policy;

    snprintf(rules, sizeof(rules),
            RULE("a", "allow", "%s") RULE("d", "deny", "%s") RULE("l", "limit", "rate = 1/s\n%s"),
            keys, keys, keys);
    policy = load(rules);
    for (size_t index = 0; index < policy->count; index++) {
        const struct rule *rule = policy->rules[index];
        bool expected = rule->effect == RULE_ALLOW ? allow : others;

        if (rule_matches(rule, &request) != expected ||
                !rule_mismatches(rule, &request) != expected)
            fail_msg("rule %s with %s", rule->name, keys);
    }
    policy_free(policy);
}

static const gid_t group_seven[] = {7};

static void what_is_unknown_may_be_what_a_deny_or_limit_names(void **state)
{
    struct principal principal = local(7);

    (void)state;
    principal.has_uid = false;
    assert_matches("users = #8\n", &principal, false, true);
    assert_matches("users = *\n", &principal, false, true);
    assert_matches("users = #8\nsockets = s\n", &principal, false, false);
    principal = local(7);
    principal.has_unit = UNKNOWN;
    assert_matches("units = b.service\n", &principal, false, true);
    assert_matches("units = *\nusers = #7\n", &principal, false, true);
    assert_matches("units = *\nusers = #8\n", &principal, false, false);
    principal = local(7);
    principal.has_socket = UNKNOWN;
    assert_matches("sockets = s\n", &principal, false, true);
}

static void what_is_known_to_be_absent_matches_nothing(void **state)
{
    struct principal principal = local(7);

    (void)state;
    assert_matches("units = *\n", &principal, false, false);
    assert_matches("sockets = s\n", &principal, false, false);
    assert_matches("groups = #7\n", &principal, false, false);
}

static void a_group_that_is_known_counts_though_others_may_be_missing(void **state)
{
    struct principal principal = local(7);

    (void)state;
    principal.groups = group_seven;
    principal.group_count = 1;
    principal.has_all_groups = false;
    assert_matches("groups = #7\n", &principal, true, true);
    assert_matches("groups = #6, #7, #9\n", &principal, true, true);
    assert_matches("groups = #8\n", &principal, false, true);
    principal.has_all_groups = true;
    assert_matches("groups = #8\n", &principal, false, false);
}

static void every_key_of_a_rule_must_match_and_one_value_of_it(void **state)
{
    struct principal principal = local(7);

    (void)state;
    principal.has_unit = principal.has_socket = KNOWN_YES;
    principal.unit = "a@1.service";
    principal.socket = "s";
    assert_matches(
            "users = #8, #7\nunits = x, a@*.service\nsockets = t, s\n", &principal, true, true);
    assert_matches("users = #8\nunits = a@*.service\nsockets = s\n", &principal, false, false);
    assert_matches("users = #7\nunits = a@*.scope\nsockets = s\n", &principal, false, false);
    assert_matches("users = #7\nunits = a@*.service\nsockets = S\n", &principal, false, false);
    assert_matches("users = *\ngroups = #7\n", &principal, false, false);
    assert_matches("users = *\ninstances = iot-1\n", &principal, false, false);
    assert_matches("units = A@1.service\n", &principal, false, false);
}

static void a_star_of_a_device_takes_no_slash_and_case_counts(void **state)
{
    static const struct {
        const char *pattern, *device;
        bool matches;
    } cases[] = {
            {"*/*", "a/b", true},
            {"a1*/*", "a1/b", true},
            {"a1*/*", "a2/b", false},
            {"*/b", "a/x/b", false},
            {"*b/*", "a/b", false},
            {"a*/b", "a/ab/b", false},
            {"a/*b*c", "a/bcbc", true},
            {"a/*b*c", "a/bcb", false},
            {"a/b", "A/b", false},
            {"x/y, a/b", "a/b", true},
            {"a/b", "a/bc", false},
    };
    struct principal principal = local(7);

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct policy_request request = {
                .principal = &principal, .operation = RULE_LOAD, .device = cases[index].device};
        char rules[256];
        struct policy *policy;

        snprintf(rules, sizeof(rules),
                "[rule/a]\neffect = allow\nusers = *\noperations = load\ndevices = %s\n",
                cases[index].pattern);
        policy = load(rules);
        if (rule_matches(policy->rules[0], &request) != cases[index].matches)
            fail_msg("%s with %s", cases[index].pattern, cases[index].device);
        policy_free(policy);
    }
}

static void a_star_of_a_host_is_one_whole_label(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool matches;
    } cases[] = {
            {"*.a.example", "x.a.example", true},
            {"*.a.example", "a.example", false},
            {"*.a.example", "x.y.a.example", false},
            {"X.A.Example.", "x.a.example", true},
            {"x.a.example", "y.a.example", false},
            {"b.example, *.a.example", "x.a.example", true},
            {"*", "x.a.example", true},
            {"*.a.example", "*.a.example", true},
    };
    static const char *const wildcard[] = {"*.a.example"};
    struct principal many = {.is_remote = true, .hosts = wildcard, .host_count = 1};
    struct principal nameless = {.is_remote = true};

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct principal remote = {.is_remote = true, .hosts = &cases[index].host, .host_count = 1};
        char keys[128];

        snprintf(keys, sizeof(keys), "hosts = %s\n", cases[index].pattern);
        assert_matches(keys, &remote, cases[index].matches, cases[index].matches);
    }
    assert_matches("hosts = *\n", &nameless, true, true);
    assert_matches("hosts = *.a.example\n", &nameless, false, false);
    /* A certificate for any name is none for this one. */
    assert_false(is_allowed(RULE("a", "allow", "hosts = x.a.example\n"), &many, RULE_LOAD));
}

static void containers_are_for_rules_that_say_so(void **state)
{
    struct principal principal = local(7);

    (void)state;
    for (enum known where = KNOWN_NO; where <= UNKNOWN; where++) {
        principal.is_in_a_container = where;
        assert_int_equal(where == KNOWN_NO,
                is_allowed(RULE("a", "allow", "users = #7\n"), &principal, RULE_LOAD));
        assert_true(is_allowed(
                RULE("a", "allow", "users = #7\ncontainers = yes\n"), &principal, RULE_LOAD));
        assert_false(is_allowed(RULE("a", "allow", "users = #7\ncontainers = yes\n")
                                        RULE("b", "deny", "users = #7\n"),
                &principal, RULE_LOAD));
    }
}

static void rules_of_one_place_do_not_match_in_the_other(void **state)
{
    static const char *const hosts[] = {"a.example", "b.example"};
    struct principal remote = {.is_remote = true, .hosts = hosts, .host_count = 2};
    struct principal here = local(7);

    (void)state;
    assert_true(is_allowed(RULE("a", "allow", "hosts = *\n"), &remote, RULE_LOAD));
    assert_true(is_allowed(RULE("a", "allow", "hosts = b.example\n"), &remote, RULE_LOAD));
    assert_false(is_allowed(RULE("a", "allow", "hosts = c.example\n"), &remote, RULE_LOAD));
    assert_false(is_allowed(RULE("a", "allow", "users = *\n"), &remote, RULE_LOAD));
    assert_false(is_allowed(RULE("a", "allow", "hosts = *\n"), &here, RULE_LOAD));
    assert_false(is_allowed(
            RULE("a", "allow", "hosts = *\n") RULE("b", "deny", ""), &remote, RULE_LOAD));
    assert_true(is_allowed(RULE("a", "allow", "hosts = *\n") RULE("b", "deny", "users = *\n"),
            &remote, RULE_LOAD));
    assert_true(is_allowed(
            RULE("a", "allow", "users = *\n") RULE("b", "deny", "hosts = *\n"), &here, RULE_LOAD));
}

static void a_window_has_its_beginning_and_not_its_end(void **state)
{
    static const struct {
        const char *keys;
        bool allowed;
    } cases[] = {
            {"not-before = 1970-01-01T00:16:40Z\n", true},
            {"not-before = 1970-01-01T00:16:41Z\n", false},
            {"not-after = 1970-01-01T00:16:40Z\n", false},
            {"not-after = 1970-01-01T00:16:41Z\n", true},
    };
    struct principal principal = local(0);

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char rules[256];

        snprintf(rules, sizeof(rules), RULE("a", "allow", "users = *\n%s"), cases[index].keys);
        assert_int_equal(cases[index].allowed, is_allowed(rules, &principal, RULE_LOAD));
    }
}

static void the_instance_that_is_asked_counts(void **state)
{
    static const struct {
        const char *patterns, *instance;
        bool allowed;
    } cases[] = {
            {"*", NULL, true},
            {"public", NULL, true},
            {"iot-*", NULL, false},
            {"iot-*", "iot-1", true},
            {"public", "iot-1", false},
            {"a, iot-1", "iot-1", true},
    };
    struct principal principal = local(0);

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char rules[256];
        struct policy_request request = {.principal = &principal,
                .operation = RULE_LOAD,
                .device = "a/b",
                .instance = cases[index].instance};
        struct policy *policy;

        snprintf(rules, sizeof(rules), RULE("a", "allow", "users = *\ninstances = %s\n"),
                cases[index].patterns);
        policy = load(rules);
        assert_int_equal(cases[index].allowed, policy_decide(policy, &request).is_allowed);
        policy_free(policy);
    }
}

/* An allow, a deny and a limit, in this order. */
static struct policy *load_about_servers(const char *patterns)
{
    static const char keys[] = "devices = */*\noperations = sign\nusage = tls-client\nservers = ";
    char rules[1024];

    snprintf(rules, sizeof(rules),
            "[rule/a]\neffect = allow\nusers = *\n%s%s\n[rule/d]\neffect = deny\n%s%s\n"
            "[rule/l]\neffect = limit\nrate = 1/s\n%s%s\n",
            keys, patterns, keys, patterns, keys, patterns);
    return load(rules);
}

/* What is signed, and whether each kind of rule about servers matches it. */
static void rules_about_servers_match_in_doubt_only_if_they_deny(void **state)
{
    static const struct {
        const char *names[3]; /* of the server; "!" is an odd one */
        const char *sni;
        bool is_tls_1_3;
        const char *problem;
        bool usage, allow, deny; /* with servers = *.a.example, b.example, 192.0.2.1 */
    } cases[] = {
            {.problem = "it is none", .usage = false, .allow = false, .deny = true},
            {.is_tls_1_3 = true, .usage = true, .allow = false, .deny = true},
            {.usage = true, .allow = false, .deny = true},
            {{"x.a.example"}, .usage = true, .allow = true, .deny = true},
            {{"*.a.example"}, .usage = true, .allow = true, .deny = true},
            {{"b.example", "192.0.2.1"}, .usage = true, .allow = true, .deny = true},
            {{"b.example", "c.example"}, .usage = true, .allow = false, .deny = true},
            {{"c.example"}, .usage = true, .allow = false, .deny = false},
            {{"a.example"}, .usage = true, .allow = false, .deny = false},
            {{"x.y.a.example"}, .usage = true, .allow = false, .deny = false},
            {{"*.example"}, .usage = true, .allow = false, .deny = true},
            {{"*.b.example"}, .usage = true, .allow = false, .deny = false},
            {{"192.0.2.2"}, .usage = true, .allow = false, .deny = false},
            {{"!"}, .usage = true, .allow = false, .deny = true},
            {{"b.example", "!"}, .usage = true, .allow = false, .deny = true},
            {{"b.example"}, "x.a.example", .usage = true, .allow = true, .deny = true},
            {{"b.example"}, "c.example", .usage = true, .allow = false, .deny = true},
            {{"c.example"}, "b.example", .usage = true, .allow = false, .deny = true},
            {{"c.example"}, "c.example", .usage = true, .allow = false, .deny = false},
    };
    static const char rules[] =
            "[rule/u]\neffect = allow\nusers = *\ndevices = */*\noperations = sign\n"
            "usage = tls-client\n"
            "[rule/a]\neffect = allow\nusers = *\ndevices = */*\noperations = load, sign\n"
            "usage = tls-client\nservers = *.a.example, b.example, 192.0.2.1\n"
            "[rule/d]\neffect = deny\ndevices = */*\noperations = sign\n"
            "usage = tls-client\nservers = *.a.example, b.example, 192.0.2.1\n"
            "[rule/du]\neffect = deny\ndevices = */*\noperations = sign\nusage = tls-client\n";
    struct policy *policy = load(rules);
    struct server_names *names = malloc(sizeof(*names) + 3 * sizeof(names->names[0]));
    struct principal principal = local(7);

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct handshake handshake = {.problem = cases[index].problem,
                .is_tls_1_3 = cases[index].is_tls_1_3,
                .transcript = {.has_sni = cases[index].sni != NULL, .names = names}};
        struct policy_request request = {.principal = &principal,
                .operation = RULE_SIGN,
                .device = "a/b",
                .handshake = &handshake};

        if (cases[index].sni)
            strcpy(handshake.transcript.sni, cases[index].sni);
        for (names->count = 0; names->count < 3 && cases[index].names[names->count];
                names->count++) {
            struct server_name *name = &names->names[names->count];
            const char *text = cases[index].names[names->count];

            name->kind = *text == '!'                         ? SERVER_NAME_ODD
                         : address_read(text, &name->address) ? SERVER_NAME_ADDRESS
                                                              : SERVER_NAME_DNS;
            strcpy(name->dns, text);
        }
        assert_int_equal(cases[index].allow, rule_matches(policy->rules[0], &request));
        assert_int_equal(cases[index].deny, rule_matches(policy->rules[1], &request));
        assert_int_equal(cases[index].usage, rule_matches(policy->rules[2], &request));
        assert_int_equal(cases[index].usage, rule_matches(policy->rules[3], &request));
        /* Before it is read, it may be allowed, and is not denied. */
        request.handshake = NULL;
        assert_true(rule_matches(policy->rules[0], &request));
        assert_false(rule_matches(policy->rules[1], &request));
        /* Nothing is signed by a load. */
        request.operation = RULE_LOAD;
        assert_true(rule_matches(policy->rules[0], &request));
    }
    free(names);
    policy_free(policy);
}

/* A list of servers, one name of a server, and whether the list covers and overlaps it. */
static void patterns_cover_and_overlap_names(void **state)
{
    static const struct {
        const char *patterns;
        struct server_name name;
        bool covered, overlaps;
    } cases[] = {
            {"B.Example.", {.dns = "b.example"}, true, true},
            {"*.example", {.dns = "b.example"}, true, true},
            {"*.example", {.dns = "example"}, false, false},
            {"*.example", {.dns = "*.example"}, true, true},
            {"x.example", {.dns = "*.example"}, false, true},
            {"x.example, y.example", {.dns = "*.example"}, false, true},
            {"x.y.example", {.dns = "*.example"}, false, false},
            {"*.x.example", {.dns = "*.example"}, false, false},
            {"::1", {SERVER_NAME_ADDRESS, .address = {{[15] = 1}, 16}}, true, true},
            {"0:0:0::1", {SERVER_NAME_ADDRESS, .address = {{[15] = 1}, 16}}, true, true},
            {"::2", {SERVER_NAME_ADDRESS, .address = {{[15] = 1}, 16}}, false, false},
            {"192.0.2.1", {SERVER_NAME_ADDRESS, .address = {{192, 0, 2, 1}, 4}}, true, true},
            {"c000:201::", {SERVER_NAME_ADDRESS, .address = {{192, 0, 2, 1}, 4}}, false, false},
            {"*.example", {SERVER_NAME_ADDRESS, .address = {{192, 0, 2, 1}, 4}}, false, false},
            {"192.0.2.1", {.dns = "b.example"}, false, false},
            {"b.example", {SERVER_NAME_ODD, .dns = "b.example"}, false, true},
            {"192.0.2.1", {SERVER_NAME_ODD, .dns = "192.0.2.1"}, false, true},
    };
    struct server_names *names = malloc(sizeof(*names) + sizeof(names->names[0]));
    struct principal principal = local(7);

    (void)state;
    assert_non_null(names);
    names->count = 1;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct handshake handshake = {.transcript = {.names = names}};
        struct policy_request request = {.principal = &principal,
                .operation = RULE_SIGN,
                .device = "a/b",
                .handshake = &handshake};
        struct policy *policy = load_about_servers(cases[index].patterns);

        names->names[0] = cases[index].name;
        if (rule_matches(policy->rules[0], &request) != cases[index].covered ||
                rule_matches(policy->rules[1], &request) != cases[index].overlaps ||
                rule_matches(policy->rules[2], &request) != cases[index].overlaps)
            fail_msg("case %zu: %s", index, cases[index].patterns);
        policy_free(policy);
    }
    free(names);
}

static void of_rules_that_decide_the_first_by_name_is_told(void **state)
{
    static const char rules[] =
            RULE("a", "limit", "rate = 1/s\n") RULE("b", "allow", "users = #7\n")
                    RULE("c", "allow", "users = *\n") RULE("d", "deny", "users = #8\n")
                            RULE("e", "deny", "users = #8, #9\n") RULE("f", "deny", "units = x\n");
    struct principal principal = local(7);
    struct policy_request request = {
            .principal = &principal, .operation = RULE_LOAD, .device = "a/b"};
    struct policy *policy = load(rules);

    (void)state;
    assert_string_equal("b", policy_decide(policy, &request).rule->name);
    principal.uid = 6;
    assert_string_equal("c", policy_decide(policy, &request).rule->name);
    principal.uid = 8;
    assert_string_equal("d", policy_decide(policy, &request).rule->name);
    principal.has_unit = UNKNOWN;
    assert_string_equal("d", policy_decide(policy, &request).rule->name);
    principal.uid = 9;
    assert_string_equal("e", policy_decide(policy, &request).rule->name);
    principal.has_uid = false;
    assert_string_equal("d", policy_decide(policy, &request).rule->name);
    policy_free(policy);
}

#define SIGN(name, effect, more)                                                                   \
    "[rule/" name "]\neffect = " effect "\ndevices = */*\noperations = sign\n" more

static void tls_1_2_is_advised_if_nothing_but_tls_1_3_is_in_the_way(void **state)
{
    static const char rules[] = SIGN("s", "allow",
            "users = #7, #8, #9\nusage = tls-client\n"
            "servers = b.example\n") SIGN("u", "allow", "users = #8\n")
            SIGN("d", "deny", "users = #9\n");
    struct server_names none = {.count = 0};
    struct handshake tls_1_3 = {.is_tls_1_3 = true};
    struct handshake broken = {.is_tls_1_3 = true, .problem = "it is none"};
    struct handshake tls_1_2 = {.transcript = {.names = &none}};
    struct principal principal = local(7);
    struct policy_request request = {.principal = &principal,
            .operation = RULE_SIGN,
            .device = "a/b",
            .handshake = &tls_1_3};
    struct policy *policy = load(rules);

    (void)state;
    assert_false(policy_decide(policy, &request).is_allowed);
    assert_true(policy_decide(policy, &request).would_allow_tls_1_2);
    request.handshake = &broken;
    assert_false(policy_decide(policy, &request).would_allow_tls_1_2);
    request.handshake = &tls_1_2;
    assert_false(policy_decide(policy, &request).would_allow_tls_1_2);
    request.handshake = &tls_1_3;
    for (principal.uid = 8; principal.uid <= 10; principal.uid++)
        assert_false(policy_decide(policy, &request).would_allow_tls_1_2);
    policy_free(policy);
}

/* Random policies. */

enum {
    ROUNDS = 3000,
    RULES_MAX = 6,
    NONE = -1,
    USERS = 3,  /* #1000 to #1002 */
    GROUPS = 3, /* #2000 to #2002 */
    TIMES = 4,  /* seconds since 1970 */
    NAMES = 5   /* that a server may have */
};

/* What is known of an example, and what each pattern for it matches. */
static const char *const devices[] = {"a1x/d1", "a1x/d2", "b2/d1"};
static const struct {
    const char *text;
    bool matches[3];
} device_patterns[] = {
        {"*/*", {true, true, true}},
        {"a1*/d1", {true, false, false}},
        {"*/d1", {true, false, true}},
        {"a1x/*, c/d", {true, true, false}},
        {"*/d1d", {false, false, false}},
};
static const char *const units[] = {"m@1.service", "n.scope"};
static const struct {
    const char *text;
    bool matches[2];
} unit_patterns[] = {
        {"*", {true, true}},
        {"m@*.service", {true, false}},
        {"x.service, n.*", {false, true}},
};
static const char *const sockets[] = {"s", "t"};

/* The public one, and another one. */
static const char *const instances[] = {NULL, "iot-1"};
static const struct {
    const char *text;
    bool matches[2];
} instance_patterns[] = {
        {"*", {true, true}},
        {"public", {true, false}},
        {"x, i*1", {false, true}},
};

enum { SIGNED_OTHER, SIGNED_TLS_1_3, SIGNED_TLS_1_2 };

/* The names that a server may have. The first ones that are names of DNS may be an SNI too. */
enum { SNI_NAMES = 2 };
static const struct server_name server_names[NAMES] = {
        {.kind = SERVER_NAME_DNS, .dns = "x.a.example"},
        {.kind = SERVER_NAME_DNS, .dns = "b.example"},
        {.kind = SERVER_NAME_DNS, .dns = "*.a.example"},
        {.kind = SERVER_NAME_ADDRESS, .address = {{192, 0, 2, 1}, 4}},
        {.kind = SERVER_NAME_ODD, .dns = "b.example"},
};
static const struct {
    const char *text;
    bool covers[NAMES], overlaps[NAMES];
} server_patterns[] = {
        {"*.A.example.", {true, false, true, false, false}, {true, false, true, false, true}},
        {"x.a.example", {true, false, false, false, false}, {true, false, true, false, true}},
        {"b.example, 192.0.2.1", {false, true, false, true, false},
                {false, true, false, true, true}},
        {"::1, a.example", {false, false, false, false, false}, {false, false, false, false, true}},
};

/* A rule, as the evaluator knows it. NONE: the key is not there. */
struct plain_rule {
    enum rule_effect effect;
    int users, groups; /* sets of bits; */
    bool any_user;
    int unit, socket, device, instance, server;
    int not_before, not_after;
    unsigned operations;
    bool is_tls_client, containers;
    int remote; /* NONE; 0: hosts = *; 1: hosts = h.example */
};

/* A principal and a request. NONE: there is none; UNKNOWN_FACT: not told. */
enum { UNKNOWN_FACT = -2 };
struct plain_request {
    bool is_remote, is_h; /* its certificate names h.example */
    int user, groups;     /* a set of bits */
    bool all_groups;
    int unit, socket;
    enum known container;
    int device, instance, time, operation;
    int what;       /* SIGNED_… */
    int names, sni; /* of TLS 1.2: a set of bits, and a number */
};

static unsigned seed = 1;
static struct server_names *shown; /* room for all */

static int choose(int count)
{
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 16) % (unsigned)count);
}

static int choose_or_none(int count, int some_of_ten)
{
    return choose(10) < some_of_ten ? choose(count) : NONE;
}

/* What a rule says of the things that are asked for, and when. */
static void choose_things(struct plain_rule *rule)
{
    rule->instance = choose_or_none(3, 2);
    rule->not_before = choose_or_none(TIMES, 2);
    rule->not_after = choose_or_none(TIMES, 2);
    /* An empty window does not load. */
    if (rule->not_after <= rule->not_before)
        rule->not_after = NONE;
    if (choose(3) == 0 && (rule->operations & RULE_SIGN)) {
        rule->operations =
                rule->effect == RULE_ALLOW ? rule->operations & ~(unsigned)RULE_EXPORT : RULE_SIGN;
        rule->is_tls_client = true;
        rule->server = choose_or_none(4, 7);
    }
}

static struct plain_rule random_rule(void)
{
    static const enum rule_effect effects[] = {
            RULE_ALLOW, RULE_ALLOW, RULE_ALLOW, RULE_DENY, RULE_LIMIT};
    struct plain_rule rule = {.effect = effects[choose(5)],
            .users = choose(2) ? 1 + choose((1 << USERS) - 1) : 0,
            .groups = choose(4) ? 0 : 1 + choose((1 << GROUPS) - 1),
            .unit = choose_or_none(3, 3),
            .socket = choose_or_none(2, 2),
            .device = choose(5),
            .server = NONE,
            .operations = (unsigned)(1 + choose(7)),
            .remote = NONE};

    rule.any_user = rule.users == 0 && choose(3) == 0;
    if (choose(5) == 0) {
        rule = (struct plain_rule){.effect = rule.effect,
                .unit = NONE,
                .socket = NONE,
                .device = rule.device,
                .server = NONE,
                .operations = rule.operations,
                .remote = choose(2)};
    } else if (rule.effect == RULE_ALLOW) {
        rule.containers = choose(3) == 0;
        rule.any_user |= !rule.users && !rule.groups && rule.unit == NONE && rule.socket == NONE;
    }
    choose_things(&rule);
    return rule;
}

static void print_ids(FILE *stream, const char *key, int set, int first)
{
    const char *separator = "";

    if (!set)
        return;
    fprintf(stream, "%s = ", key);
    for (int bit = 0; bit < 3; bit++) {
        if (set & 1 << bit) {
            fprintf(stream, "%s#%d", separator, first + bit);
            separator = ", ";
        }
    }
    fputc('\n', stream);
}

static void print_operations(FILE *stream, unsigned operations)
{
    fprintf(stream, "operations = %s%s%s%s%s\n", operations & RULE_LOAD ? "load" : "",
            (operations & RULE_LOAD) && (operations & RULE_SIGN) ? ", " : "",
            operations & RULE_SIGN ? "sign" : "",
            (operations & RULE_EXPORT) && operations != RULE_EXPORT ? ", " : "",
            operations & RULE_EXPORT ? "export" : "");
}

static void print_key(FILE *stream, const char *key, const char *value)
{
    if (value)
        fprintf(stream, "%s = %s\n", key, value);
}

static void print_time(FILE *stream, const char *key, int seconds)
{
    if (seconds != NONE)
        fprintf(stream, "%s = 1970-01-01T00:00:0%dZ\n", key, seconds);
}

static void print_rule(FILE *stream, const struct plain_rule *rule, int name)
{
    fprintf(stream, "[rule/r%d]\neffect = %s\ndevices = %s\n", name,
            rule->effect == RULE_ALLOW  ? "allow"
            : rule->effect == RULE_DENY ? "deny"
                                        : "limit\nrate = 1/s",
            device_patterns[rule->device].text);
    print_operations(stream, rule->operations);
    print_key(stream, "users", rule->any_user ? "*" : NULL);
    print_ids(stream, "users", rule->users, 1000);
    print_ids(stream, "groups", rule->groups, 2000);
    print_key(stream, "units", rule->unit == NONE ? NULL : unit_patterns[rule->unit].text);
    print_key(stream, "sockets", rule->socket == NONE ? NULL : sockets[rule->socket]);
    print_key(stream, "hosts", rule->remote == NONE ? NULL : rule->remote == 0 ? "*" : "h.example");
    print_key(stream, "containers", rule->containers ? "yes" : NULL);
    print_key(stream, "usage", rule->is_tls_client ? "tls-client" : NULL);
    print_key(stream, "servers", rule->server == NONE ? NULL : server_patterns[rule->server].text);
    print_key(stream, "instances",
            rule->instance == NONE ? NULL : instance_patterns[rule->instance].text);
    print_time(stream, "not-before", rule->not_before);
    print_time(stream, "not-after", rule->not_after);
}

/* names: the numbers of the rules' names, which are their order once they are loaded. */
static struct policy *load_plain(const struct plain_rule *rules, int count, const int *names)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    struct policy *policy;

    for (int index = 0; index < count; index++)
        print_rule(stream, &rules[index], names[index]);
    assert_int_equal(0, fclose(stream));
    policy = load(text);
    free(text);
    return policy;
}

static void shuffle(int *numbers, int count)
{
    for (int index = count - 1; index > 0; index--) {
        int other = choose(index + 1), number = numbers[index];

        numbers[index] = numbers[other];
        numbers[other] = number;
    }
}

static struct plain_request random_request(void)
{
    return (struct plain_request){.is_remote = choose(6) == 0,
            .is_h = choose(2),
            .user = choose(4) ? choose(USERS) : UNKNOWN_FACT,
            .groups = choose(1 << GROUPS),
            .all_groups = choose(4) != 0,
            .unit = choose(4) - 2,
            .socket = choose(4) - 2,
            .container = choose(4) ? KNOWN_NO : (enum known)(1 + choose(2)),
            .device = choose(3),
            .instance = choose(2),
            .time = choose(TIMES),
            .operation = 1 << choose(3),
            .what = choose(5) ? SIGNED_TLS_1_2 : choose(2),
            /* Few names, so that a rule often covers all of them. */
            .names = choose(1 << NAMES) & choose(1 << NAMES),
            .sni = choose_or_none(SNI_NAMES, 5)};
}

/* In doubt, a deny or limit matches and an allow does not. */
static bool settle(const struct plain_rule *rule, int fact, bool matches)
{
    return fact == UNKNOWN_FACT ? rule->effect != RULE_ALLOW : matches;
}

static bool naive_principal(const struct plain_rule *rule, const struct plain_request *request)
{
    bool is_local = rule->users || rule->any_user || rule->groups || rule->unit != NONE ||
                    rule->socket != NONE;

    if (request->is_remote)
        return !is_local && (rule->remote != 1 || request->is_h);
    if (rule->remote != NONE)
        return false;
    if ((rule->users || rule->any_user) &&
            !settle(rule, request->user,
                    rule->any_user || (request->user >= 0 && (rule->users & 1 << request->user))))
        return false;
    if (rule->groups && !(rule->groups & request->groups) &&
            !settle(rule, request->all_groups ? 0 : UNKNOWN_FACT, false))
        return false;
    if (rule->unit != NONE &&
            !settle(rule, request->unit,
                    request->unit >= 0 && unit_patterns[rule->unit].matches[request->unit]))
        return false;
    if (rule->socket != NONE && !settle(rule, request->socket, request->socket == rule->socket))
        return false;
    return rule->effect != RULE_ALLOW || rule->containers || request->container == KNOWN_NO;
}

static bool naive_servers(const struct plain_rule *rule, const struct plain_request *request)
{
    const bool *covers = server_patterns[rule->server].covers;
    const bool *overlaps = server_patterns[rule->server].overlaps;
    bool all = request->names != 0, any = request->names == 0;

    for (int name = 0; name < NAMES; name++) {
        if (!(request->names & 1 << name) && request->sni != name)
            continue;
        all = all && covers[name];
        any = any || overlaps[name];
    }
    return rule->effect == RULE_ALLOW ? all : any;
}

static bool naive_signed(const struct plain_rule *rule, const struct plain_request *request)
{
    if (request->operation != RULE_SIGN || !rule->is_tls_client)
        return true;
    if (rule->server == NONE)
        return request->what != SIGNED_OTHER;
    if (request->what != SIGNED_TLS_1_2)
        return rule->effect != RULE_ALLOW;
    return naive_servers(rule, request);
}

static bool naive_matches(const struct plain_rule *rule, const struct plain_request *request)
{
    return (rule->operations & (unsigned)request->operation) &&
           device_patterns[rule->device].matches[request->device] &&
           (rule->instance == NONE ||
                   instance_patterns[rule->instance].matches[request->instance]) &&
           (rule->not_before == NONE || rule->not_before <= request->time) &&
           (rule->not_after == NONE || request->time < rule->not_after) &&
           naive_principal(rule, request) && naive_signed(rule, request);
}

static bool naive_decide(
        const struct plain_rule *rules, int count, const struct plain_request *request)
{
    bool allowed = false;

    for (int index = 0; index < count; index++) {
        if (rules[index].effect == RULE_LIMIT || !naive_matches(&rules[index], request))
            continue;
        if (rules[index].effect == RULE_DENY)
            return false;
        allowed = true;
    }
    return allowed;
}

static enum known known(int fact)
{
    return fact == UNKNOWN_FACT ? UNKNOWN : fact == NONE ? KNOWN_NO : KNOWN_YES;
}

static struct principal make_principal(const struct plain_request *plain, gid_t groups[GROUPS])
{
    static const char *const host_h[] = {"h.example"}, *const host_i[] = {"i.example"};
    struct principal principal = {.is_remote = plain->is_remote,
            .hosts = plain->is_h ? host_h : host_i,
            .host_count = 1,
            .has_uid = plain->user != UNKNOWN_FACT,
            .uid = plain->user >= 0 ? (uid_t)(1000 + plain->user) : 65534,
            .groups = groups,
            .has_all_groups = plain->all_groups,
            .has_unit = known(plain->unit),
            .unit = plain->unit >= 0 ? units[plain->unit] : NULL,
            .has_socket = known(plain->socket),
            .socket = plain->socket >= 0 ? sockets[plain->socket] : NULL,
            .is_in_a_container = plain->container};

    for (int bit = 0; bit < GROUPS; bit++)
        if (plain->groups & 1 << bit)
            groups[principal.group_count++] = (gid_t)(2000 + bit);
    return principal;
}

static struct handshake make_handshake(const struct plain_request *plain)
{
    struct handshake handshake = {.problem = plain->what == SIGNED_OTHER ? "it is none" : NULL,
            .is_tls_1_3 = plain->what == SIGNED_TLS_1_3};

    if (plain->what != SIGNED_TLS_1_2)
        return handshake;
    shown->count = 0;
    for (int name = 0; name < NAMES; name++)
        if (plain->names & 1 << name)
            shown->names[shown->count++] = server_names[name];
    handshake.transcript.names = shown;
    handshake.transcript.has_sni = plain->sni != NONE;
    /* Without an SNI, what is left in its place must not count. */
    strcpy(handshake.transcript.sni, server_names[plain->sni == NONE ? 0 : plain->sni].dns);
    return handshake;
}

/* plain_rules: those of the policy, in its order; each is compared too. NULL: none is. */
static bool decide(const struct policy *policy, const struct plain_request *plain,
        const struct plain_rule *plain_rules)
{
    gid_t groups[GROUPS];
    struct principal principal = make_principal(plain, groups);
    struct handshake handshake = make_handshake(plain);
    struct policy_request request = {.principal = &principal,
            .operation = (enum rule_operation)plain->operation,
            .device = devices[plain->device],
            .instance = instances[plain->instance],
            .time_s = plain->time,
            .handshake = &handshake};

    for (size_t index = 0; plain_rules && index < policy->count; index++) {
        bool matches = rule_matches(policy->rules[index], &request);

        assert_int_equal(naive_matches(&plain_rules[index], plain), matches);
        assert_int_equal(matches, rule_mismatches(policy->rules[index], &request) == 0);
    }
    return policy_decide(policy, &request).is_allowed;
}

/* One fact that was known is unknown. */
static struct plain_request forget(struct plain_request request)
{
    switch (choose(5)) {
    case 0:
        request.user = UNKNOWN_FACT;
        break;
    case 1:
        request.all_groups = false;
        request.groups &= choose(1 << GROUPS);
        break;
    case 2:
        request.unit = UNKNOWN_FACT;
        break;
    case 3:
        request.socket = UNKNOWN_FACT;
        break;
    default:
        request.container = UNKNOWN;
        break;
    }
    return request;
}

/* The last rule is a deny, whatever it was. */
static void random_rules(struct plain_rule *rules, int count)
{
    for (int index = 0; index < count; index++)
        rules[index] = random_rule();
    rules[count - 1].effect = RULE_DENY;
    rules[count - 1].containers = false;
    if (rules[count - 1].is_tls_client)
        rules[count - 1].operations = RULE_SIGN;
}

/* The same rules three times: in another order, and the last time with one more deny. */
static int compare_decisions(const struct plain_rule *rules, int count)
{
    int names[RULES_MAX + 1] = {0, 1, 2, 3, 4, 5, 6}, allowed = 0;
    struct policy *policy = load_plain(rules, count, names), *shuffled;
    struct policy *stricter = load_plain(rules, count + 1, names);

    shuffle(names, count);
    shuffled = load_plain(rules, count, names);
    for (int index = 0; index < 20; index++) {
        struct plain_request request = random_request(), forgetful = forget(request);
        bool is = decide(policy, &request, rules);

        assert_int_equal(naive_decide(rules, count, &request), is);
        assert_int_equal(is, decide(shuffled, &request, NULL));
        assert_int_equal(
                naive_decide(rules, count + 1, &request), decide(stricter, &request, rules));
        assert_true(is || !decide(stricter, &request, NULL));
        assert_true(is || !decide(policy, &forgetful, rules));
        allowed += is;
    }
    policy_free(policy);
    policy_free(shuffled);
    policy_free(stricter);
    return allowed;
}

static void a_second_evaluator_decides_alike(void **state)
{
    int allowed = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct plain_rule rules[RULES_MAX + 1];
        int count = 1 + choose(RULES_MAX);

        random_rules(rules, count + 1);
        allowed += compare_decisions(rules, count);
    }
    /* Both outcomes were tried often. */
    assert_between(allowed, ROUNDS, 20 * ROUNDS - ROUNDS);
}

static int make_file(void **state)
{
    int descriptor = mkstemp(file);

    (void)state;
    shown = calloc(1, sizeof(*shown) + NAMES * sizeof(shown->names[0]));
    return descriptor < 0 || !shown ? -1 : close(descriptor);
}

static int remove_file(void **state)
{
    (void)state;
    free(shown);
    return unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_is_allowed_without_a_rule),
            cmocka_unit_test(a_deny_wins_whatever_the_order),
            cmocka_unit_test(what_is_unknown_matches_every_deny_and_no_allow),
            cmocka_unit_test(what_is_unknown_may_be_what_a_deny_or_limit_names),
            cmocka_unit_test(what_is_known_to_be_absent_matches_nothing),
            cmocka_unit_test(a_group_that_is_known_counts_though_others_may_be_missing),
            cmocka_unit_test(every_key_of_a_rule_must_match_and_one_value_of_it),
            cmocka_unit_test(a_star_of_a_device_takes_no_slash_and_case_counts),
            cmocka_unit_test(a_star_of_a_host_is_one_whole_label),
            cmocka_unit_test(containers_are_for_rules_that_say_so),
            cmocka_unit_test(rules_of_one_place_do_not_match_in_the_other),
            cmocka_unit_test(a_window_has_its_beginning_and_not_its_end),
            cmocka_unit_test(the_instance_that_is_asked_counts),
            cmocka_unit_test(rules_about_servers_match_in_doubt_only_if_they_deny),
            cmocka_unit_test(patterns_cover_and_overlap_names),
            cmocka_unit_test(of_rules_that_decide_the_first_by_name_is_told),
            cmocka_unit_test(tls_1_2_is_advised_if_nothing_but_tls_1_3_is_in_the_way),
            cmocka_unit_test(a_second_evaluator_decides_alike),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
