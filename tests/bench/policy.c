/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy decision takes:
 *
 *     bench_policy RULES users|units FILE
 *         writes a policy of so many rules into the file, each for a unit and a product's devices
 *         of its own, and with "users" also for a user of its own; decides 10,000 different
 *         requests, of which half are allowed; prints the microseconds of a decision, and the
 *         milliseconds that loading took
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/policy/decision.h"

enum { REQUESTS = 10000, ROUNDS = 5 };

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void give_up(const char *what)
{
    fprintf(stderr, "bench_policy: %s\n", what);
    exit(1);
}

static void write_policy(const char *file, int rules, bool with_users)
{
    FILE *stream = fopen(file, "w");

    if (!stream)
        give_up("the file cannot be written");
    fputs("[policy]\nversion = 1\n", stream);
    for (int index = 0; index < rules; index++) {
        fprintf(stream,
                "[rule/r%d]\neffect = %s\nunits = worker@%d-*.service\n"
                "devices = a1P%d*/dev-*\noperations = load, sign\n",
                index, index % 10 == 9 ? "deny" : "allow", index, index);
        if (with_users)
            fprintf(stream, "users = #%d\n", 1000 + index);
    }
    fclose(stream);
}

/* The request that only one rule is about. */
static bool decide(const struct policy *policy, int rules, int number)
{
    char device[64], unit[64];
    gid_t groups[] = {(gid_t)number, 100};
    int rule = number % rules;
    struct principal principal = {.has_uid = true,
            .uid = (uid_t)(1000 + rule),
            .groups = groups,
            .group_count = 2,
            .has_all_groups = true,
            .has_unit = KNOWN_YES,
            .unit = unit};
    struct policy_request request = {.principal = &principal,
            .operation = RULE_LOAD,
            .device = device,
            .time_s = 1800000000};

    snprintf(unit, sizeof(unit), "worker@%d-%d.service", rule, number);
    snprintf(device, sizeof(device), "a1P%dx/%s-%d", rule, number % 2 ? "dev" : "other", number);
    return policy_decide(policy, &request).is_allowed;
}

int main(int argc, char **argv)
{
    struct problems problems = {.count = 0};
    struct policy *policy;
    double start, best = 0, loading;
    int rules, allowed = 0;

    if (argc != 4 || (rules = (int)strtol(argv[1], NULL, 10)) < 10)
        give_up("RULES users|units FILE");
    write_policy(argv[3], rules, strcmp(argv[2], "users") == 0);
    start = microseconds();
    policy = policy_load(argv[3], POLICY_ANY_OWNER, &problems);
    loading = microseconds() - start;
    if (!policy)
        give_up(problems.text->data);
    for (int round = 0; round < ROUNDS; round++) {
        double each;

        start = microseconds();
        for (int number = 0; number < REQUESTS; number++)
            allowed += decide(policy, rules, number);
        each = (microseconds() - start) / REQUESTS;
        if (round == 0 || each < best)
            best = each;
    }
    if (allowed == 0 || allowed == ROUNDS * REQUESTS)
        give_up("all requests are decided alike");
    printf("%.3f %.1f\n", best, loading / 1e3);
    policy_free(policy);
    return 0;
}
