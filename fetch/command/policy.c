/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot policy: checks and explains policies, tests them, and grants rights for a time. */
#include "command/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/principal/process_facts.h"
#include "base/text.h"
#include "command/audit.h"
#include "command/command.h"

enum { EXIT_DENIED = 3, WORDS_MAX = 256 };

struct policy *load_policy_or_explain(const char *file, int64_t owner_uid)
{
    struct problems problems = {.count = 0};
    struct policy *policy = policy_load(file ? file : POLICY_FILE, owner_uid, &problems);

    if (!policy)
        fputs(problems.text ? problems.text->data : "out of memory\n", stderr);
    problems_release(&problems);
    return policy;
}

/* What a rule of this policy rests on and this kernel, or this place, does not prove. */
static const char *doubt(const struct rule *rule)
{
    static struct process_facts facts;
    static bool has_facts, has_pidfd;

    if (!has_facts) {
        has_pidfd = process_facts_are_proved();
        process_facts_read(getpid(), -1, getuid(), &facts);
        has_facts = true;
    }
    if (rule->units.count > 0 && facts.has_unit == UNKNOWN)
        return "units cannot be told here (control groups are hidden), so it never matches";
    if (rule->effect == RULE_ALLOW && rule->hosts.count == 0 && !rule->has_any_host &&
            !rule->may_be_in_a_container && facts.is_in_a_container == UNKNOWN)
        return "namespaces cannot be told here, so it never matches without containers = yes";
    if (rule->units.count > 0 && !has_pidfd && rule->users.count == 0 && !rule->users.is_any &&
            rule->groups.count == 0)
        return "it rests on units alone, which kernels before Linux 6.5 do not prove; add users";
    return NULL;
}

static int check(int argc, char **argv)
{
    CLEANUP(policy_free) struct policy *policy = NULL;
    const char *file = argc > 1 ? argv[1] : POLICY_FILE;

    if (argc > 2)
        return fail_usage("policy check takes one file; see aliyun-iot help policy");
    policy = load_policy_or_explain(file, geteuid());
    if (!policy)
        return EXIT_FAILED;
    for (size_t index = 0; index < policy->count; index++) {
        const struct rule *rule = policy->rules[index];
        const char *problem = doubt(rule);

        if (problem)
            printf("%s:%d: warning: rule %s: %s\n", rule->file, rule->line, rule->name, problem);
    }
    printf("%s: good, %zu rule%s, sha256 %s\n", file, policy->count, policy->count == 1 ? "" : "s",
            policy->hash);
    return EXIT_DONE;
}

static int explain(int argc, char **argv)
{
    CLEANUP(policy_free) struct policy *policy = NULL;
    struct question question;
    const char *problem = question_read(argc, argv, &question);
    int status;

    if (problem) {
        status = fail_usage("policy explain: %s; see aliyun-iot(1)", problem);
    } else {
        policy = load_policy_or_explain(question.policy_file, POLICY_ANY_OWNER);
        status = !policy                               ? EXIT_FAILED
                 : question_explain(&question, policy) ? EXIT_DONE
                                                       : EXIT_DENIED;
    }
    question_release(&question);
    return status;
}

/* A case of a test file. */
struct test_case {
    const char *file;
    int line;
    char *words[WORDS_MAX + 1];
    int count;
};

static void split_words(char *line, struct test_case *test)
{
    char *rest = NULL;

    test->count = 0;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word && test->count < WORDS_MAX;
            word = strtok_r(NULL, " \t\r\n", &rest))
        test->words[test->count++] = word;
    test->words[test->count] = NULL;
}

static bool fail_case(const struct test_case *test, const char *problem)
{
    fail("%s:%d: %s", test->file, test->line, problem);
    return false;
}

/* The policy that was loaded last, for the next case. */
struct last_policy {
    char *file;
    struct policy *policy;
};

static const struct policy *policy_of(const char *file, struct last_policy *last)
{
    if (last->policy && strcmp(last->file, file) == 0)
        return last->policy;
    policy_free(last->policy);
    free(last->file);
    last->file = strdup(file);
    last->policy = last->file ? load_policy_or_explain(file, POLICY_ANY_OWNER) : NULL;
    return last->policy;
}

/* words[0] is what is expected, in the place where argv has the name of the command. */
static bool run_case(struct test_case *test, struct last_policy *last)
{
    const char *expected = test->words[0], *problem;
    const struct policy *policy;
    struct question question;
    bool is_allowed, passed = false;

    if (strcmp(expected, "allow") != 0 && strcmp(expected, "deny") != 0)
        return fail_case(test, "a line begins with allow or deny");
    problem = question_read(test->count, test->words, &question);
    if (problem) {
        fail_case(test, problem);
    } else {
        policy = policy_of(question.policy_file ? question.policy_file : POLICY_FILE, last);
        is_allowed = policy && policy_decide(policy, &question.request).is_allowed;
        passed = policy && is_allowed == (strcmp(expected, "allow") == 0);
        if (!policy)
            fail_case(test, "the policy does not load");
        else if (!passed)
            fail_case(test, is_allowed ? "deny was expected, and it is allow"
                                       : "allow was expected, and it is deny");
    }
    question_release(&question);
    return passed;
}

static int test(int argc, char **argv)
{
    CLEANUP(fclose) FILE *stream = NULL;
    CLEANUP(free) char *line = NULL;
    struct last_policy last = {.file = NULL};
    struct test_case test = {.file = argc > 1 ? argv[1] : NULL};
    size_t room = 0, passed = 0, count = 0;

    if (argc != 2)
        return fail_usage("policy test takes one file; see aliyun-iot help policy");
    stream = fopen(test.file, "re");
    if (!stream)
        return fail("%s: %s", test.file, strerror(errno));
    while (getline(&line, &room, stream) >= 0) {
        test.line++;
        split_words(line, &test);
        if (test.count == 0)
            continue;
        count++;
        passed += run_case(&test, &last);
    }
    policy_free(last.policy);
    free(last.file);
    if (ferror(stream))
        return fail("%s: %s", test.file, strerror(errno));
    printf("%zu of %zu cases passed\n", passed, count);
    return passed == count ? EXIT_DONE : EXIT_FAILED;
}

int command_policy(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
            {"check", check},
            {"explain", explain},
            {"test", test},
            {"grant", policy_grant},
            {"revoke", policy_revoke},
    };

    for (size_t index = 0; argc > 1 && index < sizeof(commands) / sizeof(commands[0]); index++)
        if (strcmp(commands[index].name, argv[1]) == 0)
            return commands[index].run(argc - 1, argv + 1);
    return fail_usage(
            "policy takes check, explain, test, grant or revoke; see aliyun-iot help policy");
}
