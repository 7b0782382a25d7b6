/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "agent/policy/decision.h"

/* Whatever a rule would match as an allow, it must match as a deny. */
static void decide(const struct rule *rule, const struct policy_request *request)
{
    struct rule allow = *rule, deny = *rule;

    allow.effect = RULE_ALLOW;
    deny.effect = RULE_DENY;
    if (rule_matches(rule, request) != (rule_mismatches(rule, request) == 0))
        abort();
    if (rule_matches(&allow, request) && !rule_matches(&deny, request))
        abort();
}

/* A local and a remote peer, a handshake that hides the server, and one that shows it. */
static void decide_all(const struct rule *rule, struct server_names *names)
{
    static const gid_t groups[] = {0, 7};
    static const char *const hosts[] = {"x.a.example", "*.b.example"};
    const struct principal principals[] = {{.has_uid = true,
                                                   .groups = groups,
                                                   .group_count = 2,
                                                   .has_unit = KNOWN_YES,
                                                   .unit = "a@1.service",
                                                   .has_socket = UNKNOWN},
            {.is_remote = true, .hosts = hosts, .host_count = 2}};
    const struct handshake handshakes[] = {{.is_tls_1_3 = true},
            {.transcript = {.has_sni = true, .sni = "b.example", .names = names}}};

    for (size_t index = 0; index < 4; index++) {
        const struct policy_request request = {.principal = &principals[index / 2],
                .operation = RULE_SIGN,
                .device = "a1TEST/harness-1",
                .time_s = 1800000000,
                .handshake = &handshakes[index % 2]};

        decide(rule, &request);
    }
}

/* A name, a wildcard and an address. */
static struct server_names *make_names(void)
{
    struct server_names *names = calloc(1, sizeof(*names) + 3 * sizeof(names->names[0]));

    if (!names)
        abort();
    names->count = 3;
    strcpy(names->names[0].dns, "b.example");
    strcpy(names->names[1].dns, "*.broker.example");
    names->names[2].kind = SERVER_NAME_ADDRESS;
    if (!address_read("::1", &names->names[2].address))
        abort();
    return names;
}

/* Each problem is a line of printable text. */
static void check_problems(const struct problems *problems)
{
    size_t lines = 0;

    for (size_t index = 0; problems->text && index < problems->text->length; index++) {
        char character = problems->text->data[index];

        lines += character == '\n';
        if (character != '\n' && (character < ' ' || character > '~'))
            abort();
    }
    if (lines != problems->count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = text_of_input(data, size);
    struct server_names *names = make_names();
    struct problems problems = {.count = 0};
    struct policy_text text;

    policy_text_split(bytes, size, "file", &text, &problems);
    for (size_t index = 0; index < text.count; index++) {
        size_t before = problems.count;
        struct rule *rule = rule_name(text.sections[index].name)
                                    ? rule_read(&text.sections[index], "file", &problems)
                                    : NULL;

        if (rule && problems.count != before)
            abort();
        if (rule)
            decide_all(rule, names);
        rule_free(rule);
    }
    check_problems(&problems);
    policy_text_release(&text);
    problems_release(&problems);
    server_names_free(names);
    free(bytes);
    return 0;
}
